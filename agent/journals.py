"""What the box knows of the relay's journals apart from the relay: so that a lost capture.db loses nothing unnoticed.

For each epoch the last seq that was told, and which seqs have been taken (they are in the outbox, or were, or the relay
had let go of them before). When the relay comes with another journal, what it had told and nobody has taken is lost.
SQL of two tables of agent.db; each function takes the connection, and is called through `Store.run`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

Run = tuple[str, int, int]  # epoch, first, last


def listed(connection: sqlite3.Connection, epoch: str, last: int) -> None:
    """The relay has listed all that is due in this epoch, and all of it was taken: nothing up to `last` is missing."""
    connection.execute(
        "INSERT INTO journals (epoch, last) VALUES (?, ?)"
        " ON CONFLICT (epoch) DO UPDATE SET last = max(last, excluded.last)",
        (epoch, last),
    )
    if last:
        taken(connection, epoch, 1, last)


def told(connection: sqlite3.Connection, epoch: str, last: int) -> None:
    """The relay has captured so far. Of an epoch that was never listed to its end nothing can be concluded."""
    connection.execute("UPDATE journals SET last = max(last, ?) WHERE epoch = ?", (last, epoch))


def taken(connection: sqlite3.Connection, epoch: str, first: int, last: int) -> None:
    """These seqs are safe. Runs that touch or overlap become one."""
    low, high = connection.execute(
        "SELECT min(first), max(last) FROM taken WHERE epoch = ? AND first <= ? AND last >= ?",
        (epoch, last + 1, first - 1),
    ).fetchone()
    if low is not None:
        connection.execute(
            "DELETE FROM taken WHERE epoch = ? AND first <= ? AND last >= ?", (epoch, last + 1, first - 1)
        )
        first, last = min(first, low), max(last, high)
    connection.execute("INSERT INTO taken (epoch, first, last) VALUES (?, ?, ?)", (epoch, first, last))


def lost(connection: sqlite3.Connection, there: Mapping[str, int | None]) -> list[Run]:
    """What was told of journals that the relay has no more, and was never taken.

    `there`: the epochs that the relay has, and of those that are over the last seq that it knows of. Where a damaged
    file was salvaged, what was told beyond that is lost too.
    """
    out: list[Run] = []
    for epoch, last in connection.execute("SELECT epoch, last FROM journals ORDER BY epoch").fetchall():
        known = there.get(epoch, 0)
        if known is None:
            continue
        at = known + 1
        for begin, end in connection.execute(
            "SELECT first, last FROM taken WHERE epoch = ? ORDER BY first", (epoch,)
        ).fetchall():
            if at < begin:
                out.append((epoch, at, min(begin - 1, last)))
            at = max(at, end + 1)
        if at <= last:
            out.append((epoch, at, last))
    return [run for run in out if run[1] <= run[2]]
