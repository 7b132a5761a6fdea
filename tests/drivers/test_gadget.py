"""The gadget where no USB socket is: what it says of itself, the host's requests, and how links come and go.

Endpoint 0 is a packet socket here; the kernel's own endpoints run in the guest (tests/guest/inside).
"""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers import DeviceGone, open_pos, open_printer
from drivers.gadget import GadgetLink
from drivers.printer_class import (
    GET_DEVICE_ID,
    GET_PORT_STATUS,
    SOFT_RESET,
    TO_DEVICE,
    TO_HOST,
    device_id,
    device_id_fields,
    port_status,
)
from drivers.printer_class.configfs import Gadget, parse
from drivers.printer_class.functionfs import Control, Event, descriptors, strings
from drivers.printer_class.set_up import CannotSetUp, find_gadgets


def test_the_status_byte_is_the_printer_class_one() -> None:
    assert port_status(ready=True, paper=True, error=False) == 0x18
    assert port_status(ready=False, paper=True, error=False) == 0x08
    assert port_status(ready=True, paper=False, error=False) == 0x38
    assert port_status(ready=True, paper=True, error=True) == 0x10


def test_a_device_id_counts_its_own_length() -> None:
    answer = device_id("MFG:A;MDL:B;")
    assert answer[:2] == b"\x00\x0e" and len(answer) == 14
    assert device_id_fields(answer) == {"MFG": "A", "MDL": "B"}
    assert device_id_fields(b"\x00\x02 mfg : A ; CMD:ESC/POS;x\0\0") == {"MFG": "A", "CMD": "ESC/POS"}


def test_the_descriptors_are_two_speeds_of_one_printer_interface() -> None:
    data = descriptors()
    magic, length, flags, full, high = struct.unpack("<5I", data[:20])
    assert (magic, length, flags & 3, full, high) == (3, len(data), 3, 3, 3)
    rest, found = data[20:], []
    while rest:
        found.append(rest[: rest[0]])
        rest = rest[rest[0] :]
    assert [one[1] for one in found] == [4, 5, 5, 4, 5, 5]
    assert all(one[5:8] == bytes((7, 1, 2)) for one in found if one[1] == 4)
    assert [(one[2], one[3], one[4] | one[5] << 8) for one in found if one[1] == 5] == [
        (0x81, 2, 64), (0x02, 2, 64), (0x81, 2, 512), (0x02, 2, 512),
    ]  # fmt: skip
    assert struct.unpack("<I", strings()[4:8])[0] == len(strings())


class Ep0:
    """Endpoint 0: what the kernel would say is put in, what is answered comes out; a packet each."""

    def __init__(self) -> None:
        self.kernel, self.ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ours.setblocking(False)
        self.kernel.setblocking(False)
        self.control = Control(self.ours.fileno(), device_id("MFG:A;MDL:B;"), 0x18)

    def event(self, kind: Event, setup: bytes = bytes(8)) -> list[Event]:
        self.kernel.send(setup + bytes((kind, 0, 0, 0)))
        return self.control.events()

    def ask(self, to: int, request: int, length: int) -> bytes | None:
        assert self.event(Event.SETUP, struct.pack("<BBHHH", to, request, 0, 0, length)) == []
        try:
            return self.kernel.recv(4096)
        except BlockingIOError:
            return None

    def close(self) -> None:
        self.kernel.close()
        self.ours.close()


@pytest.fixture
def ep0() -> Iterator[Ep0]:
    ep0 = Ep0()
    yield ep0
    ep0.close()


def test_the_host_is_answered_live(ep0: Ep0) -> None:
    assert ep0.ask(TO_HOST, GET_PORT_STATUS, 1) == b"\x18"
    ep0.control.status = 0x30
    assert ep0.ask(TO_HOST, GET_PORT_STATUS, 1) == b"\x30"
    assert ep0.ask(TO_HOST, GET_DEVICE_ID, 1024) == device_id("MFG:A;MDL:B;")
    assert ep0.ask(TO_HOST, GET_DEVICE_ID, 2) == b"\x00\x0e", "never more than was asked for"


@pytest.mark.parametrize("recipient", [0x21, 0x23])
def test_soft_reset_is_acknowledged_and_counted(ep0: Ep0, recipient: int) -> None:
    assert ep0.ask(recipient, SOFT_RESET, 0) is None
    assert ep0.control.resets == 1


def test_unknown_requests_are_refused_and_nothing_is_said(ep0: Ep0) -> None:
    assert ep0.ask(TO_HOST, 77, 8) is None
    assert ep0.ask(0xC0, GET_PORT_STATUS, 1) is None, "a vendor's request is not the class's"
    ep0.ask(TO_DEVICE, 78, 0)
    assert ep0.control.resets == 0 and ep0.control.asked == 0


def test_events_come_in_order_and_a_torn_one_is_no_event(ep0: Ep0) -> None:
    assert ep0.event(Event.BIND) + ep0.event(Event.ENABLE) + ep0.event(Event.SUSPEND) == [
        Event.BIND, Event.ENABLE, Event.SUSPEND,
    ]  # fmt: skip
    ep0.kernel.send(b"\0\0\0")
    assert ep0.control.events() == []


def _ready(link: GadgetLink) -> bool:
    return bool(select.select([link], [], [], 30)[0])


@pytest.fixture
def link() -> Iterator[GadgetLink]:
    link = GadgetLink("gadget://till host 1")
    yield link
    link.close()


def test_what_the_host_sent_is_read_before_the_end(link: GadgetLink) -> None:
    assert link.read() is None and link.opened()
    assert link.give(b"abc")
    link.end()
    assert _ready(link)
    assert link.read() == b"abc"
    assert link.read() == b""


def test_a_host_that_goes_while_its_bytes_wait_loses_none(link: GadgetLink) -> None:
    """give() waits because the relay reads no more; the end comes meanwhile; all of it is still read."""

    data = os.urandom(200_000)
    giver = threading.Thread(target=lambda: [link.give(data[at : at + 512]) for at in range(0, len(data), 512)])
    giver.start()
    got = bytearray()
    while len(got) < len(data):
        assert _ready(link)
        got += link.read() or b""
    giver.join(30)
    link.end()
    assert bytes(got) == data and link.read() == b""


def test_a_till_is_held_back_soon(link: GadgetLink) -> None:

    given = []
    stop = threading.Event()

    def give() -> None:
        while not stop.is_set() and link.give(bytes(512)):
            given.append(512)

    thread = threading.Thread(target=give, daemon=True)
    thread.start()
    before, end = -1, time.monotonic() + 30
    while len(given) != before and time.monotonic() < end:
        before = len(given)
        stop.wait(0.3)
    assert sum(given) <= 64 * 1024
    stop.set()
    link.close()
    thread.join(30)
    assert not thread.is_alive()


def test_after_the_relay_let_go_nothing_is_taken(link: GadgetLink) -> None:
    link.close()
    assert link.over
    assert not link.give(b"x")


def test_an_answer_nobody_reads_fills_a_small_buffer(link: GadgetLink) -> None:
    total = 0
    while taken := link.write(bytes(4096)):
        total += taken
    assert total <= 64 * 1024
    link.end()
    with pytest.raises(DeviceGone):
        link.write(b"x")


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("gadget://?serail=1", "serail"),
        ("gadget://?vid=04b", "four hex digits"),
        ("gadget://?function=acm", "auto, ffs or printer"),
        ("gadget://a_b", "letters, digits"),
    ],
)
def test_a_wrong_url_is_told_at_once(url: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        open_pos(url)


def test_a_gadget_is_no_printer() -> None:
    with pytest.raises(ValueError, match="usb://"):
        open_printer("gadget://")


def test_without_set_up_it_is_gone_for_now() -> None:
    with pytest.raises(DeviceGone, match="tillwire-gadget"):
        open_pos("gadget://no-such-gadget")


def test_a_gadget_says_what_its_url_says() -> None:
    gadget = parse("gadget://bar?vid=04b8&pid=0e15&maker=EPSON&product=TM-T20II&serial=77")
    assert (gadget.name, gadget.vid, gadget.pid, gadget.serial) == ("bar", "04b8", "0e15", "77")
    assert gadget.device_id.startswith("MFG:EPSON;MDL:TM-T20II;CMD:ESC/POS;CLS:PRINTER;")
    assert gadget.tree.name == "tillwire-bar" and gadget.mount.name == "bar"
    assert parse("gadget://") == Gadget()
    assert parse("gadget://?id=MFG:X;MDL:Y;").device_id == "MFG:X;MDL:Y;"


def test_set_up_reads_only_the_urls(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text('[pos.a]\nurl = "gadget://a"\n[pos.b]\nurl = "tcp://0.0.0.0:9100"\n[nonsense]\nx = 1\n')
    assert [gadget.name for gadget in find_gadgets(config)] == ["a"]
    config.write_text("[pos.a\n")
    with pytest.raises(CannotSetUp, match="check-config"):
        find_gadgets(config)
    with pytest.raises(CannotSetUp):
        find_gadgets(tmp_path / "none.toml")
