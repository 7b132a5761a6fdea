"""The relay in the guest: a till on its USB socket, a printer on another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.guest.inside.devices import BOX, Node, UsbPrinter, make_gadget, sockets, until
from tests.relay.conftest import Box


@pytest.fixture(scope="session", autouse=True)
def usb_sockets() -> None:
    sockets()


@pytest.fixture
def printer() -> Iterator[UsbPrinter]:
    with UsbPrinter() as printer:
        yield printer


@pytest.fixture
def make_box(tmp_path: Path, printer: UsbPrinter) -> Iterator[Callable[..., Box]]:
    boxes: list[Box] = []

    def make(url: str = "usb://04b8:0e15", **settings: Any) -> Box:
        make_gadget(BOX)
        box = Box(tmp_path, {"main": url}, pos={"till": {"url": BOX} | settings.pop("till", {})}, **settings)
        boxes.append(box)
        return box.start()

    yield make
    for box in boxes:
        box.stop()
        print(box.log.read_text(errors="replace"))  # shown where the test failed


@pytest.fixture
def box(make_box: Callable[..., Box]) -> Box:
    """Its printer is open: until then it tells a till, rightly, that it is off line."""
    box = make_box()
    until(lambda: box.counters()["printer_opened"])
    return box


@pytest.fixture
def till(box: Box) -> Iterator[Node]:
    node = Node()
    yield node
    node.close()
