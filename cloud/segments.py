"""Customers by what they do: recency, frequency, monetary value; who came back; who stays away. From facts."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, timedelta

import sqlalchemy as sa

from cloud.store.figures import customers, facts, items, sold

SEGMENTS = ("best", "loyal", "new", "promising", "slipping", "lost", "none")
YEAR = 365


@dataclass(frozen=True, slots=True)
class Habit:
    """What one customer did in the last year, in one currency."""

    customer: str
    name: str
    visits: int  # business days with a receipt
    spent: int
    first: date
    last: date
    recency: int  # days since
    scores: tuple[int, int, int]  # recency, frequency, money: 1 (least) to 5
    segment: str

    @property
    def gap(self) -> float | None:
        """Usual days between two visits."""
        return (self.last - self.first).days / (self.visits - 1) if self.visits > 1 else None

    @property
    def lapsed(self) -> bool:
        """Away for three times as long as usual, and at least a month."""
        return self.gap is not None and self.visits >= 3 and self.recency > max(30.0, 3 * self.gap)


def habits(connection: sa.Connection, merchant: str, currency: str, today: date) -> list[Habit]:
    """The best first."""
    c = facts.c
    start = (today - timedelta(days=YEAR)).isoformat()
    rows = connection.execute(
        sa.select(
            c.customer_id,
            customers.c.name,
            sa.func.count(sa.distinct(c.day)).label("visits"),
            sa.func.sum(c.total).label("spent"),
            sa.func.min(c.day).label("first"),
            sa.func.max(c.day).label("last"),
        )
        .join(customers, sa.and_(customers.c.merchant_id == c.merchant_id, customers.c.id == c.customer_id))
        .where(c.merchant_id == merchant, c.customer_id != "", c.counted, c.currency == currency, c.day >= start)
        .group_by(c.customer_id, customers.c.name)
    ).all()
    recent = _fifths([-(today - date.fromisoformat(row.last)).days for row in rows])
    often, much = _fifths([row.visits for row in rows]), _fifths([int(row.spent) for row in rows])
    out = []
    for row, r, f, m in zip(rows, recent, often, much, strict=True):
        first, last = date.fromisoformat(row.first), date.fromisoformat(row.last)
        away = (today - last).days
        segment = _segment(r, f, m, away, (today - first).days, row.visits)
        out.append(Habit(row.customer_id, row.name, row.visits, int(row.spent), first, last, away, (r, f, m), segment))
    return sorted(out, key=lambda h: (-sum(h.scores), -h.spent, h.customer))


def _fifths(values: list[int]) -> list[int]:
    """Each value's fifth, 1 to 5, by rank; the same value always the same."""
    rank = {value: n for n, value in reversed(list(enumerate(sorted(values))))}
    return [rank[value] * 5 // len(values) + 1 for value in values]


def _segment(r: int, f: int, m: int, away: int, known: int, visits: int) -> str:
    if r >= 4 and f >= 4 and m >= 4:
        return "best"
    if known <= 45 and visits <= 3:
        return "new"
    if f >= 3 and r >= 3:
        return "loyal"
    if f >= 3:
        return "slipping"
    return "promising" if r >= 3 else "lost"


def cohorts(connection: sa.Connection, merchant: str, today: date, months: int = 6) -> list[tuple[str, int, list[int]]]:
    """(month of the first receipt, how many began then, how many of them came 0, 1, 2 … months later)."""
    c = facts.c
    rows = connection.execute(
        sa.select(c.customer_id, sa.func.substr(c.day, 1, 7).label("month"))
        .where(c.merchant_id == merchant, c.customer_id != "", c.counted, c.kind == "sale")
        .distinct()
    )
    came: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        came[row.customer_id].add(int(row.month[:4]) * 12 + int(row.month[5:]) - 1)
    now = today.year * 12 + today.month - 1
    out = []
    for begin in range(now - months + 1, now + 1):
        mine = [when for when in came.values() if min(when) == begin]
        kept = [sum(1 for when in mine if begin + n in when) for n in range(now - begin + 1)]
        out.append((f"{begin // 12}-{begin % 12 + 1:02d}", len(mine), kept))
    return out


def matched(connection: sa.Connection, merchant: str, first: date, last: date) -> tuple[int, int]:
    """(sales that belong to a known customer, all sales) of these days."""
    c = facts.c
    row = connection.execute(
        sa.select(sa.func.sum(sa.case((c.customer_id != "", 1), else_=0)), sa.func.count()).where(
            c.merchant_id == merchant,
            c.counted,
            c.kind == "sale",
            c.day >= first.isoformat(),
            c.day <= last.isoformat(),
        )
    ).one()
    return int(row[0] or 0), int(row[1] or 0)


def favourites(connection: sa.Connection, merchant: str, customer: str, most: int = 8) -> list[tuple[str, float]]:
    """(item, pieces) of one customer."""
    mine = sa.select(facts.c.job_id).where(
        facts.c.merchant_id == merchant, facts.c.customer_id == customer, facts.c.counted
    )
    rows = connection.execute(
        sa.select(sold.c.item, items.c.name, sa.func.sum(sold.c.quantity).label("n"))
        .outerjoin(items, sa.and_(items.c.merchant_id == sold.c.merchant_id, items.c.item == sold.c.item))
        .where(sold.c.merchant_id == merchant, sold.c.job_id.in_(mine))
        .group_by(sold.c.item, items.c.name)
    ).all()
    return [(row.name or row.item, row.n) for row in sorted(rows, key=lambda r: (-r.n, r.item))[:most] if row.n > 0]


def sizes(of: list[Habit]) -> dict[str, int]:
    return Counter(habit.segment for habit in of)
