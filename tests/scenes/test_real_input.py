"""Streams that others wrote go through the whole running system, over TCP and over a serial line.

The printer gets exactly their bytes; the cloud has every byte of every job (masked where a card number stood); the text
is readable; and once acknowledged, nothing of it is left on the box.
"""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from receipt.redact import mask
from receipt.tokens import Effect, Tokenizer
from tests.scenes.conftest import Shop
from tests.simulators.system import until
from tests.simulators.till import SerialTill, TcpTill

DATA = Path(__file__).parents[3] / "shared" / "data"
CAPTURES = sorted((DATA / "escpos").rglob("*.bin"))
CORPUS = DATA / "corpus" / "escpos_corpus_dev.jsonl.gz"
STREAMS = 200

needs_data = pytest.mark.skipif(not CAPTURES, reason=f"{DATA} is not here")


def without_questions(raw: bytes) -> bytes:
    """The stream less its questions: those start no job, and real-time ones may overtake what is held."""
    tokenizer = Tokenizer()
    tokens = tokenizer.feed(raw) + tokenizer.close()
    return b"".join(t.raw for t in tokens if not t.command.effect & (Effect.QUERY | Effect.REALTIME))


def went_through(shop: Shop, sent: dict[str, bytes], after: str) -> list[str]:
    """Wait until the cloud has, and has read, every byte that was sent over each POS link. -> the text of the jobs."""

    def stored(pos: str) -> bytes:
        return without_questions(b"".join(job.raw for job in shop.stored(after) if job.pos == pos))

    for pos, raw in sent.items():
        expected = without_questions(mask(raw))
        size = len(expected)
        until(lambda pos=pos, size=size: len(stored(pos)) >= size, 60, f"the cloud has every byte of {pos}")
        assert stored(pos) == expected
    until(lambda: all(job.state == "read" for job in shop.stored(after)), 180, "every job is read")
    return [job.text for job in shop.stored(after)]


def is_on_paper(shop: Shop, raw: bytes, before: int) -> None:
    until(lambda: len(shop.printer.received) - before >= len(raw), 180, "the printer has every byte")
    printed = bytes(shop.printer.received[before:])
    assert len(printed) == len(raw)
    assert without_questions(printed) == without_questions(raw)


@needs_data
@pytest.mark.parametrize("link", ["till", "kiosk"], ids=["tcp", "serial"])
def test_every_capture_goes_all_the_way(shop: Shop, link: str) -> None:
    for path in CAPTURES:
        raw, about = path.read_bytes(), json.loads(path.with_suffix(".json").read_text())
        before, after = len(shop.printer.received), shop.last_key()
        if link == "till":
            till = shop.till()
            till.send(raw)
            till.close()
        else:
            shop.serial.send(raw)
        is_on_paper(shop, raw, before)
        text = "\n".join(went_through(shop, {link: raw}, after))
        wanted = [line.split() for line in about.get("expected_text") or [] if line.strip()]
        have = {word for line in text.splitlines() for word in line.split()}
        readable = sum(all(word in have for word in words) for words in wanted)
        assert readable >= 0.9 * len(wanted), f"{path.name}: {readable} of {len(wanted)} lines can be read"
    until(lambda: shop.left_on_the_box() == 0, 180, "nothing is left on the box")


def streams() -> list[dict[str, Any]]:
    with gzip.open(CORPUS, "rt", encoding="utf-8") as lines:
        found = [record for record in map(json.loads, lines) if record["kind"] == "stream"]
    return (found * -(-STREAMS // len(found)))[:STREAMS]


def send_in_pieces(till: TcpTill | SerialTill, raw: bytes, sizes: list[int]) -> None:
    at = 0
    for size in [*sizes, len(raw)]:
        till.send(raw[at : at + size])
        at += size


@needs_data
@pytest.mark.timeout(300)
def test_many_jobs_on_one_wire_go_all_the_way_at_any_chunk_size(shop: Shop) -> None:
    """Every fourth stream comes over the serial line, the others over TCP, a connection each."""
    everything, by_link, after = len(shop.printer.received), {"till": b"", "kiosk": b""}, shop.last_key()
    for n, record in enumerate(streams()):
        raw, before = base64.b64decode(record["bytes_b64"]), everything
        everything += len(raw)
        by_link["kiosk" if n % 4 == 3 else "till"] += raw
        if n % 4 == 3:
            send_in_pieces(shop.serial, raw, record["chunk_sizes"])
        else:
            till = shop.till()
            send_in_pieces(till, raw, record["chunk_sizes"])
            till.close()
        is_on_paper(shop, raw, before)
    went_through(shop, by_link, after)
    until(lambda: shop.left_on_the_box() == 0, 180, "nothing is left on the box")
