"""Reading hostile jobs: no crash, no hang, bounded memory; the long campaigns run in `make soak`."""

from __future__ import annotations

import base64
import gzip
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

import receipt
from receipt.layout import lay_out
from receipt.picture import as_html, as_png, as_text
from receipt.redact import mask
from receipt.split import split
from receipt.tokens import Scanner, Tokenizer

CORPUS = Path(__file__).parents[3] / "shared" / "data" / "corpus" / "escpos_corpus_dev.jsonl.gz"
SEEDS = [
    b"\x1b@\x1bt\x13\x1ba\x01\x1b!\x30SHOP\n\x1b!\x00Tea\x1b$\xf8\x014.50\nTOTAL\t4.50\n\x1bp\x00\x19\xfa\x1dVA\x00",
    b"\x1b@\x1b\x1dt\x20\x1b\x1da\x01\x1bi\x01\x01SHOP\n\x1bi\x00\x00Tea  4.50\n\x1bd\x02\x07",
    b"\x1c&" + "合计 ￥12.00\n微信支付 12.00\n".encode("gb18030") + b"\x1d(k\x0b\x001P0http://x\x1d(k\x03\x001Q0",
    b"\x1dv0\x00\x04\x00\x08\x00"
    + bytes(range(32))
    + b"\x1b*\x21\x04\x00abcdefghijkl\n\x1bL\x1bW"
    + bytes(8)
    + b"page\n\x0c",
    "ИТОГО 12.50\nКАРТА 4111 1111 1111 1111\n".encode("cp866"),
]


def mutated(chance: random.Random, seeds: list[bytes]) -> bytes:
    """A job that was cut, doubled, spliced with another and hit by stray bytes."""
    job = bytearray(chance.choice(seeds)[:6000])
    for _ in range(chance.randrange(1, 12)):
        at, size = chance.randrange(len(job) + 1), chance.randrange(1, 24)
        match chance.randrange(6):
            case 0:
                job[at : at + size] = chance.randbytes(size)
            case 1:
                del job[at : at + size]
            case 2:
                job[at:at] = job[at : at + size] * chance.randrange(1, 20)
            case 3:
                other = chance.choice(seeds)
                job[at:at] = other[chance.randrange(len(other)) :][:400]
            case 4:
                job[at:at] = chance.choice(
                    [b"\x1b", b"\x1d", b"\x1c", b"\x10\x04", b"\x1d(", b"\x1b\x1d", b"\x1b*r", b"\xff\xff"]
                )
            case _:
                if job:
                    job[at % len(job)] ^= 1 << chance.randrange(8)
    return bytes(job)


def read_every_way(job: bytes) -> None:
    tokenizer = Tokenizer()
    assert b"".join(token.raw for token in tokenizer.feed(job)) + tokenizer.pending == job
    assert len(mask(job)) == len(job)
    split(job)
    reading = receipt.read(job)
    for found in reading.receipts:
        for finding in found.findings.values():
            assert 0 <= finding.confidence <= 1
            assert 0 <= finding.line < len(reading.lines)


def seeds() -> list[bytes]:
    if not CORPUS.exists():
        return SEEDS
    with gzip.open(CORPUS, "rt", encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    return SEEDS + [base64.b64decode(record["bytes_b64"]) for record in records[:: len(records) // 100]]


@pytest.mark.covers("A13")
def test_mutated_jobs_are_read_without_a_crash() -> None:
    chance, jobs = random.Random(11), seeds()
    for _ in range(150):
        read_every_way(mutated(chance, jobs))


@pytest.mark.slow
@pytest.mark.timeout(7200)  # ten minutes of this process; the machine may be busy
@pytest.mark.covers("A13")
def test_ten_minutes_of_mutated_jobs() -> None:
    seed = int(os.environ.get("TILLWIRE_SEED", time.time()))
    chance, jobs = random.Random(seed), seeds()
    print("TILLWIRE_SEED", seed)
    until = time.process_time() + float(os.environ.get("TILLWIRE_SOAK", 600))
    while time.process_time() < until:
        job = mutated(chance, jobs)
        try:
            read_every_way(job)
            if chance.random() < 0.05:
                as_png(job)
                as_html(lay_out(job).lines)
                as_text(lay_out(job).lines)
        except Exception:
            print(job.hex())
            raise


LINES = [
    b"a\n",
    b"1\n",
    b"x" * 200 + b"\n",
    b"TOTAL 1.00\n",
    b"2 x\n",
    b"." * 300 + b"\n",
    b"1/1/1 1:1:1 ",
    b"$1,1.1-",
    b"* * # x",
]


@pytest.mark.covers("A14")
@pytest.mark.parametrize("line", LINES)
def test_adversarial_lines_are_read_in_bounds(line: bytes) -> None:
    receipt.read(b"\x1b@SHOP\n" + line * (60_000 // len(line)) + b"\nTOTAL 5.00\n")


@pytest.mark.covers("A10", "A11", "A13")
def test_four_megabytes_of_anything_need_little_memory() -> None:
    code = """
import resource, sys
from receipt.layout import lay_out
from receipt.redact import mask
job = sys.stdin.buffer.read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
lay_out(job), mask(job)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    for job in (b"a\n" * 2_000_000, b"\x1dv0\x00\xff\xff\xff\xff" + bytes(4_000_000), b"\x1b*\x21\xff\xff" * 800_000):
        out = subprocess.run([sys.executable, "-c", code], input=job, capture_output=True, check=True, timeout=100)
        assert int(out.stdout) < 200  # MiB


def test_a_scanner_holds_no_payload() -> None:
    scanner = Scanner()
    scanner.feed(b"\x1d8L\xff\xff\xff\xff0p")
    scanner.feed(bytes(100_000))
    assert scanner.head_start == scanner.position
