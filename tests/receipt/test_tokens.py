"""receipt/tokens.py: framing, at any chunking, of both dialects."""

from __future__ import annotations

import doctest
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import receipt.tokens
from receipt.commands import ESCPOS, Answer, Effect
from receipt.star import STAR
from receipt.tokens import Dialect, Scanner, Token, Tokenizer, detect

TEXT = st.sampled_from([b"TOTAL 4.50", b"Coffee", b"\xba\xcf\xbc\xc6", "é€".encode()])
SMALL = [prefix + b"\x01\x02\x03\x04\x05\x06\x07\x08"[: size - len(prefix)] for prefix, row in ESCPOS.items()
         if isinstance(size := row.size, int) and size]  # fmt: skip
COUNTED = [
    b"\x1dv0\x00\x02\x00\x03\x00" + b"\x1b@\x1dV\x10\x04",
    b"\x1b*\x21\x02\x00abcdef",
    b"\x1d(k\x05\x001P0hi",
    b"\x1d8L\x0c\x00\x00\x000p\x30\x01\x01\x31\x08\x00\x01\x00\xff!",
    b"\x1dk\x04ABC\x00",
    b"\x1dkI\x03{B1",
    b"\x1bD\x08\x10\x00",
    b"\x1b&\x02\x41\x42\x01ab\x02abcd",
    b"\x1cq\x02\x01\x00\x01\x00abcdefgh\x01\x00\x01\x00abcdefgh",
    b"\x1dC;1;2;3;4;5;",
    b"\x12*\x02\x02abcd",
    b"\x1b\x1da\x01",
    b"\x1bd3",
    b"\x1b*rA\x00b\x02\x00ab\x1b*rB",
    b"\x1bb4110123\x1e",
]
receipts = st.lists(TEXT | st.sampled_from(SMALL + COUNTED + [b"\n", b"\r\n", b"\x10\x04\x01"]), max_size=30).map(
    b"".join
)


def in_chunks(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


@settings(deadline=None)
@given(stream=receipts | st.binary(max_size=400), cuts=st.lists(st.integers(0, 400)), dialect=st.sampled_from(Dialect))
def test_tokens_do_not_depend_on_how_the_stream_was_cut(stream: bytes, cuts: list[int], dialect: Dialect) -> None:
    tokenizer = Tokenizer(dialect)
    tokens = [token for chunk in in_chunks(stream, cuts) for token in tokenizer.feed(chunk)]
    whole = Tokenizer(dialect)
    assert tokens == whole.feed(stream)
    assert b"".join(token.raw for token in tokens) + tokenizer.pending == stream
    tokens += tokenizer.close()
    assert b"".join(token.raw for token in tokens) == stream


@pytest.mark.covers("A13")
@settings(deadline=None)
@given(stream=receipts | st.binary(max_size=400), cuts=st.lists(st.integers(0, 400)))
def test_marks_cover_the_stream_without_gaps_at_any_chunking(stream: bytes, cuts: list[int]) -> None:
    scanner = Scanner()
    marks = [mark for chunk in in_chunks(stream, cuts) for mark in scanner.feed(memoryview(chunk))]
    assert scanner.position == len(stream)
    at = 0
    for mark in marks:
        assert mark.start == at
        assert mark.end > at
        at = mark.end
    assert scanner.head_start == (at if at < len(stream) else len(stream))
    assert scanner.at_boundary == (at == len(stream) and scanner.head_start == len(stream) and not scanner._pieces)
    whole = Scanner()
    cut_ends = [(mark.command.name, mark.end) for mark in whole.feed(stream) if mark.command.name != "text"]
    assert [(mark.command.name, mark.end) for mark in marks if mark.command.name != "text"] == cut_ends
    assert scanner.dialect == whole.dialect


@pytest.mark.parametrize("sample", COUNTED[:11])
def test_a_command_with_a_payload_is_one_token(sample: bytes) -> None:
    tokens = Tokenizer().feed(b"a" + sample + b"b\n")
    assert [token.raw for token in tokens] == [b"a", sample, b"b", b"\n"]
    assert tokens[1].name != "unknown"


@pytest.mark.parametrize("table", [ESCPOS, STAR], ids=["escpos", "star"])
def test_every_row_of_the_tables_names_its_source_and_its_answer(table: dict[bytes, object]) -> None:
    for prefix, row in table.items():
        assert row.source, prefix  # type: ignore[attr-defined]
        assert row.name.islower(), prefix  # type: ignore[attr-defined]
        if Effect.QUERY in row.effect and row.variant is None:  # type: ignore[attr-defined]
            assert row.answer is not None, prefix  # type: ignore[attr-defined]


def test_a_fixed_command_is_marked_before_its_parameters_come() -> None:
    scanner = Scanner()
    [mark] = scanner.feed(b"\x1bp")
    assert (mark.command.name, mark.start, mark.end) == ("pulse", 0, 5)
    assert not scanner.at_boundary
    assert scanner.feed(b"\x00\x19") == []
    assert scanner.feed(b"\xfaA")[0].command.name == "text"


@pytest.mark.covers("A10")
def test_a_length_field_allocates_nothing() -> None:
    scanner = Scanner()
    [mark] = scanner.feed(b"\x1d8L\xff\xff\xff\xff0p")
    assert mark.end == 7 + 0xFFFFFFFF
    for _ in range(64):
        assert scanner.feed(bytes(65536)) == []
    [raster] = Scanner().feed(b"\x1dv0\x00\xff\xff\xff\xff")
    assert raster.end == 8 + 65535 * 65535


@pytest.mark.covers("A10", "A11")
def test_a_command_longer_than_what_may_be_held_comes_in_pieces() -> None:
    tokenizer = Tokenizer(max_pending=100_000)
    stream = b"\x1dv0\x00\xff\xff\xff\xff" + bytes(300_000)
    tokens = [token for at in range(0, len(stream), 1000) for token in tokenizer.feed(stream[at : at + 1000])]
    assert {token.name for token in tokens} == {"unknown"}
    assert len(tokenizer.pending) < 100_000
    assert b"".join(token.raw for token in tokens) + tokenizer.pending == stream
    assert tokens == Tokenizer(max_pending=100_000).feed(stream)


@pytest.mark.parametrize(
    ("stream", "dialect"),
    [
        (b"\x1b@hello\n\x1bd\x03\x1dVA\x00", Dialect.ESCPOS),
        (b"\x1b@\x1b\x1da\x01hello\n\x1bd3", Dialect.STAR),
        (b"\x1b\x1ea\x00\x1b*rA", Dialect.STAR),
        (b"plain text\n", Dialect.ESCPOS),
        (b"\x1b\x1dt\x01mixed\x1d!\x11then ESC/POS\x1dVA\x00", Dialect.ESCPOS),
        (b"\x1dv0\x00\x04\x00\x01\x00\x1b\x1da\x01\n", Dialect.ESCPOS),
        (b"\x1b@SHOP\n\x1bETOTAL 4.50\x1bF\n\x1bd3", Dialect.STAR),  # nothing but the way it is used
        (b"\x1b@\x1bi\x01\x01SHOP\n\x1bi\x00\x00Tea\n\x1bd\x03", Dialect.STAR),
        (b"\x1b@SHOP\n\x1bE\x01TOTAL 4.50\x1bE\x00\n\x1bd1\x1bi", Dialect.ESCPOS),
        (b"\x1b4\x01SHOP\x1b4\x00\n\x1bd\x03\x1bm", Dialect.ESCPOS),
    ],
)
def test_the_dialect_is_told_by_commands_that_only_one_has(stream: bytes, dialect: Dialect) -> None:
    assert detect(stream) is dialect


def test_the_same_bytes_cut_at_star_and_feed_in_escpos() -> None:
    assert [mark.command.name for mark in Scanner(Dialect.ESCPOS).feed(b"\x1bd\x03")] == ["feed_lines"]
    [mark] = Scanner(Dialect.STAR).feed(b"\x1bd\x03")
    assert mark.command.name == "star_cut"
    assert Effect.CUTS in mark.command.effect


def test_a_fixed_dialect_does_not_change() -> None:
    scanner = Scanner(Dialect.ESCPOS)
    assert [mark.command.name for mark in scanner.feed(b"\x1b\x1da\x01")][:1] == ["unknown"]
    assert scanner.dialect is Dialect.ESCPOS


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        (b"\x10\x04\x01", Answer.REALTIME),
        (b"\x1dr\x01", Answer.BYTE),
        (b"\x1dI\x01", Answer.BYTE),
        (b"\x1dIC", Answer.BLOCK),
        (b"\x1d(H\x06\x000\x300001", Answer.BLOCK),
        (b"\x1da\xff", Answer.ASB),
        (b"\x1bv", Answer.BYTE),
    ],
)
def test_a_query_tells_what_comes_back(query: bytes, answer: Answer) -> None:
    [mark] = Scanner().feed(query)
    assert Effect.QUERY in mark.command.effect
    assert mark.command.answer is answer


@pytest.mark.parametrize(
    "cut", [b"\x1dV\x00", b"\x1dV1", b"\x1dVA\x03", b"\x1dVB\x00", b"\x1bi", b"\x1bm", b"\x1dVg\x01"]
)
def test_every_cut_is_one(cut: bytes) -> None:
    [mark] = Scanner().feed(cut)
    assert Effect.CUTS in mark.command.effect
    assert mark.end == len(cut)


@pytest.mark.covers("A13")
@settings(max_examples=15, deadline=None)
@given(st.binary(min_size=1, max_size=12), st.sampled_from([Dialect.AUTO, Dialect.STAR]))
def test_no_repeated_bytes_make_the_scanner_hold_much(piece: bytes, dialect: Dialect) -> None:
    scanner = Scanner(dialect)
    for _ in range(300):
        scanner.feed(piece * 10)
        assert scanner.position - scanner.head_start < 320


def test_long_text_comes_in_tokens_of_4096_bytes() -> None:
    tokens = Tokenizer().feed(b"x" * 10_000 + b"\n")
    assert [len(token.raw) for token in tokens] == [4096, 4096, 1808, 1]


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(receipt.tokens).failed == 0


def test_token_equality_is_of_name_and_bytes() -> None:
    assert Tokenizer().feed(b"\n") == [Token("line_feed", b"\n", ESCPOS[b"\n"])]
