"""How far each journal of a box has come, and what is missing in it: the tables `epochs` and `holes`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from sys import maxsize
from typing import Any, NamedTuple

import sqlalchemy as sa

from cloud.holes import Run, fill, runs
from cloud.leases import Leases
from cloud.store.schema import boxes, epochs, holes
from wire.messages import now_ms

Journal = tuple[str, str, str]  # merchant, box, epoch
AT_ONCE = 300  # journals named in one query
ASKED_AT_ONCE = 2000  # holes
LONGEST_PAUSE_MS = 3_600_000  # a hole is asked for again after twice as long each time, up to this


class Stand(NamedTuple):
    merchant: str  # whose it is, for ever
    highest: int  # no higher number came


Stands = dict[tuple[str, str], Stand]  # by box, epoch; without journals that are new


def standing(connection: sa.Connection, named: Iterable[Journal]) -> Stands:
    """How far these journals have come; on PostgreSQL locked until the transaction ends."""
    out: Stands = {}
    for some in _slices(named):
        rows = connection.execute(
            sa.select(epochs.c.box, epochs.c.epoch, epochs.c.merchant_id, epochs.c.highest)
            .where(epochs.c.box.in_([n[1] for n in some]), epochs.c.epoch.in_([n[2] for n in some]))
            .with_for_update()
        )
        out |= {(row.box, row.epoch): Stand(row.merchant_id, row.highest) for row in rows}
    return out


def count(connection: sa.Connection, came: dict[Journal, list[Run]], stands: Stands) -> None:
    """Move `highest` on and keep the holes: one row written for each journal of the batch."""
    if not came:
        return
    at = now_ms()
    moved, fresh = [], []
    for (merchant, box, epoch), spans in came.items():
        single = [first for first, last in spans if first == last]
        pieces = sorted([*runs(single), *(span for span in spans if span[0] != span[1])])
        stand = stands.get((box, epoch))
        top = stand.highest if stand else 0
        if stand is None:
            fresh.append(
                {"box": box, "epoch": epoch, "merchant_id": merchant, "highest": 0, "first_at": at, "last_at": at}
            )
        new_top = top
        if pieces[0][0] == top + 1 and len(pieces) == 1:
            new_top = pieces[0][1]
        else:
            new_top = _rework_holes(connection, (merchant, box, epoch), top, pieces, at)
        moved.append({"b_box": box, "b_epoch": epoch, "b_highest": new_top, "b_at": at})
    if fresh:
        connection.execute(sa.insert(epochs), fresh)
    connection.execute(
        sa.update(epochs)
        .where(epochs.c.box == sa.bindparam("b_box"), epochs.c.epoch == sa.bindparam("b_epoch"))
        .values(highest=sa.bindparam("b_highest"), last_at=sa.bindparam("b_at")),
        moved,
    )


def _rework_holes(connection: sa.Connection, journal: Journal, top: int, pieces: list[Run], at: int) -> int:
    """-> the highest number now. Only holes that the pieces reach are looked at: a box may make as many as it likes."""
    merchant, box, epoch = journal
    mine = (holes.c.merchant_id == merchant, holes.c.box == box, holes.c.epoch == epoch)
    low, high = pieces[0][0], max(last for _, last in pieces)
    before_it = sa.select(sa.func.max(holes.c.first)).where(*mine, holes.c.first <= low).scalar_subquery()
    rows = connection.execute(
        sa.select(holes.c.first, holes.c.last, holes.c.since, holes.c.asked_at, holes.c.asked)
        .where(*mine, holes.c.first >= sa.func.coalesce(before_it, low), holes.c.first <= high)
        .order_by(holes.c.first)
    ).all()
    before = [(row.first, row.last) for row in rows]
    after = before.copy()
    for piece in pieces:
        top = fill(top, after, piece)
    gone, made = set(before) - set(after), sorted(set(after) - set(before))
    if gone:
        this = sa.delete(holes).where(*mine, holes.c.first == sa.bindparam("b_first"))
        connection.execute(this, [{"b_first": first} for first, _ in gone])
    fresh = []
    for first, last in made:
        n = bisect_right(before, (first, maxsize)) - 1
        old = rows[n] if n >= 0 and last <= rows[n].last else None  # what is left of an old one is as old
        fresh.append(
            {
                "merchant_id": merchant,
                "box": box,
                "epoch": epoch,
                "first": first,
                "last": last,
                "since": old.since if old else at,
                "asked_at": old.asked_at if old else None,
                "asked": old.asked if old else 0,
            }
        )
    if fresh:
        connection.execute(sa.insert(holes), fresh)
    return top


def due(connection: sa.Connection, after_ms: int, leases: Leases | None) -> list[Any]:
    """Holes older than `after_ms` that are to be asked for now: those that waited longest first, whosever they are."""
    pauses = {n: min(after_ms << n, LONGEST_PAUSE_MS) for n in range(12)}
    pause = sa.case(pauses, value=holes.c.asked, else_=LONGEST_PAUSE_MS)
    asked_at = sa.func.coalesce(holes.c.asked_at, 0)
    at = sa.literal(now_ms(), sa.BigInteger)  # PostgreSQL would take it for as small a number as the pauses
    query = sa.select(holes).where(holes.c.since < at - after_ms, asked_at < at - pause)
    if leases is not None:
        query = query.join(boxes, boxes.c.id == holes.c.box).where(boxes.c.shard.in_(leases.held))
    return list(connection.execute(query.order_by(asked_at, holes.c.since).limit(ASKED_AT_ONCE)))


def asked(connection: sa.Connection, some: list[Any]) -> None:
    """These were asked for just now."""
    at, key = now_ms(), ("merchant_id", "box", "epoch", "first")
    connection.execute(
        sa.update(holes)
        .where(*(holes.c[name] == sa.bindparam(f"b_{name}") for name in key))
        .values(asked_at=at, asked=holes.c.asked + 1),
        [{f"b_{name}": getattr(hole, name) for name in key} for hole in some],
    )


def missing(connection: sa.Connection, merchant: str, box: str, epoch: str, top: int, last: int, at: int) -> None:
    if not connection.execute(sa.select(epochs.c.box).where(epochs.c.box == box, epochs.c.epoch == epoch)).first():
        connection.execute(
            sa.insert(epochs).values(box=box, epoch=epoch, merchant_id=merchant, highest=0, first_at=at, last_at=at)
        )
    connection.execute(
        sa.insert(holes).values(merchant_id=merchant, box=box, epoch=epoch, first=top + 1, last=last, since=at, asked=0)
    )
    connection.execute(
        sa.update(epochs).where(epochs.c.box == box, epochs.c.epoch == epoch).values(highest=last, last_at=at)
    )


def _slices(journals: Iterable[Journal]) -> Iterable[list[Journal]]:
    ordered = sorted(journals)
    return (ordered[start : start + AT_ONCE] for start in range(0, len(ordered), AT_ONCE))
