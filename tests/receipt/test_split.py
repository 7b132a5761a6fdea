"""receipt/split.py: pieces of paper in bytes without their timing."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import receipt
from receipt.model import Kind
from receipt.split import Part, split

CORPUS = Path(__file__).parents[3] / "shared" / "data" / "corpus" / "escpos_corpus_dev.jsonl.gz"
ONE = b"SHOP ONE\nTea  4.50\nCake  3.00\nTOTAL  7.50\n"
TWO = b"SHOP TWO\nMilk  1.50\nBread  2.00\nTOTAL  3.50\n"


def test_a_cut_ends_a_piece_and_the_drawer_after_it_belongs_to_it() -> None:
    first = b"\x1b@" + ONE + b"\x1dVA\x00\x10\x14\x01\x00\x05"
    second = b"\x1b@" + TWO + b"\x1dVA\x00\x1bp\x00\x19\xfa"
    assert split(first + second) == [Part(0, len(first), "cut"), Part(len(first), len(first + second), "cut")]


@pytest.mark.parametrize(
    ("between", "fresh"),
    [(b"\n\n\n", b"\x1b@"), (b"\n" * 6, b""), (b"\x0c", b""), (b"\x1bd\x04", b"\x1b@"), (b"\r\n" * 6, b"")],
)
def test_without_cuts_blank_paper_and_a_fresh_start_part_the_pieces(between: bytes, fresh: bytes) -> None:
    first, second = b"\x1b@" + ONE + between, fresh + TWO
    parts = split(first + second)
    assert [(part.start, part.end) for part in parts] == [(0, len(first)), (len(first), len(first + second))]
    assert [part.boundary for part in parts] == ["form", "close"]


@pytest.mark.parametrize(
    "within", [b"\n\n\n", b"\x1b@", b"\n\x1bd\x02", b"\n" * 6 + b"Sign here\n", b"\x1dv0\x00\x01\x00\x01\x00a\n\n\n"]
)
def test_blank_paper_within_a_receipt_does_not_part_it(within: bytes) -> None:
    assert len(split(b"\x1b@" + ONE + within + b"Thank you\n\x1dVA\x00")) == 1


def test_status_polls_and_idle_initialising_are_no_pieces() -> None:
    assert split(b"\x10\x04\x01\x1b@\x1dr1") == []
    poll = b"\x10\x04\x01\x1dr1"
    first = ONE + b"\n" * 6
    assert split(b"\x1b@" + first + poll + TWO) == [
        Part(0, 2 + len(first), "form"),
        Part(2 + len(first + poll), 2 + len(first + poll + TWO), "close"),
    ]


@pytest.mark.covers("A13")
@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from([ONE, TWO, b"\n" * 6, b"\x1b@", b"\x0c", b"\x1dVA\x00", b"\x1bp\x00\x19\xfa"])
        | st.binary(max_size=20),
        max_size=20,
    )
)
def test_pieces_stand_in_order_and_do_not_overlap(pieces: list[bytes]) -> None:
    stream = b"".join(pieces)
    at = 0
    for part in split(stream):
        assert at <= part.start < part.end <= len(stream)
        at = part.end


def test_a_job_with_two_receipts_reads_as_two() -> None:
    reading = receipt.read(b"\x1b@" + ONE + b"\n" * 6 + TWO + b"\x1dVA\x00")
    assert [found.total for found in reading.receipts] == [750, 350]
    second = reading.receipts[1]
    assert reading.lines[second.findings["total"].line].text == "TOTAL  3.50"
    assert reading.lines[second.items[0].line].text == "Milk  1.50"


def test_a_job_that_prints_nothing_says_what_it_does() -> None:
    assert [found.kind for found in receipt.read(b"\x1b@\x1bp\x00\x19\xfa").receipts] == [Kind.DRAWER]
    assert [found.kind for found in receipt.read(b"\x1d(A\x02\x00\x00\x02").receipts] == [Kind.SELFTEST]
    assert receipt.read(b"\x1b@\x1bt\x13").receipts == ()
    assert [found.kind for found in receipt.read(b"\x1b@" + ONE + b"\x1bp\x00\x19\xfa").receipts] == [Kind.SALE]


def test_the_jobs_of_recorded_streams_are_found() -> None:
    if not CORPUS.exists():
        pytest.skip("the development data is not beside the project")
    printing = ("receipt", "reprint", "kitchen_ticket", "test_print")
    right = total = 0
    with gzip.open(CORPUS, "rt", encoding="utf-8") as file:
        for record in map(json.loads, file):
            stream = base64.b64decode(record["bytes_b64"])
            starts = {part.start for part in split(stream)}
            if record["kind"] == "receipt":
                assert len(starts) == 1, record["id"]
                continue
            wanted = [job["start"] for job in record["jobs"] if job["type"] in printing]
            total += len(wanted)
            right += sum(start in starts for start in wanted)
    assert right / total > 0.99


def test_a_copy_is_known_across_the_pieces_of_a_job() -> None:
    paper = b"\x1b@SHOP\nBill no 9\n2026-03-01 10:00\nTea 2.00\nTOTAL 2.00\nCash 2.00\n\n\n\n\n\n\n"
    found = receipt.read(paper * 2).receipts
    assert [(one.kind, one.same_as) for one in found] == [(Kind.SALE, None), (Kind.COPY, "9")]
