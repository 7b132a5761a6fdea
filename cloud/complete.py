"""Is everything here? Per box and day: what came, what is missing and why, and what the Z-report says to it.

Three witnesses: the box numbers its jobs without a gap (holes and tombstones tell what is missing), the POS numbers its
receipts (a number that was passed over is one that no paper had), and the Z-report says what the day summed up to.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from cloud.facts import Places
from cloud.store.figures import facts
from cloud.store.schema import holes, tombstones

LONGEST_GAP = 50  # a larger step is another row of numbers, not lost paper


@dataclass(slots=True)
class BoxDay:
    box: str
    day: str
    jobs: int = 0
    amount: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    waiting: list[tuple[str, int, int]] = field(default_factory=list)  # (why, first, last): not come yet, or lost
    passed_over: list[int] = field(default_factory=list)  # receipt numbers between others that no paper had
    reported: int | None = None  # of the Z-reports
    reported_currency: str = ""

    @property
    def missing(self) -> int:
        return sum(last - first + 1 for _, first, last in self.waiting)

    @property
    def difference(self) -> int | None:
        """What the Z-report has more than the receipts; None: there was none."""
        return None if self.reported is None else self.reported - self.amount.get(self.reported_currency, 0)

    @property
    def share(self) -> float:
        """How much of the day is here, by the witness that says least."""
        lost = max(self.missing, len(self.passed_over))
        by_count = self.jobs / (self.jobs + lost) if self.jobs + lost else 1.0
        if self.reported and self.difference is not None:
            by_sum = max(0.0, 1 - abs(self.difference) / abs(self.reported))
            return min(by_count, by_sum)
        return by_count


def days(connection: sa.Connection, merchant: str, first: date, last: date) -> list[BoxDay]:
    """The newest first."""
    c = facts.c
    out: dict[tuple[str, str], BoxDay] = {}

    def of(box: str, day: str) -> BoxDay:
        return out.setdefault((box, day), BoxDay(box, day))

    span = (c.merchant_id == merchant, c.day >= first.isoformat(), c.day <= last.isoformat())
    worth = sa.func.sum(sa.case((c.counted, c.total), else_=0))
    papers = sa.func.sum(sa.case((c.n == 0, 1), else_=0))  # each has one fact with n = 0
    columns: tuple[Any, ...] = (c.box, c.day, c.currency, papers, worth)
    for row in connection.execute(sa.select(*columns).where(*span).group_by(c.box, c.day, c.currency)):
        mine = of(row[0], row[1])
        mine.jobs += int(row[3])
        mine.amount[row[2]] += int(row[4] or 0)
    reports = sa.select(c.box, c.day, c.currency, c.total).where(*span, c.kind == "report", c.total.is_not(None))
    for row in connection.execute(reports.order_by(c["at"])):
        mine = of(row.box, row.day)
        mine.reported, mine.reported_currency = row.total, row.currency  # the day's last one
    for row in connection.execute(sa.select(c.box, c.day, c.number).where(*span, c.counted, c.number != "")):
        if row.number.isascii() and row.number.isdecimal() and len(row.number) < 16:
            of(row.box, row.day).passed_over.append(int(row.number))
    for one in out.values():
        one.passed_over = _gaps(one.passed_over)
    _missing(connection, merchant, first, last, of)
    return sorted(out.values(), key=lambda one: (one.day, one.box), reverse=True)


def _missing(connection: sa.Connection, merchant: str, first: date, last: date, of: Any) -> None:
    """Holes and tombstones, on the day when they were noticed."""
    places = Places(connection, [merchant])
    rows = [
        (row.box, "on_its_way", row.first, row.last, row.since)
        for row in connection.execute(sa.select(holes).where(holes.c.merchant_id == merchant))
    ] + [
        (row.box, row.reason, row.first, row.last, row.received_at)
        for row in connection.execute(
            sa.select(tombstones).where(tombstones.c.merchant_id == merchant, tombstones.c.reason != "released")
        )
    ]
    for box, why, start, end, ms in rows:
        shop = places.shop(merchant, box)
        day = shop.day(shop.local(ms))
        if first <= day <= last:
            of(box, day.isoformat()).waiting.append((why, start, end))


def _gaps(numbers: list[int]) -> list[int]:
    """What is passed over between neighbours.

    >>> _gaps([7, 4, 5, 9, 400])
    [6, 8]
    """
    known = sorted(set(numbers))
    out: list[int] = []
    for a, b in pairwise(known):
        if 1 < b - a <= LONGEST_GAP:
            out += range(a + 1, b)
    return out


def share(of: list[BoxDay]) -> float | None:
    """One number: how much is here, weighted by what the days printed. None: nothing to say."""
    weight = sum(one.jobs + one.missing for one in of)
    return sum(one.share * (one.jobs + one.missing) for one in of) / weight if weight else None
