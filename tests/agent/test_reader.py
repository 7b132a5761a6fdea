"""The reading child: what it makes of a job, and that nothing on paper takes the agent along."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from agent.child import Read, Reader
from wire import messages

RECEIPT = b"\x1b@HARBOUR COFFEE\nTOTAL 4.50\nCard 4111 1111 1111 1111\n\x1dVB\x00"
CHILD = """
import os, sys, time
from agent.reader import put, take
put(sys.stdout.buffer, b"h", b"")
while frame := take(sys.stdin.buffer):
    what, raw = frame
    if b"POISON-MASK" in raw and what == b"m": os._exit(9)
    if what == b"m":
        raw = raw.replace(b"4111", b"XXXX")
        put(sys.stdout.buffer, b"m", raw)
    if b"POISON" in raw: os._exit(9)
    if b"HANG" in raw: time.sleep(600)
    if b"SPIN" in raw:
        while True: pass
    if b"LATE" in raw: time.sleep(1.0)
    put(sys.stdout.buffer, b"r", b"reading of " + raw)
"""


def read(*jobs: bytes, masked: bool = False, child: str | None = None) -> tuple[list[Read], list[bytes], int]:
    """-> (results, masked forms heard of before the reading, crashes)"""

    async def run() -> tuple[list[Read], list[bytes], int]:
        reader = Reader([sys.executable, "-c", child] if child else None)
        heard: list[bytes] = []
        try:
            return [await reader.read(job, masked, heard.append) for job in jobs], heard, reader.crashes
        finally:
            await reader.stop()

    return asyncio.run(run())


def test_a_receipt_is_masked_then_read() -> None:
    pytest.importorskip("receipt.redact")
    (result,), heard, _ = read(RECEIPT)
    assert result.raw is not None and heard == [result.raw]
    assert len(result.raw) == len(RECEIPT) and b"4111 1111" not in result.raw and b"1111\n" in result.raw
    reading = messages.unpack_reading(messages.pack_reading(messages.Reading("x")))
    assert reading is not None
    import msgspec

    found = messages.unpack_reading(msgspec.Raw(result.packed))
    assert found is not None and "HARBOUR COFFEE" in found.lines and not any("4111" in line for line in found.lines)


def test_a_masked_job_is_not_masked_again() -> None:
    (result,), heard, _ = read(b"4111 x", masked=True, child=CHILD)
    assert result.raw == b"4111 x" and not heard


@pytest.mark.covers("F42")
def test_a_job_that_crashes_the_reading_comes_without_one() -> None:
    results, heard, crashes = read(b"4111 POISON", b"good", child=CHILD)
    assert results[0] == Read(b"XXXX POISON", b"", False)
    assert results[1].packed == b"reading of good"
    assert crashes == 3 and heard[0] == b"XXXX POISON"


@pytest.mark.covers("F42")
def test_a_job_that_hangs_the_reading_comes_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.child.LIMIT_S", 0.3)
    monkeypatch.setattr("agent.child.PATIENCE", 2)
    results, _, crashes = read(b"HANG", b"good", child=CHILD)
    assert results[0].raw == b"HANG" and not results[0].packed and results[1].packed and crashes == 3


@pytest.mark.covers("F42")
def test_a_job_that_computes_for_ever_comes_without_a_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.child.LIMIT_S", 0.3)
    monkeypatch.setattr("agent.child.PATIENCE", 10_000)
    results, _, crashes = read(b"SPIN", b"good", child=CHILD)
    assert results[0].raw == b"SPIN" and not results[0].packed and results[1].packed and crashes == 3


def test_a_machine_without_time_to_spare_is_no_jobs_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the clock it took too long; it has hardly computed. It is not sent without its bytes for that."""
    monkeypatch.setattr("agent.child.LIMIT_S", 0.3)
    monkeypatch.setattr("agent.child.PATIENCE", 10_000)
    (result,), _, crashes = read(b"4111 LATE", child=CHILD)
    assert result.raw == b"XXXX LATE" and result.packed and crashes == 0


@pytest.mark.covers("F42", "A15")
def test_a_job_that_cannot_be_masked_shows_no_bytes() -> None:
    results, heard, _ = read(b"4111 POISON-MASK", child=CHILD)
    assert results[0] == Read(None, b"", False) and not heard


@pytest.mark.covers("A15")
@pytest.mark.parametrize("moment", ["starting", "masking", "reading"])
def test_whoever_is_cancelled_leaves_no_answer_to_the_next(moment: str) -> None:
    """The next job would be given its bytes: of another receipt, under its own number."""
    slow = {
        "starting": "put(sys.stdout.buffer, b",
        "masking": 'put(sys.stdout.buffer, b"m',
        "reading": 'put(sys.stdout.buffer, b"r',
    }
    child = CHILD.replace(slow[moment], "time.sleep(0.3); " + slow[moment], 1)

    async def run() -> Read:
        reader = Reader([sys.executable, "-c", child])
        try:
            if moment != "starting":
                await reader.start()
            first = asyncio.create_task(reader.read(b"4111 one", False))
            while reader._child is None or not reader._owes:  # noqa: ASYNC110 -- a moment that nobody tells of
                await asyncio.sleep(0.01)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            return await reader.read(b"4111 two", False)
        finally:
            await reader.stop()

    assert asyncio.run(run()) == Read(b"XXXX two", b"reading of XXXX two", False)


@pytest.mark.covers("A15")
def test_a_form_that_is_not_of_this_job_is_not_taken() -> None:
    """Whatever made it so: a masked form has as many bytes as the job."""
    results, heard, _ = read(b"4111 one", child=CHILD.replace('b"m", raw', 'b"m", raw + b"more"'))
    assert results[0] == Read(None, b"", False) and not heard


def test_real_captures_are_read(request: pytest.FixtureRequest) -> None:
    pytest.importorskip("receipt.redact")
    folder = Path(__file__).parents[3] / "shared" / "data" / "escpos"
    captures = sorted(folder.rglob("*.bin"))
    if not captures:
        pytest.skip("no captures beside the tree")
    results, _, crashes = read(*[path.read_bytes() for path in captures])
    assert crashes == 0 and all(result.packed and result.raw is not None for result in results)


@pytest.mark.covers("F42")
def test_a_child_whose_parent_is_gone_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its input ends, or its own alarm does it: no reading is left running on its own."""
    import subprocess

    with subprocess.Popen(
        [sys.executable, "-m", "agent.reader"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        assert child.stdout.read(5) == b"h\0\0\0\0"
        child.stdin.close()
        assert child.wait(10) == 0


def test_what_is_known_of_a_printer_counts_for_its_next_job_alone() -> None:
    import msgspec

    from agent import profiles

    async def run() -> list[list[str]]:
        reader, shown = Reader(), []
        try:
            narrow = profiles.packed("auto", "generic-58")
            for profile in (narrow, b"", narrow):
                done = await reader.read(b"A" * 40 + b"\n", True, None, profile)
                found = messages.unpack_reading(msgspec.Raw(done.packed))
                assert found is not None
                shown.append(found.lines)
            return shown
        finally:
            await reader.stop()

    wrapped = ["A" * 32, "A" * 8]
    assert asyncio.run(run()) == [wrapped, ["A" * 40], wrapped]


def test_a_model_that_nobody_knows_says_nothing() -> None:
    from agent import profiles

    assert profiles.packed("auto", "") == b"" and profiles.packed("no-such-printer") == b""
    known = profiles.unpack(profiles.packed("star"))
    assert known is not None and known.dialect.value == "star"
