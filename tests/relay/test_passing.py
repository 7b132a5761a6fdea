"""Bytes from the POS to the printer and back: unchanged, in order, at once; and what is captured of them."""

from __future__ import annotations

import hashlib
import random
import select
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from tests.relay.conftest import LIMIT, Box, Pos, until
from tests.simulators.printer import SimulatedPrinter

RECEIPT = b"\x1b@\x1bt\x02SHOP\nTea 2.50\nTOTAL 2.50\n\x1bd\x03\x1dV\x00"
PULSE = b"\x1bp\x00\x19\xfa"
LONG_TAIL = "import relay.cut; relay.cut.TAIL_S = 60.0"  # a busy machine may take long to send what follows a cut
OLD_NEWS = "import relay.printer; relay.printer.FRESH_S = 60.0"
ANYTHING = bytes(range(256)) * 8 + random.Random(7).randbytes(60000) + b"\xff\xff\xfd\x11\x13\x04\x03\x1a\0" * 50


def test_a_receipt_is_printed_and_captured(box: Box, printer: SimulatedPrinter) -> None:
    pos = box.pos()
    pos.send(RECEIPT)
    assert printer.printed(len(RECEIPT)) == RECEIPT
    ((job, raw),) = box.jobs(1)
    assert raw == RECEIPT
    assert job["sha256"] == hashlib.sha256(RECEIPT).hexdigest() and job["size"] == len(RECEIPT)
    assert (job["boundary"], job["pos"], job["printer"], job["delivered"]) == ("cut", "till", "main", "all")
    assert job["key"][1] == 1 and job["continues"] is None and not job["replaced"]
    assert job["started"]["mono_ms"] <= job["ended"]["mono_ms"]


@pytest.mark.covers("F50")
def test_any_bytes_pass_unchanged_both_ways(box: Box, printer: SimulatedPrinter) -> None:
    pos = box.pos()
    printer.silent = True
    pos.send(ANYTHING)
    assert printer.printed(len(ANYTHING)) == ANYTHING
    printer.say(ANYTHING)
    assert pos.read(len(ANYTHING)) == ANYTHING


def test_any_bytes_pass_through_a_serial_line(make_box: Callable[..., Box], pty_pair: tuple[Pos, str]) -> None:
    pos, path = pty_pair
    with SimulatedPrinter("pty") as printer:
        printer.silent = True
        box = make_box(printers={"main": printer.url}, pos={"till": {"url": f"serial://{path}?baud=115200"}})
        pos.send(ANYTHING)
        assert printer.printed(len(ANYTHING)) == ANYTHING
        printer.say(ANYTHING[:3000])
        assert pos.read(3000) == ANYTHING[:3000]
        pos.send(b"\x18" + RECEIPT)
        until(lambda: any(raw.endswith(RECEIPT) for _, raw in box.jobs(1)))


def test_a_file_is_replayed_and_printed_into_a_file(make_box: Callable[..., Box], tmp_path: Any) -> None:
    (tmp_path / "job.prn").write_bytes(RECEIPT * 3)
    paper = tmp_path / "out.prn"
    box = make_box(printers={"main": f"file://{paper}"}, pos={"till": {"url": f"file://{tmp_path}/job.prn"}})
    assert [raw for _, raw in box.jobs(3)] == [RECEIPT] * 3
    until(lambda: paper.read_bytes() == RECEIPT * 3)


@pytest.mark.covers("F44", "F45")
def test_status_is_answered_by_the_printer(box: Box, printer: SimulatedPrinter) -> None:
    pos = box.pos()
    pos.send(b"\x10\x04\x01\x10\x04\x04")
    assert pos.read(2) == b"\x16\x12"
    printer.set(paper="out")
    pos.send(b"\x10\x04\x04")
    assert pos.read(1) == b"\x7e"
    assert box.sql("SELECT count(*) FROM jobs") == [(0,)]  # questions alone are no job
    with closing(box.agent()) as agent:
        assert agent.ask("status")["printers"]["main"]["paper"] == "out"


@pytest.mark.covers("F54")
def test_two_receipts_in_one_write_are_two_jobs(box: Box, printer: SimulatedPrinter) -> None:
    pos = box.pos()
    pos.send(RECEIPT + PULSE + b"\n" + RECEIPT)
    assert printer.printed(2 * len(RECEIPT) + 6) == RECEIPT + PULSE + b"\n" + RECEIPT
    assert [raw for _, raw in box.jobs(2)] == [RECEIPT + PULSE + b"\n", RECEIPT]


@pytest.mark.covers("F54")
def test_one_byte_at_a_time(make_box: Callable[..., Box], printer: SimulatedPrinter) -> None:
    pos = (box := make_box(start=False).start(first=LONG_TAIL)).pos()
    stream = RECEIPT + PULSE + RECEIPT
    for at in range(len(stream)):
        pos.send(stream[at : at + 1])
        printer.printed(at + 1)
    assert bytes(printer.received) == stream
    pos.close()
    assert [raw for _, raw in box.jobs(2)] == [RECEIPT + PULSE, RECEIPT]


def test_a_pulse_right_behind_the_cut_belongs_to_the_receipt(
    make_box: Callable[..., Box], printer: SimulatedPrinter
) -> None:
    pos = (box := make_box(start=False).start(first=LONG_TAIL)).pos()
    pos.send(RECEIPT)
    printer.printed(len(RECEIPT))
    pos.send(PULSE)
    printer.printed(len(RECEIPT) + len(PULSE))
    pos.close()
    ((job, raw),) = box.jobs(1)
    assert raw == RECEIPT + PULSE and job["sha256"] == hashlib.sha256(raw).hexdigest()


@pytest.mark.covers("F53")
def test_a_job_without_a_cut_ends_by_silence(make_box: Callable[..., Box], printer: SimulatedPrinter) -> None:
    box = make_box(capture={"quiet_ms": 200})
    pos = box.pos()
    pos.send(b"no cut\n")
    ((job, raw),) = box.jobs(1)
    assert (raw, job["boundary"]) == (b"no cut\n", "quiet")


def test_a_pause_inside_a_picture_loses_none_of_it(make_box: Callable[..., Box], printer: SimulatedPrinter) -> None:
    box = make_box(capture={"quiet_ms": 150})
    pos = box.pos()
    picture = b"\x1dv0\x00\x08\x00\x10\x00" + bytes(range(128))
    pos.send(picture[:50])
    box.jobs(1)
    pos.send(picture[50:] + b"tail\n")
    jobs = box.jobs(2)
    assert b"".join(raw for _, raw in jobs) == picture + b"tail\n"


def test_a_pos_that_hangs_up_right_after_sending(box: Box, printer: SimulatedPrinter) -> None:
    for _ in range(5):
        pos = box.pos()
        pos.send(RECEIPT)
        pos.close()
    pos = box.pos()
    pos.send(b"not cut\n")
    pos.close()
    assert printer.printed(5 * len(RECEIPT) + 8) == RECEIPT * 5 + b"not cut\n"
    jobs = box.jobs(6)
    assert [raw for _, raw in jobs] == [RECEIPT] * 5 + [b"not cut\n"]
    assert jobs[-1][0]["boundary"] == "close"


def test_a_half_closed_pos_still_gets_its_answer(box: Box, printer: SimulatedPrinter) -> None:
    pos = box.pos()
    assert pos.sock
    pos.send(RECEIPT + b"\x1dr\x01\x10\x04\x01")
    pos.sock.shutdown(socket.SHUT_WR)
    assert sorted(pos.read(2)) == [0x00, 0x16]
    assert pos.is_hung_up()
    paper = printer.printed(len(RECEIPT) + 6)  # where the disk is slow, the real-time question overtakes the cut
    assert paper.count(b"\x10\x04\x01") == 1 and paper.replace(b"\x10\x04\x01", b"") == RECEIPT + b"\x1dr\x01"


def test_a_pos_that_asks_in_the_middle_and_hangs_up_loses_nothing(
    make_box: Callable[..., Box], printer: SimulatedPrinter
) -> None:
    """Its questions are answered from memory while its bytes wait for another POS's job to end."""
    box = make_box(pos={"left": {}, "right": {}}, start=False).start(first=OLD_NEWS)
    left, right = box.pos("left"), box.pos("right")
    left.send(b"\x10\x04\x01")
    left.read(1)
    left.send(b"\x1dv0\x00\x48\x00\x01\x00begun")  # inside a picture: nothing may overtake here
    printer.printed(16)
    right.send(RECEIPT + b"\x10\x04\x01\x10\x04\x02" + RECEIPT)
    assert right.sock
    right.sock.shutdown(socket.SHUT_WR)
    assert len(right.read(2)) == 2
    left.send(bytes(67) + b"\n\x1dV\x00")
    printer.wait(lambda: printer.cuts == 3)
    until(lambda: [raw for job, raw in box.jobs(3) if job["pos"] == "right"] in ([RECEIPT] * 2,))


@pytest.mark.covers("F52")
def test_a_pos_that_breaks_off_leaves_a_partial_job(box: Box, printer: SimulatedPrinter) -> None:
    pos = box.pos()
    assert pos.sock
    pos.send(b"half a rec")
    printer.printed(10)
    pos.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    pos.close()
    ((job, raw),) = box.jobs(1)
    assert (raw, job["boundary"]) == (b"half a rec", "partial")
    again = box.pos()
    again.send(RECEIPT)
    assert printer.printed(10 + len(RECEIPT)).endswith(RECEIPT)


def test_a_long_job_is_split_and_says_so(box: Box, printer: SimulatedPrinter) -> None:
    pos = box.pos()
    block = b"\x1dv0\x00\x48\x00\xff\x00" + bytes(72 * 255)
    stream = block * 500 + b"\x1dV\x00"  # 9.2 MB
    pos.send(stream)
    printer.wait(lambda: len(printer.received) == len(stream))
    jobs = box.jobs(
        3,
    )
    assert b"".join(raw for _, raw in jobs) == stream
    assert [len(raw) for _, raw in jobs[:2]] == [4 << 20] * 2
    assert [job["boundary"] for job, _ in jobs] == ["size", "size", "cut"]
    assert [job["continues"] for job, _ in jobs] == [None, 1, 2]


@pytest.mark.covers("F48")
def test_a_printer_that_is_busy_holds_the_pos_back(box: Box, printer: SimulatedPrinter) -> None:
    """Nothing is dropped and little is taken: the POS waits, as it would at the printer itself."""
    printer.freeze()
    pos = box.pos()
    assert pos.sock
    pos.sock.setblocking(False)
    sent = 0
    chunk = b"x" * 4096
    stalled = 0
    while stalled < 20:
        try:
            sent += pos.sock.send(chunk)
            stalled = 0
        except BlockingIOError:
            stalled += 1
            select.select([], [pos.fd], [], 0.02)
    assert sent < 8 << 20
    printer.thaw()
    printer.wait(lambda: len(printer.received) == sent)


@pytest.mark.covers("F10")
def test_a_second_relay_leaves_the_first_alone(box: Box, printer: SimulatedPrinter) -> None:
    second = Box(box.folder, {"main": printer.url}, pos={"till": {"url": box.ports["till"]}})
    second.start(wait=False)
    assert second.process and second.process.wait(LIMIT) == 1
    pos = box.pos()
    pos.send(RECEIPT)
    assert printer.printed(len(RECEIPT)) == RECEIPT


def test_two_pos_take_turns_and_get_their_own_answers(make_box: Callable[..., Box], printer: SimulatedPrinter) -> None:
    box = make_box(pos={"left": {}, "right": {}})
    left, right = box.pos("left"), box.pos("right")
    left.send(b"LEFT begins\n")
    printer.printed(12)
    right.send(RECEIPT)
    right.send(b"\x10\x04\x01")  # answered though it is not its turn
    assert right.read(1) == b"\x16"
    left.send(b"LEFT ends\n\x1dV\x00" + b"\x1dr\x01")
    assert left.read(1) == b"\x00"
    printer.wait(lambda: printer.cuts == 2)
    assert printer.paper[0].startswith(b"LEFT begins\nLEFT ends\n\x1dV\x00")
    assert RECEIPT in printer.paper[1] and right.hears_nothing() and left.hears_nothing()
    jobs = box.jobs(2)
    assert {job["pos"]: raw for job, raw in jobs} == {"left": b"LEFT begins\nLEFT ends\n\x1dV\x00", "right": RECEIPT}


def test_automatic_status_goes_to_who_enabled_it(make_box: Callable[..., Box], printer: SimulatedPrinter) -> None:
    box = make_box(pos={"left": {}, "right": {}})
    left, right = box.pos("left"), box.pos("right")
    left.send(b"\x1da\x0f")
    assert left.read(4)[0] == 0x14
    printer.set(paper="near")
    assert left.read(4)[2] == 0x03
    assert right.hears_nothing()


def test_each_pos_and_each_printer_has_its_own_counters(
    make_box: Callable[..., Box], printer: SimulatedPrinter
) -> None:
    box = make_box(pos={"left": {}, "right": {}})
    left, right = box.pos("left"), box.pos("right")
    for pos in (left, right, left):
        pos.send(RECEIPT)
        pos.send(b"\x10\x04\x01")
        pos.read(1)
    box.jobs(3)
    left.close()  # what a POS has done stays counted when it has gone
    with closing(box.agent()) as agent:
        until(lambda: agent.ask("status")["pos"]["left"]["links"] == 0)
        until(lambda: agent.ask("status")["printers"]["main"]["counters"]["bytes_out"] == 3 * (len(RECEIPT) + 3))
        status = agent.ask("status")
    of_left, of_right = (status["pos"][name]["counters"] for name in ("left", "right"))
    size = len(RECEIPT) + 3
    assert (of_left["jobs"], of_left["bytes_down"], of_left["bytes_up"], of_left["pos_connected"]) == (
        2,
        2 * size,
        2,
        1,
    )
    assert (of_right["jobs"], of_right["bytes_down"], of_right["bytes_up"]) == (1, size, 1)
    assert of_left["cuts_held"] == 2 and of_left["hold_us"] > 0
    assert status["printers"]["main"]["counters"]["printer_opened"] == 1
    assert status["printers"]["main"]["counters"]["bytes_in"] == 3
    assert status["counters"]["jobs"] == 3 and status["counters"]["bytes_down"] == 3 * size


def test_the_relay_is_small_and_starts_at_once(box: Box) -> None:
    """What it must not load stays out: layering, and the memory of a small board."""
    code = (
        "import sys, relay.box, drivers.tcp, relay.control\n"
        "bad = [m for m in sys.modules if m.split('.')[0] in ('asyncio', 'msgspec', 'escpos', 'PIL', 'paho', 'agent')"
        " or m.startswith(('receipt.extract', 'receipt.rules', 'receipt.layout'))]\n"
        "sys.exit(','.join(bad))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr.strip() == ""


@pytest.mark.parametrize("size", [60_000, 200_000, 700_000, 2_000_000])
def test_a_picture_that_pours_in_is_kept_whole(box: Box, printer: SimulatedPrinter, size: int) -> None:
    """It goes into the journal while it comes; what was handed over early is not written twice, nor left out."""
    rng = random.Random(size)
    stream = b"\x1b@"
    while len(stream) < size:
        stream += b"\x1dv0\x00\x48\x00\xff\x00" + rng.randbytes(72 * 255)
    pos = box.pos()
    pos.send(stream + b"\x1dV\x00" + RECEIPT)
    jobs = box.jobs(2)
    assert [raw for _, raw in jobs] == [stream + b"\x1dV\x00", RECEIPT]
    assert jobs[0][0]["sha256"] == hashlib.sha256(stream + b"\x1dV\x00").hexdigest()


def test_a_picture_that_stops_coming_is_on_disk(box: Box, printer: SimulatedPrinter) -> None:
    pos = box.pos()
    block = b"\x1dv0\x00\x48\x00\xff\x00" + random.Random(1).randbytes(72 * 255)
    pos.send(block * 40)
    printer.printed(len(block) * 40)
    until(lambda: box.sql("SELECT sum(length(raw)) FROM pieces") == [(len(block) * 40,)])
    box.kill()
    box.start()
    assert box.jobs(1)[0][1] == block * 40
