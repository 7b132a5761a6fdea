"""Customers by what they do: recency, frequency, monetary value; who came back; who stays away. From facts."""

from __future__ import annotations

from calendar import isleap
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, timedelta

import sqlalchemy as sa

from cloud.store.figures import customers, facts, items, sold, sums

SEGMENTS = ("best", "loyal", "new", "promising", "slipping", "lost", "none")
NEWEST = 300  # receipts of a customer that tell what they like: a club's card may have thousands
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


@dataclass(frozen=True, slots=True)
class Visits:
    """What one customer did in one month of the last year; `visits` to `last` in one currency alone."""

    customer: str
    name: str
    since: str  # the day of their first sale ever; "": they have none
    month: str  # YYYY-MM
    visits: int  # business days with a receipt
    spent: int
    first: str | None
    last: str | None
    sales: int  # receipts, in any currency


def visits(connection: sa.Connection, merchant: str, currency: str, today: date) -> list[Visits]:
    """Of all known customers. For each one the part of an index (ix_facts_visits) that is of the last year is read, so
    that the cost grows with a year's receipts and not with all there ever were."""
    c, start = facts.c, (today - timedelta(days=YEAR)).isoformat()
    # > "": else PostgreSQL does not see that ix_facts_visits, of known customers alone, is enough (100 s of 10 million)
    theirs = (c.merchant_id == merchant, c.customer_id == customers.c.id, c.customer_id > "", c.counted)
    ours, sale = sa.case((c.currency == currency, 1), else_=0), sa.case((c.kind == "sale", 1), else_=0)
    days = (
        sa.select(
            c.customer_id,
            c.day,
            sa.func.sum(ours).label("n"),
            sa.func.sum(ours * c.total).label("spent"),
            sa.func.sum(sale).label("sales"),
        )
        .select_from(sa.join(customers, facts, sa.and_(*theirs)))
        .where(customers.c.merchant_id == merchant, c.day >= start, c.day <= today.isoformat())
        .group_by(c.customer_id, c.day)
        .subquery()
    )
    d = days.c
    month = sa.func.substr(d.day, 1, 7)
    months = sa.select(
        d.customer_id.label("id"),
        month.label("month"),
        sa.func.sum(sa.case((d.n > 0, 1), else_=0)).label("visits"),
        sa.func.sum(sa.case((d.n > 0, d.spent), else_=0)).label("spent"),
        sa.func.min(sa.case((d.n > 0, d.day))).label("first"),
        sa.func.max(sa.case((d.n > 0, d.day))).label("last"),
        sa.func.sum(d.sales).label("sales"),
    ).group_by(d.customer_id, month)
    rows = connection.execute(months.order_by(d.customer_id, month)).all()
    begun = sa.select(sa.func.min(c.day)).where(*theirs, c.kind == "sale").scalar_subquery()
    asked = sa.select(customers.c.id, customers.c.name, begun).where(customers.c.merchant_id == merchant)
    people = {who: (name, day or "") for who, name, day in connection.execute(asked)}
    return [
        Visits(r.id, *people[r.id], r.month, int(r.visits), int(r.spent), r.first, r.last, int(r.sales)) for r in rows
    ]


def habits(of: list[Visits], today: date) -> list[Habit]:
    """The best first."""
    mine: dict[str, list[Visits]] = defaultdict(list)
    for one in of:
        if one.visits:
            mine[one.customer].append(one)
    people = list(mine.values())
    lasts = [date.fromisoformat(max(str(one.last) for one in months)) for months in people]
    firsts = [date.fromisoformat(min(str(one.first) for one in months)) for months in people]
    often = [sum(one.visits for one in months) for months in people]
    much = [sum(one.spent for one in months) for months in people]
    away = [(today - last).days for last in lasts]
    scores = zip(_fifths([-days for days in away]), _fifths(often), _fifths(much), strict=True)
    out = []
    for n, (r, f, m) in enumerate(scores):
        segment = _segment(r, f, m, away[n], (today - firsts[n]).days, often[n])
        who = people[n][0]
        out.append(Habit(who.customer, who.name, often[n], much[n], firsts[n], lasts[n], away[n], (r, f, m), segment))
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


def cohorts(of: list[Visits], today: date, months: int = 6) -> list[tuple[str, int, list[int]]]:
    """(month of the first receipt, how many began then, how many of them came 0, 1, 2 … months later)."""
    came: dict[tuple[str, int], set[int]] = defaultdict(set)
    for one in of:
        if one.sales:
            came[one.customer, _month(one.since)].add(_month(one.month))
    now = today.year * 12 + today.month - 1
    out = []
    for begin in range(now - months + 1, now + 1):
        mine = [when for (_, first), when in came.items() if first == begin]
        kept = [sum(1 for when in mine if begin + n in when) for n in range(now - begin + 1)]
        out.append((f"{begin // 12}-{begin % 12 + 1:02d}", len(mine), kept))
    return out


def _month(day: str) -> int:
    """Months since the year 0, of YYYY-MM or a day in it."""
    return int(day[:4]) * 12 + int(day[5:7]) - 1


def matched(connection: sa.Connection, merchant: str, of: list[Visits], today: date) -> tuple[int, int]:
    """(sales that belong to a known customer, all sales) of the last year."""
    c, start = sums.c, (today - timedelta(days=YEAR)).isoformat()
    span = (c.merchant_id == merchant, c.dim == "all", c.day >= start, c.day <= today.isoformat())
    sales = connection.execute(sa.select(sa.func.sum(c.receipts)).where(*span)).scalar()
    return sum(one.sales for one in of), int(sales or 0)


def favourites(connection: sa.Connection, merchant: str, customer: str, most: int = 8) -> list[tuple[str, float]]:
    """(item, pieces) of one customer's newest receipts."""
    c = facts.c
    mine = sa.select(c.job_id).where(
        c.merchant_id == merchant, c.customer_id == customer, c.customer_id > "", c.counted
    )
    mine = mine.order_by(c.day.desc()).limit(NEWEST)
    rows = connection.execute(
        sa.select(sold.c.item, items.c.name, sa.func.sum(sold.c.quantity).label("n"))
        .outerjoin(items, sa.and_(items.c.merchant_id == sold.c.merchant_id, items.c.item == sold.c.item))
        .where(sold.c.merchant_id == merchant, sold.c.job_id.in_(mine))
        .group_by(sold.c.item, items.c.name)
    ).all()
    return [(row.name or row.item, row.n) for row in sorted(rows, key=lambda r: (-r.n, r.item))[:most] if row.n > 0]


def birthdays(connection: sa.Connection, merchant: str, today: date, days: int = 14) -> set[str]:
    """Customers whose birthday is today or in the days after; who was born on 29 February has it on the 28th in years
    without one."""
    soon = [today + timedelta(days=n) for n in range(days)]
    ends = {f"{day:%m-%d}" for day in soon}
    if any((day.month, day.day) == (2, 28) and not isleap(day.year) for day in soon):
        ends.add("02-29")
    c = customers.c
    end = sa.func.substr(c.birthday, sa.func.length(c.birthday) - 4)  # of YYYY-MM-DD and of MM-DD
    rows = connection.execute(sa.select(c.id).where(c.merchant_id == merchant, c.birthday != "", end.in_(sorted(ends))))
    return set(rows.scalars())


def sizes(of: list[Habit]) -> dict[str, int]:
    return Counter(habit.segment for habit in of)
