"""What is lost of a journal that the relay has no more."""

from __future__ import annotations

import sqlite3
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agent import journals
from agent.store import schema


def database() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.executescript(schema())
    return connection


@given(seqs=st.lists(st.integers(1, 40), unique=True), last=st.integers(0, 45))
def test_exactly_what_was_told_and_never_taken_is_lost(seqs: list[int], last: int) -> None:
    connection = database()
    journals.listed(connection, "e", 0)
    for seq in seqs:
        journals.taken(connection, "e", seq, seq)
    journals.told(connection, "e", last)
    lost = {seq for _, first, end in journals.lost(connection, {"other": None}) for seq in range(first, end + 1)}
    assert lost == set(range(1, last + 1)) - set(seqs)
    runs = connection.execute("SELECT first, last FROM taken ORDER BY first").fetchall()
    assert all(before[1] + 1 < after[0] for before, after in pairwise(runs)), "runs do not touch"


def test_a_journal_that_the_relay_still_has_lost_nothing() -> None:
    connection = database()
    journals.listed(connection, "e", 3)
    journals.told(connection, "e", 5)
    assert journals.lost(connection, {"e": None}) == []
    assert journals.lost(connection, {}) == [("e", 4, 5)]


def test_of_a_salvaged_journal_what_was_told_beyond_its_last_row_is_lost() -> None:
    connection = database()
    journals.listed(connection, "e", 3)
    journals.told(connection, "e", 9)
    journals.taken(connection, "e", 7, 7)
    assert journals.lost(connection, {"e": 5}) == [("e", 6, 6), ("e", 8, 9)]
    assert journals.lost(connection, {"e": 9}) == []


def test_of_an_epoch_that_was_never_listed_nothing_is_concluded() -> None:
    connection = database()
    journals.told(connection, "e", 5)
    assert journals.lost(connection, {}) == []
