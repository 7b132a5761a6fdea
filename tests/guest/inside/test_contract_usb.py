"""The contract of all drivers (tests/drivers/test_contract.py), kept by usb against a real device, and by gadget."""

from __future__ import annotations

import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers import DeviceGone, Link, open_pos, open_printer
from drivers.printer_class import set_up
from drivers.printer_class.configfs import parse
from tests.drivers.test_contract import (
    test_a_full_device_takes_no_more_and_does_not_block,
    test_an_unplugged_device_is_gone,
    test_bytes_come_in_unchanged,
    test_bytes_go_out_unchanged,
    test_taken_counts_what_the_device_has,
)
from tests.guest.inside.devices import BOX, Node, make_gadget

pytestmark = pytest.mark.guest
__all__ = [
    "test_a_full_device_takes_no_more_and_does_not_block",
    "test_an_unplugged_device_is_gone",
    "test_bytes_come_in_unchanged",
    "test_bytes_go_out_unchanged",
    "test_taken_counts_what_the_device_has",
]


class OnUsb:
    """A printer on the second socket: a bare gadget whose bytes the test reads itself."""

    url = "usb://04b8:0e15/C1"
    gadget = "gadget://contract?udc=dummy_udc.1&vid=04b8&pid=0e15&serial=C1"

    def __init__(self) -> None:
        make_gadget(self.gadget)
        self.port = open_pos(self.gadget)
        assert select.select([self.port], [], [], 60)[0]
        self.link = self.port.accept()

    def accept(self) -> None:
        pass

    def read(self, size: int) -> bytes:
        out = b""
        while len(out) < size:
            assert self.link and select.select([self.link], [], [], 60)[0]
            out += self.link.read() or b""
        return out[:size]

    def write(self, data: bytes) -> None:
        assert self.link
        self.link.write(data)

    def unplug(self) -> None:
        self.port.close()


class TillOnUsb(OnUsb):
    """The other way round: the link is the gadget's, its other end a till's /dev/usb/lpN."""

    def __init__(self) -> None:
        make_gadget(BOX)
        self.port = open_pos(BOX)
        assert select.select([self.port], [], [], 60)[0]
        self.link = self.port.accept()
        self.till = Node()

    def read(self, size: int) -> bytes:
        return self.till.read(size)

    def write(self, data: bytes) -> None:
        self.till.send(data)

    def unplug(self) -> None:
        self.till.close()
        self.port.close()


@pytest.fixture(params=[OnUsb, TillOnUsb])
def device(request: pytest.FixtureRequest) -> Iterator[Any]:
    device = request.param()
    yield device
    device.unplug()


@pytest.fixture
def link(device: Any, request: pytest.FixtureRequest) -> Iterator[Link]:
    if isinstance(device, TillOnUsb):
        if "unplugged" in request.node.name:
            pytest.skip('a till that goes ends its link with b"": tests/guest/inside/test_usb.py')
        assert device.link
        yield device.link
        return
    link = None
    while link is None:  # /dev/bus/usb needs a moment after the device has come
        try:
            link = open_printer(device.url)
        except DeviceGone:
            select.select([], [], [], 0.05)
    assert select.select([], [link], [], 60)[1]
    assert link.opened()
    yield link
    link.close()


def test_the_fall_back_prints_too() -> None:
    """f_printer, where the kernel has no FunctionFS: the node, its status byte, a host that goes."""
    url = "gadget://fallback?udc=dummy_udc.2&function=printer&pid=0105"
    make_gadget(url)
    till = Node(("1d6b", "0105"))
    port = open_pos(url)
    port.show(there=True, ready=True, paper=False, error=False)  # type: ignore[attr-defined]
    assert till.status() == 0x38
    link = port.accept()
    assert link is not None and port.accept() is None
    assert select.select([link], [], [], 0.2)[0] == []
    till.send(b"TOTAL 4.50\n")
    assert select.select([link], [], [], 60)[0] and link.read() == b"TOTAL 4.50\n"
    assert link.read() is None
    assert link.write(b"\x16") == 1 and till.read(1) == b"\x16"
    device = till.device()
    till.close()
    (device / "authorized").write_text("0")
    with pytest.raises(DeviceGone):
        while select.select([link], [], [], 60)[0]:
            link.read()
    link.close()
    (device / "authorized").write_text("1")
    assert Path("/dev/tillwire-gadget/fallback.printer").exists()
    set_up.take_down(parse(url))  # others need the socket
    assert not Path("/dev/tillwire-gadget/fallback.printer").exists()
