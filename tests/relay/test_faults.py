"""What goes wrong around the relay: printer, disk, process. Paper first, always."""

from __future__ import annotations

import random
import signal
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.relay.conftest import LIMIT, Box, until
from tests.relay.test_passing import RECEIPT
from tests.simulators.ports import free_port
from tests.simulators.printer import SimulatedPrinter


def records(first: int, count: int) -> bytes:
    return b"".join(
        b"<%08d>....................................................\n" % n for n in range(first, first + count)
    )


@pytest.mark.covers("F46", "F55")
@pytest.mark.parametrize("reset", [True, False])
def test_a_link_that_breaks_in_mid_job_costs_no_byte_and_doubles_none(
    box: Box, printer: SimulatedPrinter, reset: bool
) -> None:
    pos = box.pos()
    stream = records(0, 3000)
    pos.send(stream[: 64 * 500])
    printer.printed(64 * 500)
    printer.unplug(reset=reset)
    pos.send(stream[64 * 500 : 64 * 1000])
    with closing(box.agent()) as agent:
        until(lambda: not agent.ask("status")["printers"]["main"]["connected"])
        assert agent.ask("status")["printers"]["main"]["online"] is False
    printer.plug_in()
    pos.send(stream[64 * 1000 :])
    assert printer.printed(len(stream)) == stream


@pytest.mark.covers("F55")
def test_a_pos_is_held_back_and_told_off_line_while_the_printer_is_gone(box: Box, printer: SimulatedPrinter) -> None:
    pos = box.pos()
    pos.send(b"\x10\x04\x01")
    assert pos.read(1) == b"\x16"
    printer.unplug()
    box.until_printer(connected=False)
    pos.send(b"\x10\x04\x01")
    assert pos.read(1)[0] & 0x08  # off-line
    pos.send(RECEIPT)
    pos.send(b"\x10\x04\x01")
    assert pos.read(1)[0] & 0x08
    assert box.counters()["answered_by_relay"] == 2
    printer.plug_in()
    assert printer.printed(3 + len(RECEIPT))[3:] == RECEIPT


def test_a_pos_may_be_hung_up_on_when_the_printer_is_gone(
    make_box: Callable[..., Box], printer: SimulatedPrinter
) -> None:
    box = make_box(pos={"till": {"when_gone": "hang-up"}})
    pos = box.pos()
    pos.send(b"\x10\x04\x01")
    assert pos.read(1) == b"\x16"
    printer.unplug()
    assert pos.is_hung_up()
    assert box.pos().is_hung_up()
    printer.plug_in()
    box.until_printer(connected=True)
    box.pos().send(RECEIPT)
    printer.wait(lambda: bytes(printer.received).endswith(RECEIPT))


def test_settings_of_the_pos_survive_a_power_cycle_of_the_printer(box: Box, printer: SimulatedPrinter) -> None:
    """State replay (P1): the POS sets its code page and bold once, and for ever."""
    pos = box.pos()
    pos.send(b"\x1b@\x1bt\x10\x1bE\x01\x1dL\x0a\x00first\n\x1dV\x00")
    printer.wait(lambda: printer.cuts == 1)
    box.jobs(1)
    printer.power_cycle()
    box.until_printer(connected=False)
    printer.plug_in()
    pos.send(b"second\n\x1dV\x00")
    printer.wait(lambda: printer.cuts == 2)
    assert printer.state_at_cut[1] == printer.state_at_cut[0] and len(printer.state_at_cut[1]) == 3
    assert box.counters()["state_replays"] == 1
    assert [raw for _, raw in box.jobs(2)][1] == b"second\n\x1dV\x00"  # the job is what the POS sent


# ---------------------------------------------------------------------------------- the process


@pytest.mark.covers("F2", "F5")
def test_a_killed_relay_keeps_what_was_cut_and_what_was_begun(box: Box, printer: SimulatedPrinter) -> None:
    pos = box.pos()
    pos.send(RECEIPT)
    printer.wait(lambda: printer.cuts == 1)
    pos.send(b"begun, not cut\n")
    until(lambda: box.sql("SELECT count(*) FROM open_jobs") == [(1,)])
    box.kill()
    box.start()
    jobs = box.jobs(2)
    assert [(job["boundary"], job["delivered"], raw) for job, raw in jobs] == [
        ("cut", "all", RECEIPT),
        ("partial", "part", b"begun, not cut\n"),
    ]
    again = box.pos()
    again.send(RECEIPT)
    assert box.jobs(3)[2][0]["key"][1] == 3


@pytest.mark.covers("F5")
def test_kills_at_any_moment_lose_nothing_that_was_cut(make_box: Callable[..., Box], printer: SimulatedPrinter) -> None:
    box = make_box()
    rng = random.Random(5)
    number = 0
    for _ in range(8):
        pos = box.pos()
        for _ in range(rng.randint(1, 20)):
            number += 1
            try:
                pos.send(b"\x1b@R%08d\n" % number + b"item 1.00\n" * rng.randint(0, 60) + b"\x1dV\x00")
            except OSError:
                break
        box.kill()
        pos.close()
        box.start()
    paper = b"".join(printer.paper)
    cut = {n for n in range(1, number + 1) if b"R%08d" % n in paper}
    kept = b"".join(raw for _, raw in box.jobs(0)) if not cut else b""
    with closing(box.agent()) as agent:
        after, more = None, True
        seqs = []
        while more:
            jobs, more = agent.jobs(after=after, limit=50)
            for job, raw in jobs:
                kept += raw
                seqs.append(job["key"][1])
            after = jobs[-1][0]["key"] if jobs else None
    assert not [n for n in cut if b"R%08d\n" % n not in kept]
    assert seqs == list(range(1, len(seqs) + 1))


def test_sigterm_ends_it_soon_and_keeps_the_open_job(box: Box, printer: SimulatedPrinter) -> None:
    pos = box.pos()
    pos.send(b"open\n")
    printer.printed(5)
    assert box.kill(signal.SIGTERM) == 0
    box.start()
    assert [raw for _, raw in box.jobs(1)] == [b"open\n"]


@pytest.mark.covers("F9")
def test_a_wrong_configuration_is_refused_with_78(make_box: Callable[..., Box]) -> None:
    box = make_box(start=False)
    box.config.write_text(box.config.read_text() + "\nunknown_key = 1\n")
    box.start(wait=False)
    assert box.process and box.process.wait(LIMIT) == 78


# ---------------------------------------------------------------------------------- the disk


BAD_CAPTURE = """
from receipt.tokens import Scanner
feed = Scanner.feed
def bad(self, data):
    if b"BOOM" in data:
        raise RuntimeError("a fault in the scanner")
    return feed(self, data)
Scanner.feed = bad
"""


@pytest.mark.covers("F11")
def test_a_fault_in_capture_makes_the_link_pass_through(
    make_box: Callable[..., Box], printer: SimulatedPrinter
) -> None:

    box = make_box(start=False).start(first=BAD_CAPTURE)
    pos = box.pos()
    pos.send(RECEIPT)
    box.jobs(1)
    pos.send(b"\x1b@BOOM\n" + RECEIPT)
    pos.send(RECEIPT)
    expected = RECEIPT + b"\x1b@BOOM\n" + RECEIPT * 2
    assert printer.printed(len(expected)) == expected
    pos.send(b"\x10\x04\x01")
    assert pos.read(1) == b"\x16"
    with closing(box.agent()) as agent:
        status = agent.ask("status")
        assert status["counters"]["capture_faults"] == 1 and status["capture"] == "degraded"
        listed, _ = agent.jobs()
        assert listed[0][1] == RECEIPT
        assert listed[1][0]["tomb"]["reason"] == "capture_fault"
    pos.close()
    again = box.pos()
    again.send(RECEIPT)
    until(lambda: [raw for _, raw in box.jobs(2)][-1] == RECEIPT)


# ---------------------------------------------------------------------------------- hostile streams


@pytest.mark.covers("A10")
def test_a_length_that_lies_allocates_nothing(box: Box, printer: SimulatedPrinter) -> None:
    pos = box.pos()
    stream = b"\x1d8L\xff\xff\xff\xff0p" + b"x" * 1000 + b"\x1dv0\x00\xff\xff\xff\xff"
    pos.send(stream)
    printer.printed(len(stream))
    assert box.process
    assert _rss_kb(box.process.pid) < 60_000


@pytest.mark.covers("A11", "F8")
def test_an_endless_job_is_held_in_little_memory(make_box: Callable[..., Box], tmp_path: Path) -> None:
    box = make_box(printers={"main": "file:///dev/null"}, capture={"quota_mb": 16})
    pos = box.pos()
    block = (b"\x1dv0\x00\x48\x00\xff\x00" + bytes(72 * 255)) * 200
    pos.send(block * 5)
    assert box.process
    before = _rss_kb(box.process.pid)
    pos.send(block * 25)
    with closing(box.agent()) as agent:
        until(lambda: agent.ask("status")["pos"]["till"]["bytes"] == len(block) * 30)
    assert _rss_kb(box.process.pid) < before + 32_000


@pytest.mark.covers("A3")
def test_writes_to_the_memory_of_the_printer_pass_and_are_counted(box: Box, printer: SimulatedPrinter) -> None:
    pos = box.pos()
    stream = b"\x1cq\x01\x01\x00\x01\x00" + bytes(8) + b"\x1d(E\x04\x00\x05\x01\x02\x03"
    pos.send(stream)
    assert printer.printed(len(stream)) == stream
    assert box.counters()["memory_writes"] >= 2


@pytest.mark.covers("F7")
def test_it_tells_systemd_that_it_is_ready_and_alive(make_box: Callable[..., Box], tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(LIMIT)
        box = make_box(start=False).start(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="200000")
        assert sock.recv(100) == b"READY=1"
        assert [sock.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        assert box.process
        box.process.send_signal(signal.SIGSTOP)  # it hangs: now systemd hears nothing, and restarts it
        sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            for _ in range(100):
                sock.recv(100)
        box.kill()
        box.start()
        box.pos().send(RECEIPT)
        assert box.jobs(1)[0][1] == RECEIPT


@pytest.mark.covers("F7")
def test_what_a_till_sends_to_a_relay_that_hangs_is_refused_not_swallowed(box: Box, printer: SimulatedPrinter) -> None:
    """systemd's watchdog ends it: the till sees a broken connection, and sends again what it had no cut of."""
    pos = box.pos()
    pos.send(b"\x10\x04\x01")
    assert pos.read(1) == b"\x16"
    assert box.process
    box.process.send_signal(signal.SIGSTOP)
    pos.send(RECEIPT)
    pos.send(b"\x10\x04\x01")
    assert pos.hears_nothing(), "no status, so that the till knows no printer"
    box.kill()
    assert pos.is_hung_up()
    assert printer.cuts == 0
    box.start()
    again = box.pos()
    again.send(RECEIPT)
    printer.wait(lambda: printer.cuts == 1)
    assert [raw for _, raw in box.jobs(1)] == [RECEIPT], "once on paper, once in the journal"


HUNG_DISK = """
import threading
from relay.store import Store
Store.finish = lambda self, *rest: threading.Event().wait()
"""


@pytest.mark.covers("F11")
def test_a_disk_and_an_agent_that_hang_hold_up_nobody(make_box: Callable[..., Box], printer: SimulatedPrinter) -> None:
    """The journal's thread never comes back, and who asked the relay never reads."""
    box = make_box(capture={"hold_cut_ms": 50}, start=False)
    box.start(first=HUNG_DISK)
    pos = box.pos()
    with closing(box.agent()) as agent:
        agent.sock.sendall(b'{"n": 1, "op": "jobs"}\n' * 20)
        for number in range(1, 6):
            pos.send(RECEIPT)
            printer.wait(lambda number=number: printer.cuts == number)  # type: ignore[misc]
            pos.send(b"\x10\x04\x01")
            assert pos.read(1) == b"\x16"
    assert bytes(printer.received).replace(b"\x10\x04\x01", b"") == RECEIPT * 5
    assert box.counters()["cut_released_unsafe"] == 5
    box.kill()  # it cannot end by itself: that would wait for the disk


@pytest.mark.covers("A12", "A18")
def test_strangers_and_too_many_connections_are_refused(
    make_box: Callable[..., Box], printer: SimulatedPrinter
) -> None:
    port, closed = free_port(), free_port()
    box = make_box(
        pos={
            "till": {"url": f"tcp://127.0.0.1:{port}?limit=3&allow=127.0.0.0/8"},
            "far": {"url": f"tcp://127.0.0.1:{closed}?allow=192.0.2.1"},
        }
    )
    links = [box.pos() for _ in range(3)]
    for name in ("till", "far"):
        try:
            assert box.pos(name).is_hung_up()
        except ConnectionResetError:
            pass  # refused before we saw it open
    links[0].send(RECEIPT)
    assert printer.printed(len(RECEIPT)) == RECEIPT
    assert box.counters()["pos_refused"] == 2


def _rss_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
