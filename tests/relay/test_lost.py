"""A printer that loses its power in the middle of a job, and comes back."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import closing

import pytest

from receipt.tokens import Dialect
from relay.memory import REPRINT
from tests.relay.conftest import LIMIT, Box, Pos, until
from tests.simulators.printer import SimulatedPrinter

SETTINGS = {Dialect.ESCPOS: b"\x1b@\x1bt\x10\x1bE\x01", Dialect.STAR: b"\x1b@\x1b\x1dt\x20\x1bE"}
CUT = {Dialect.ESCPOS: b"\x1dV\x00", Dialect.STAR: b"\x1bd\x02"}
BOTH = pytest.mark.parametrize("dialect", [Dialect.ESCPOS, Dialect.STAR])


def begin(
    make_box: Callable[..., Box], printer: SimulatedPrinter, dialect: Dialect, when_lost: str
) -> tuple[Box, Pos, bytes]:
    """A till has set its code page and bold with its first receipt; its second is half printed when the power goes."""
    box = make_box(
        printers={"main": printer.url}, model="star" if dialect is Dialect.STAR else "auto", when_lost=when_lost
    )
    pos = box.pos()
    pos.send(SETTINGS[dialect] + b"first\n" + CUT[dialect])
    printer.wait(lambda: printer.cuts == 1)
    box.jobs(1)
    half = b"SHOP\n" + b"item 1.00\n" * 20
    before = len(printer.received)
    pos.send(half)
    printer.printed(before + len(half))
    with closing(box.agent()) as agent:
        agent.ask("hello")
        printer.power_cycle()
        until(lambda: not agent.ask("status")["printers"]["main"]["connected"])
        agent.event(lambda e: e["event"] == "interrupted" and e["pos"] == "till" and e["then"] == when_lost)
    return box, pos, half


@BOTH
@pytest.mark.covers("F46")
def test_a_job_goes_on_where_it_stood_with_its_settings(make_box: Callable[..., Box], dialect: Dialect) -> None:
    with SimulatedPrinter(dialect=dialect) as printer:
        box, pos, half = begin(make_box, printer, dialect, "go-on")
        printer.plug_in()
        rest = b"TOTAL 20.00\n" + CUT[dialect]
        pos.send(rest)
        printer.wait(lambda: printer.cuts == 2)
        settings = SETTINGS[dialect].removeprefix(b"\x1b@")
        assert bytes(printer.streams[-1]) == settings + rest
        assert printer.state_at_cut[1] == printer.state_at_cut[0]
        job, raw = box.jobs(2)[1]
        assert raw == half + rest and job["delivered"] == "all"
        counters = box.counters()
        assert (counters["jobs_interrupted"], counters["jobs_reprinted"]) == (1, 0)


@BOTH
@pytest.mark.covers("F46")
def test_a_job_is_reprinted_whole_under_a_mark(make_box: Callable[..., Box], dialect: Dialect) -> None:
    with SimulatedPrinter(dialect=dialect) as printer:
        box, pos, half = begin(make_box, printer, dialect, "reprint")
        pos.send(b"while it is off\n")
        printer.plug_in()
        rest = b"TOTAL 20.00\n" + CUT[dialect]
        pos.send(rest)
        printer.wait(lambda: printer.cuts == 2)
        whole = half + b"while it is off\n" + rest
        settings = SETTINGS[dialect].removeprefix(b"\x1b@")
        paper = bytes(printer.streams[-1])
        assert paper.startswith(REPRINT + settings + half)
        assert paper.replace(settings, b"") == REPRINT + whole
        assert printer.state_at_cut[1] == printer.state_at_cut[0]
        job, raw = box.jobs(2)[1]
        assert raw == whole and job["delivered"] == "all"  # what is captured is what the till sent, once
        counters = box.counters()
        assert (counters["jobs_interrupted"], counters["jobs_reprinted"]) == (1, 1)


def test_the_receipt_before_is_not_printed_again(make_box: Callable[..., Box], printer: SimulatedPrinter) -> None:
    """Both came in one write; the printer went away in the second."""
    box = make_box(when_lost="reprint")
    pos = box.pos()
    pos.send(b"\x1b@first\n\x1dV\x00\x1b@second, ")
    printer.printed(18)
    printer.power_cycle()
    box.until_printer(connected=False)
    printer.plug_in()
    pos.send(b"its end\n\x1dV\x00")
    printer.wait(lambda: printer.cuts == 2)
    assert bytes(printer.streams[-1]) == REPRINT + b"\x1b@second, its end\n\x1dV\x00"


@pytest.mark.covers("F5", "F46")
def test_a_receipt_whose_cut_was_not_made_any_more_is_told_from_its_repeat(
    make_box: Callable[..., Box], printer: SimulatedPrinter
) -> None:
    """The relay dies between the commit and the cut; the till, which saw no cut, prints the receipt again."""
    box = make_box(start=False).start(first=DIE_BEFORE_THE_CUT)
    receipt = b"\x1b@TOTAL 2.50\n\x1dV\x00"
    pos = box.pos()
    pos.send(receipt)
    assert box.process and box.process.wait(LIMIT) == -signal.SIGKILL
    assert printer.cuts == 0
    box.start()
    again = box.pos()
    again.send(receipt)
    printer.wait(lambda: printer.cuts == 1)
    jobs = box.jobs(2)
    assert [(job["boundary"], job["delivered"], raw) for job, raw in jobs] == [
        ("cut", "part", receipt),
        ("cut", "all", receipt),
    ]
    box.kill()  # and what was delivered stays so
    box.start()
    assert [job["delivered"] for job, _ in box.jobs(2)] == ["part", "all"]


DIE_BEFORE_THE_CUT = """
import os
from relay.cut import Capture
Capture._open = lambda *rest, **more: os.kill(os.getpid(), 9)
"""


def test_nothing_is_interrupted_between_jobs(make_box: Callable[..., Box], printer: SimulatedPrinter) -> None:
    box = make_box(when_lost="reprint")
    pos = box.pos()
    pos.send(b"\x1b@first\n\x1dV\x00")
    printer.wait(lambda: printer.cuts == 1)
    box.jobs(1)
    printer.power_cycle()
    box.until_printer(connected=False)
    printer.plug_in()
    pos.send(b"\x1b@second\n\x1dV\x00")
    printer.wait(lambda: printer.cuts == 2)
    assert bytes(printer.streams[-1]) == b"\x1b@second\n\x1dV\x00"
    assert box.counters()["jobs_interrupted"] == 0


@pytest.mark.covers("F46")
def test_a_job_whose_end_never_reached_the_printer_says_so(
    make_box: Callable[..., Box], printer: SimulatedPrinter
) -> None:
    """A POS's retry is then recognisable: the first try was delivered in part only."""
    box = make_box(pos={"till": {"when_gone": "hang-up"}})
    pos = box.pos()
    pos.send(b"begun\n")
    printer.printed(6)
    printer.freeze()
    pos.send(b"more than the lines hold\n" * 40_000)
    until(lambda: box.counters()["bytes_down"] > 100_000)
    printer.power_cycle()
    assert pos.is_hung_up()
    job, _ = box.jobs(1)[0]
    assert (job["boundary"], job["delivered"]) == ("partial", "part")
