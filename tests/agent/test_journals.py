"""What is lost of a journal that the relay has no more."""

from __future__ import annotations

import sqlite3
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agent import journals, outbox
from agent.store import schema
from wire import messages
from wire.messages import Boundary, Captured, Clock


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


def test_a_job_under_its_new_key_takes_the_place_of_the_old_one() -> None:
    """Else the old row would stay, be told without bytes once the relay has let go of them, and be stored so."""
    connection = database()
    now = Clock("boot", 1, 1)

    def job(epoch: str, seq: int, was: tuple[str, int] | None = None) -> Captured:
        return messages.new(
            Captured, epoch=epoch, seq=seq, sha256=b"h" * 32, size=9, boundary=Boundary.CUT, pos="till",
            printer="main", started=now, ended=now, was=was,
        )  # fmt: skip

    for seq in (6, 7, 8):
        outbox.put_job(connection, job("old", seq), False)
    outbox.put_job(connection, job("new", 1, ("old", 7)), False)
    assert [key for _, key in outbox.jobs_up_to(connection, 99)] == [("old", 6), ("old", 8), ("new", 1)]
