"""Serial lines that are unplugged and come back, under the same name, elsewhere."""

from __future__ import annotations

import os
import pty
import select
import time
import tty
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from drivers.lines import modem
from tests.relay.conftest import LIMIT, Box, Pos, until
from tests.relay.test_passing import RECEIPT
from tests.simulators.printer import SimulatedPrinter


class Plug:
    """A line whose far end is a symbolic link, as udev makes them in /dev/serial/by-id."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.plug_in()

    def plug_in(self) -> None:
        self.master, self.slave = pty.openpty()
        tty.setraw(self.master)
        tty.setraw(self.slave)
        os.set_blocking(self.master, False)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(self.slave))
        self.pos = Pos(fd=self.master)

    def unplug(self) -> None:
        self.path.unlink()
        os.close(self.slave)
        os.close(self.master)

    def read(self, size: int) -> bytes:
        out = b""
        while len(out) < size:
            assert select.select([self.master], [], [], LIMIT)[0], out
            out += os.read(self.master, size - len(out))
        return out


@pytest.mark.covers("F49", "F56")
def test_a_pos_line_is_found_again(make_box: Callable[..., Box], printer: SimulatedPrinter, tmp_path: Path) -> None:
    plug = Plug(tmp_path / "tillline")
    box = make_box(pos={"till": {"url": f"serial://{plug.path}?baud=9600"}})
    plug.pos.send(RECEIPT)
    box.jobs(1)
    plug.pos.send(b"cut short")
    printer.wait(lambda: bytes(printer.received).endswith(b"cut short"))
    plug.unplug()
    jobs = box.jobs(2)
    assert (jobs[1][1], jobs[1][0]["boundary"]) == (b"cut short", "partial")
    with closing(box.agent()) as agent:
        turns = agent.ask("status")["counters"]["loop_turns"]
        time.sleep(0.5)
        assert agent.ask("status")["counters"]["loop_turns"] - turns < 50  # waiting is not spinning
        plug.plug_in()
        until(lambda: "till" in agent.ask("status")["pos"] and box.process and box.process.poll() is None)
        until(lambda: _sent(plug, box))
    printer.wait(lambda: bytes(printer.received).endswith(RECEIPT))
    plug.unplug()


def _sent(plug: Plug, box: Box) -> bool:
    """The relay has opened the line again when a receipt comes out of it as a job."""
    plug.pos.send(RECEIPT)
    try:
        return len(box.jobs(3, within=2.0)) >= 3
    except AssertionError:
        return False


@pytest.mark.covers("F49")
def test_a_printer_line_is_found_again_and_the_job_goes_on(make_box: Callable[..., Box], tmp_path: Path) -> None:
    plug = Plug(tmp_path / "printerline")
    box = make_box(printers={"main": f"serial://{plug.path}?baud=115200"})
    pos = box.pos()
    pos.send(RECEIPT + b"second, ")
    assert plug.read(len(RECEIPT) + 8) == RECEIPT + b"second, "
    plug.unplug()
    box.until_printer(connected=False)
    pos.send(b"goes on\n\x1dV\x00")
    plug.plug_in()
    end = plug.read(len(b"goes on\n\x1dV\x00"))
    assert end.endswith(b"goes on\n\x1dV\x00") or plug.read(3).endswith(b"\x1dV\x00")
    assert [raw for _, raw in box.jobs(2)] == [RECEIPT, b"second, goes on\n\x1dV\x00"]
    plug.unplug()


LINES = """
import drivers
from pathlib import Path
from drivers.lines import modem
drivers.LOOK_S = drivers.REST_S = 0.05
modem.lines = lambda fd: int(Path({path!r}).read_text())
modem.say_ready = lambda fd, ready: None
"""


@pytest.mark.covers("F45")
@pytest.mark.parametrize("flow", ["none", "dsrdtr"])
def test_a_serial_printer_that_is_switched_off_is_off_line(
    make_box: Callable[..., Box], tmp_path: Path, flow: str
) -> None:
    """Its line is still there; only its ready line has dropped."""
    plug, bits = Plug(tmp_path / "printerline"), tmp_path / "bits"
    bits.write_text(str(modem.READY))
    box = make_box(printers={"main": f"serial://{plug.path}?baud=115200&flow={flow}"}, start=False)
    box.start(first=LINES.format(path=str(bits)))
    with closing(box.agent()) as agent:
        main = lambda: agent.ask("status")["printers"]["main"]  # noqa: E731
        until(lambda: main()["online"] is True)
        switch(bits, 0)
        agent.event(lambda e: e["event"] == "printer" and e["status"]["online"] is False)
        pos = box.pos()
        pos.send(RECEIPT)
        if flow == "dsrdtr":
            until(lambda: box.counters()["bytes_down"] == len(RECEIPT))
            assert not select.select([plug.master], [], [], 0)[0], "nothing is sent to a printer that is off"
        switch(bits, modem.READY)
        assert plug.read(len(RECEIPT)) == RECEIPT
        until(lambda: main()["online"] is True)
    plug.unplug()


def switch(bits: Path, value: int) -> None:
    (bits.parent / "new").write_text(str(value))
    (bits.parent / "new").replace(bits)
