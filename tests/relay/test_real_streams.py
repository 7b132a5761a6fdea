"""Real captures, whole corpora and random jobs: the printer gets exactly the bytes, and the journal has all jobs."""

from __future__ import annotations

import base64
import gzip
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from receipt.jobs import Jobs, What
from receipt.tokens import Effect, Scanner, Tokenizer
from tests.relay.conftest import Box, Pos, until
from tests.simulators.printer import SimulatedPrinter

DATA = Path(__file__).parents[2].parent / "shared" / "data"
CAPTURES = sorted(DATA.glob("escpos/**/*.bin"))
needs_data = pytest.mark.skipif(not CAPTURES, reason="the development data is not beside the project")


def send_in(pos: Pos, stream: bytes, sizes: Iterator[int]) -> None:
    at = 0
    while at < len(stream):
        size = next(sizes)
        pos.send(stream[at : at + size])
        at += size


def all_of(box: Box) -> bytes:
    """Every captured byte, in the order of capture."""
    out, after, more = b"", None, True
    agent = box.agent()
    while more:
        jobs, more = agent.jobs(after=after, limit=100)
        assert not [header for header, _ in jobs if "tomb" in header]
        out += b"".join(raw for _, raw in jobs)
        after = jobs[-1][0]["key"] if jobs else None
    agent.close()
    return out


@needs_data
@pytest.mark.parametrize("kind", ["tcp", "pty"])
def test_every_capture_reaches_the_printer_unchanged(
    make_box: Callable[..., Box], pty_pair: tuple[Pos, str], kind: str
) -> None:
    rng = random.Random(1)
    with SimulatedPrinter(kind) as printer:
        printer.silent = True
        till = {"url": f"serial://{pty_pair[1]}?baud=115200"} if kind == "pty" else {}
        box = make_box(printers={"main": printer.url}, pos={"till": till}, capture={"quiet_ms": 300})
        pos = pty_pair[0] if kind == "pty" else box.pos()
        sent = b""
        for path in CAPTURES:
            raw = path.read_bytes()
            send_in(pos, raw, iter(lambda: rng.choice((1, 7, 64, 512, 4096, 65536)), None))
            sent += raw
            printer.wait(lambda: len(printer.received) >= len(sent))  # noqa: B023
        assert len(printer.received) == len(sent)
        assert _without_realtime(bytes(printer.received)) == _without_realtime(sent)
        until(lambda: len(all_of(box)) >= len(sent) - 200)
        kept = all_of(box)
        assert _without_questions(sent) in (kept, _without_questions(kept))


@needs_data
def test_a_corpus_of_whole_days_is_split_into_its_jobs(make_box: Callable[..., Box], printer: SimulatedPrinter) -> None:
    printer.silent = True
    box = make_box(capture={"quiet_ms": 60000})
    sent = b""
    lines = gzip.decompress((DATA / "corpus" / "escpos_corpus_dev.jsonl.gz").read_bytes()).splitlines()
    for number, line in enumerate(lines):
        record = json.loads(line)
        if record["kind"] != "stream" or number % 3:
            continue
        stream = base64.b64decode(record["bytes_b64"])
        pos = box.pos()
        send_in(pos, stream, iter(record["chunk_sizes"] + [4096] * (len(stream) // 4096 + 1)))
        pos.close()
        sent += stream
        printer.wait(lambda: len(printer.received) >= len(sent))  # noqa: B023
    assert len(printer.received) == len(sent)
    assert _without_realtime(bytes(printer.received)) == _without_realtime(sent)
    until(lambda: _without_questions(all_of(box)) == _without_questions(sent))


@pytest.mark.covers("A13")
@pytest.mark.parametrize("speed", [0.0, 3e6])
def test_random_jobs_in_random_pieces_pass_unchanged(box: Box, printer: SimulatedPrinter, speed: float) -> None:
    """Commands of every kind, cut and joined at random, to a fast printer and to one that falls behind."""
    rng = random.Random(3)
    printer.silent = True
    printer.bytes_per_s = speed
    pos = box.pos()
    sent = bytearray()
    for _ in range(400 if speed else 1500):
        job = random_job(rng)
        sent += job
        send_in(pos, job, iter(lambda: rng.choice((1, 2, 3, 13, 64, 1000, 100000)), None))
    printer.wait(lambda: len(printer.received) >= len(sent))
    assert bytes(printer.received) == bytes(sent)


PARTS = [
    b"\x1b@", b"\x1bt\x02", b"\x1bE\x01", b"\x1ba\x01", b"\x1d!\x11", b"\n", b"TOTAL 12.50\n", b"\x1bd\x04",
    b"\x1dV\x00", b"\x1dVB\x20", b"\x1bi", b"\x1bm", b"\x1bp\x00\x19\xfa", b"\x1d(k\x04\x001A2\x00",
    b"\x1bD\x08\x10\x00",
    b"\x1dk\x0412345\x00", b"\x1dkI\x05{B123", b"\x1dv0\x00\x02\x00\x04\x0012345678", b"\x1b*\x21\x03\x00123456789",
    b"\x1c&\xb2\xe2\xca\xd4\x1c.", b"\x1dr\x01", b"\x1dI\x43", b"\x1d8L\x06\x00\x00\x000p0011", b"\x07", b"\x00\x00",
]  # fmt: skip


def random_job(rng: random.Random) -> bytes:
    parts = [rng.choice(PARTS) for _ in range(rng.randint(1, 30))]
    if rng.random() < 0.3:
        parts.insert(rng.randrange(len(parts)), rng.randbytes(rng.randint(1, 400)).replace(b"\x10", b"."))
    if rng.random() < 0.05:
        size = rng.randint(1, 40)
        parts.append(b"\x1dv0\x00\x48\x00" + size.to_bytes(2, "little") + bytes(72 * size))
    if rng.random() < 0.7:
        parts.append(b"\x1dV\x00")
    return b"".join(parts)


def _without_realtime(stream: bytes) -> bytes:
    """Real-time commands may overtake what a slow disk holds back: all else keeps its order."""
    tokenizer = Tokenizer()
    tokens = tokenizer.feed(stream) + tokenizer.close()
    return b"".join(token.raw for token in tokens if not token.command.effect & Effect.REALTIME)


def _without_questions(stream: bytes) -> bytes:
    """What of a stream belongs to jobs: by the same rules, over the stream in one piece."""
    scanner, jobs = Scanner(), Jobs(most=1 << 60)
    edges = jobs.feed(scanner.feed(stream), len(stream))
    out, start = b"", None
    for edge in edges:
        if edge.what is What.START:
            start = edge.start
        elif edge.what is What.END:
            out += stream[edge.start : edge.end]
            start = None
    if jobs.open and start is not None:
        out += stream[start:]
    elif jobs.tail:
        out += stream[jobs.start : jobs.end]
    return out
