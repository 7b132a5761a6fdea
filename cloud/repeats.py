"""A slip that was not printed whole, and that the till printed again: one sale on two papers. The later one counts.

A till that gets an error, or whose waiter sees torn paper, sends the same again. The box says of the first job that
only a part was delivered; where the same POS sends the same lines soon after, that is its repeat. A part without a
repeat is a sale like any other: the paper may have run out on the last line, and nobody minded.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from cloud.store.rows import among
from cloud.store.schema import jobs

LOOK = 3  # jobs between: another slip may have been printed before the torn one was tried again
SOON_MS = 10 * 60_000
Key = tuple[str, str]  # merchant, job

_first, _then = jobs.alias("first"), jobs.alias("later")
_SAME_LINE = sa.and_(
    _first.c.delivered == "part",
    _then.c.merchant_id == _first.c.merchant_id,
    _then.c.box == _first.c.box,
    _then.c.epoch == _first.c.epoch,
    _then.c.pos == _first.c.pos,
)
_NEXT = _then.c.seq.between(_first.c.seq + 1, _first.c.seq + LOOK)  # the later one is found by the index on seq,
_BEFORE = _first.c.seq.between(_then.c.seq - LOOK, _then.c.seq - 1)  # or the first one: the same, said the other way


def parts_before(connection: sa.Connection, of: list[Key]) -> list[Key]:
    """Half printed jobs, which one of these may repeat."""
    if not of:
        return []
    these = among(connection, (_then.c.merchant_id, _then.c.id), of)
    rows = connection.execute(sa.select(_first.c.merchant_id, _first.c.id).where(_SAME_LINE, _BEFORE, these).distinct())
    return [(row.merchant_id, row.id) for row in rows]


def of_parts(connection: sa.Connection, of: list[Key]) -> dict[Key, str]:
    """Those of these jobs that were half printed and printed again -> the later job."""
    if not of:
        return {}
    these = among(connection, (_first.c.merchant_id, _first.c.id), of)
    columns = [
        table.c[name].label(f"{table.name}_{name}")
        for table in (_first, _then)
        for name in ("id", "lines", "boot", "mono_ms", "started_ms")
    ]
    rows = connection.execute(
        sa.select(_first.c.merchant_id, *columns)
        .where(_SAME_LINE, _NEXT, these, _then.c.delivered != "none")
        .order_by(_first.c.id, _then.c.seq)
    )
    found: dict[Key, str] = {}
    for row in rows:
        if _soon(row) and says_again(row.first_lines, row.later_lines):
            found.setdefault((row.merchant_id, row.first_id), row.later_id)
    return found


def _soon(row: Any) -> bool:
    if row.first_boot == row.later_boot:
        return bool(0 <= row.later_mono_ms - row.first_mono_ms <= SOON_MS)
    return bool(abs(row.later_started_ms - row.first_started_ms) <= SOON_MS)


def says_again(first: str | None, later: str | None) -> bool:
    r"""Whether the later paper begins as the first one does, whose last line may be cut short.

    >>> says_again("Soup 4.00\nTOT", "Soup 4.00\nTOTAL 4.00"), says_again("Soup 4.00", "Tea"), says_again("", "Tea")
    (True, False, False)
    """
    began, whole = _said(first), _said(later)
    if not began or len(began) > len(whole):
        return False
    *sure, last = began
    return sure == whole[: len(sure)] and whole[len(sure)].startswith(last)


def _said(lines: str | None) -> list[str]:
    return [words for line in (lines or "").split("\n") if (words := " ".join(line.split()))]
