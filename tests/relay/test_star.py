"""Star printers in their own command set: framing, status, automatic status, settings that are set again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receipt.status import UNKNOWN, Form, StarAnswers, from_star_asb, from_star_byte, star_answer
from receipt.tokens import Dialect
from tests.relay.conftest import Box
from tests.simulators.printer import SimulatedPrinter

# ESC d 2 cuts, ESC a 3 feeds three lines: the other way round than ESC/POS would have it
RECEIPT = b"\x1b@\x1bE\x1b\x1dt\x20SHOP\nTea 2.50\n\x1ba\x03\x1bd\x02"
ASK = b"\x1b\x06\x01"
BLOCKS = [b"\x10", b"\x1c", b"\x20", b"\xa8", b"\x0f\x06\x08\0\0\x0c\0", b"\x23\x06" + bytes(7)]


@pytest.fixture
def printer() -> Iterator[SimulatedPrinter]:
    with SimulatedPrinter(dialect=Dialect.STAR) as printer:
        yield printer


@pytest.fixture
def box(make_box: Callable[..., Box]) -> Box:
    return make_box(model="star")


def test_what_stands_in_status_bytes() -> None:
    asb = bytes([0x23, 0x06, 0x2C, 0x08, 0x00, 0x0C, 0, 0, 0])
    status = from_star_asb(asb, UNKNOWN)
    assert (status.online, status.paper, status.cover_open, status.error, status.drawer_open) == (
        False, "out", True, True, True,
    )  # fmt: skip
    assert from_star_asb(bytes([0x0F, 6, 0, 0, 0, 4, 0]), UNKNOWN).paper == "near"
    assert from_star_byte(0x1C, UNKNOWN).paper == "out" and from_star_byte(0x14, UNKNOWN).paper == "near"
    assert from_star_byte(0x28, UNKNOWN).paper == "out" and from_star_byte(0xA0, UNKNOWN).drawer_open


@given(
    blocks=st.lists(st.sampled_from(BLOCKS)),
    cuts=st.lists(st.integers(0, 60)),
)  # fmt: skip
def test_answers_do_not_depend_on_how_they_arrive(blocks: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(blocks)
    parser = StarAnswers()
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    answers = [a for at, end in pairwise(edges) for a in parser.feed(stream[at:end])]
    assert [answer for _, answer in answers] == blocks and not parser.pending
    assert all((form is Form.ASB) == (len(answer) > 1) for form, answer in answers)


@given(st.binary(max_size=200))
def test_any_bytes_are_cut_into_answers_and_none_is_lost(data: bytes) -> None:
    parser = StarAnswers()
    assert b"".join(answer for _, answer in parser.feed(data)) + parser.pending == data


@given(
    st.sampled_from(["ok", "near", "out"]), st.booleans(), st.booleans(), st.booleans(), st.sampled_from([True, False])
)
def test_what_is_told_from_memory_is_what_is_read_back(
    paper: str, cover: bool, error: bool, drawer: bool, gone: bool
) -> None:
    from receipt.status import Status

    status = Status(online=True, paper=paper, cover_open=cover, error=error, drawer_open=drawer)
    told = star_answer(ASK, status, gone=gone)
    ((form, block),) = StarAnswers().feed(told)
    back = from_star_asb(block, UNKNOWN)
    assert form is Form.ASB and back.online is not (gone or bool(status.trouble))
    assert (back.paper, back.cover_open, back.error, back.drawer_open) == (paper, cover, error, drawer)


def test_cuts_are_those_of_the_printer(box: Box, printer: SimulatedPrinter) -> None:
    """ESC d before anything that only Star has: in ESC/POS it would be a feed, and no job would ever be cut."""
    pos = box.pos()
    plain = b"Tea 2.50\n\x1bd\x02"
    pos.send(plain)
    pos.send(RECEIPT)
    printer.wait(lambda: printer.cuts == 2)
    jobs = box.jobs(2)
    assert [(job["boundary"], raw) for job, raw in jobs] == [("cut", plain), ("cut", RECEIPT)]
    assert box.counters()["cuts_held"] == 2


@pytest.mark.covers("F45")
def test_status_is_answered_by_the_printer_and_known(box: Box, printer: SimulatedPrinter) -> None:
    pos = box.pos()
    pos.send(b"\x04")
    assert pos.read(1) == b"\x10"
    pos.send(b"\x05")
    assert pos.read(1) == b"\x20"
    printer.set(paper="out")
    pos.send(ASK)
    assert pos.read(9)[5] == 0x0C
    with closing(box.agent()) as agent:
        status = agent.ask("status")["printers"]["main"]
    assert status["paper"] == "out" and status["online"] is False
    assert box.sql("SELECT count(*) FROM jobs") == [(0,)]


def test_a_till_is_told_off_line_while_the_printer_is_gone(box: Box, printer: SimulatedPrinter) -> None:
    pos = box.pos()
    pos.send(ASK)
    assert not pos.read(9)[2] & 0x08
    printer.unplug()
    box.until_printer(connected=False)
    pos.send(ASK)
    assert pos.read(7)[2] & 0x08
    pos.send(b"\x05")
    assert pos.hears_nothing()


def test_two_tills_get_their_own_answers(make_box: Callable[..., Box], printer: SimulatedPrinter) -> None:
    box = make_box(model="star", pos={"left": {}, "right": {}})
    left, right = box.pos("left"), box.pos("right")
    left.send(b"\x05")
    assert left.read(1) == b"\x20" and right.hears_nothing()
    right.send(ASK)
    assert len(right.read(9)) == 9 and left.hears_nothing()
    left.send(b"\x1b\x1ea\x01")  # automatic status, for this one
    assert left.read(9)[5] == 0
    printer.set(paper="near")
    assert left.read(9)[5] == 0x04 and right.hears_nothing()


def test_settings_survive_a_power_cycle(box: Box, printer: SimulatedPrinter) -> None:
    """State replay (P1), raster mode that was left again not included."""
    pos = box.pos()
    pos.send(b"\x1b@\x1bE\x1b\x1dt\x20\x1b\x1ea\x01\x1b*rA\x1b*rBfirst\n\x1bd\x02")
    printer.wait(lambda: printer.cuts == 1)
    box.jobs(1)
    printer.power_cycle()
    box.until_printer(connected=False)
    printer.plug_in()
    pos.send(b"second\n\x1bd\x02")
    printer.wait(lambda: printer.cuts == 2)
    before = {name: raw for name, raw in printer.state_at_cut[0].items() if name != "star_raster_on"}
    assert printer.state_at_cut[1] == before and len(before) == 3
    assert box.jobs(2)[1][1] == b"second\n\x1bd\x02"


def test_slips_are_refused_and_a_probe_asks_in_its_language(box: Box, printer: SimulatedPrinter) -> None:
    with closing(box.agent()) as agent:
        refused = agent.ask("print", b"x\n", slip="o/1/1", attempt=1, printer="main")
        assert "Star" in refused["error"]["problem"]
        (found,) = agent.ask("probe")["devices"]
        assert found["answers"] and found["status"]["paper"] == "ok"
        printer.set(paper="near")
        assert agent.ask("status", ask=True)["printers"]["main"]["paper"] == "near"
    assert bytes(printer.received) == ASK * 2
