"""What serial lines have beside their data: ready lines, flow control, an adapter that is found by what it is.

The lines of a pseudo-terminal are simulated; its bytes are real.
"""

from __future__ import annotations

import os
import pty
import queue
import select
import termios
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import drivers
from drivers import DeviceGone, open_pos, open_printer
from drivers.lines import modem
from drivers.lines.adapters import find

LIMIT = 30.0


class Wire:
    """The far end of a line, and the lines beside it."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        tty.setraw(self.master)
        os.set_blocking(self.master, False)
        self.url = f"serial://{os.ttyname(self.slave)}?baud=115200"
        self.theirs, self.ours = modem.READY, True

    def read(self, size: int, within: float = LIMIT) -> bytes:
        out = b""
        while len(out) < size and select.select([self.master], [], [], within)[0]:
            out += os.read(self.master, size - len(out))
        return out


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    wire = Wire()
    monkeypatch.setattr(modem, "lines", lambda fd: wire.theirs)
    monkeypatch.setattr(modem, "say_ready", lambda fd, ready: setattr(wire, "ours", ready))
    yield wire
    os.close(wire.slave)
    os.close(wire.master)


def plugged(sysfs: Path, port: str, name: str, serial: str = "", acm: bool = False) -> None:
    device = sysfs / "devices" / port
    inside = device / f"{port}:1.0" / ("" if acm else name)
    inside.mkdir(parents=True)
    (device / "idVendor").write_text("0403\n")
    if serial:
        (device / "serial").write_text(serial + "\n")
    (sysfs / "tty" / name).mkdir(parents=True)
    (sysfs / "tty" / name / "device").symlink_to(inside)


@pytest.mark.covers("F49")
@pytest.mark.parametrize(
    ("serial", "port", "path"),
    [
        ("A50285BI", "", "/dev/ttyUSB1"),
        ("", "1-1.2", "/dev/ttyUSB0"),
        ("", "2-1", "/dev/ttyACM0"),
        ("", "", "/dev/ttyACM0"),
        ("A50285BI", "1-1.2", None),
        ("B", "", None),
    ],
)
def test_an_adapter_is_found_by_what_it_is(tmp_path: Path, serial: str, port: str, path: str | None) -> None:
    plugged(tmp_path, "1-1.2", "ttyUSB0")
    plugged(tmp_path, "1-1.3", "ttyUSB1", "A50285BI")
    plugged(tmp_path, "2-1", "ttyACM0", "X", acm=True)
    (tmp_path / "tty" / "ttyS0").mkdir()
    found = find(serial, port, tmp_path / "tty")
    assert (found.path if found else None) == path


def test_an_adapter_that_is_not_plugged_in_is_gone() -> None:
    with pytest.raises(DeviceGone, match="by-id"):
        open_printer("serial://usb/NO-SUCH-ADAPTER?baud=9600")
    with pytest.raises(ValueError, match="serial://usb"):
        open_printer("serial:///dev/ttyUSB0?port=1-1.2")


def test_a_line_that_was_never_up_tells_nothing() -> None:
    state = modem.Readiness()
    assert [state.look(0) for _ in range(5)] == [None] * 5
    assert state.look(modem.CTS) is True
    assert state.look(0) is None and state.doubtful, "a full buffer drops it too"
    assert [state.look(0) for _ in range(2)] == [None, False]
    assert state.look(modem.CTS | modem.DSR) is True
    assert [state.look(modem.CTS) for _ in range(3)] == [None, None, False]


@pytest.mark.covers("F45")
@pytest.mark.parametrize("flow", ["none", "dsrdtr"])
def test_a_printer_whose_ready_line_drops_is_off_line(wire: Wire, monkeypatch: pytest.MonkeyPatch, flow: str) -> None:
    monkeypatch.setattr(drivers, "LOOK_S", 0.02)
    monkeypatch.setattr(drivers, "REST_S", 0.02)
    link: Any = open_printer(f"{wire.url}&flow={flow}")
    heard: queue.Queue[dict[str, Any]] = queue.Queue()
    link.watch(lambda **known: heard.put(known))
    assert heard.get(timeout=LIMIT) == {"online": True}
    wire.theirs = modem.CTS
    assert heard.get(timeout=LIMIT) == {"online": False}
    wire.theirs = modem.READY
    assert heard.get(timeout=LIMIT) == {"online": True}
    link.close()


def test_a_pseudo_terminal_has_no_ready_lines() -> None:
    wire = Wire()
    link: Any = open_printer(wire.url)
    link.watch(lambda **known: pytest.fail("there is nothing to tell"))
    assert link._watch is None
    link.close()


@pytest.mark.covers("F55")
@pytest.mark.parametrize("flow", ["none", "rtscts", "dsrdtr"])
def test_a_pos_sees_that_its_printer_is_gone(wire: Wire, monkeypatch: pytest.MonkeyPatch, flow: str) -> None:
    port: Any = open_pos(f"{wire.url}&flow={flow}")
    link = port.accept()
    port.show(there=False, ready=False, paper=True, error=False)
    assert not wire.ours
    port.show(there=True, ready=False, paper=False, error=False)
    assert wire.ours, "it has no paper: the printer says so itself when it is asked"
    link.close()
    monkeypatch.undo()
    port.show(there=False, ready=False, paper=True, error=False)  # of a line that has just gone


@pytest.mark.covers("F55")
def test_a_pos_with_xon_xoff_is_told_by_it() -> None:
    wire = Wire()
    port: Any = open_pos(f"{wire.url}&flow=xonxoff")
    assert not termios.tcgetattr(wire.slave)[0] & termios.IXANY
    port.show(there=False, ready=False, paper=True, error=False)
    assert wire.read(1) == b"\x13"
    port.show(there=True, ready=True, paper=True, error=False)
    assert wire.read(1) == b"\x11"
    port.close()
    port.show(there=False, ready=False, paper=True, error=False)


@pytest.mark.covers("F48")
def test_nothing_is_sent_while_dsr_is_down(wire: Wire) -> None:
    """A printer with DTR/DSR loses what comes meanwhile."""
    link = open_printer(f"{wire.url}&flow=dsrdtr")
    data = bytes(range(256)) * 4
    assert link.write(data) == len(data)
    assert wire.read(len(data)) == data
    wire.theirs = 0
    link.write(data)
    assert wire.read(len(data), within=0.2) == b""
    assert link.taken == len(data)
    wire.theirs = modem.DSR
    assert wire.read(len(data)) == data
    link.close()


def test_dtr_drops_while_the_relay_reads_no_more(wire: Wire) -> None:
    link = open_printer(f"{wire.url}&flow=dsrdtr")
    sent = 0
    while wire.ours:
        select.select([], [wire.master], [], LIMIT)
        sent += os.write(wire.master, b"x" * 512)
    got = 0
    while got < sent:
        assert select.select([link], [], [], LIMIT)[0], f"{got} of {sent}"
        got += len(link.read() or b"")
    for _ in range(3000):
        if wire.ours:
            break
        select.select([], [], [], 0.01)
    assert wire.ours
    link.close()
    again = open_printer(f"{wire.url}&flow=dsrdtr")  # it was given back
    again.close()
