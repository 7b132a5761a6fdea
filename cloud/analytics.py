"""What the sums say: sales by day, hour, item, table …, for one merchant, currency and span of business days.

Money of different currencies is never added: a Span has one. Amounts are minor units. Everything here reads `sums`
(cloud/figures.py keeps them), so its cost grows with days and not with receipts.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa

from cloud.store.figures import items, sums

DIMS = ("table", "cashier", "payment")
NO_CATEGORY = ""
Share = Callable[["Sums"], tuple[int, int]]  # (of which, of all)


@dataclass(frozen=True, slots=True)
class Span:
    merchant: str
    currency: str
    first: date
    last: date
    shop: str | None = None  # None: all of them

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    def before(self) -> Span:
        """As many days, just before; whole weeks back, so that weekdays meet their own kind."""
        back = timedelta(days=-(-self.days // 7) * 7)
        return Span(self.merchant, self.currency, self.first - back, self.last - back, self.shop)

    def where(self, dim: str) -> list[sa.ColumnElement[bool]]:
        c = sums.c
        out = [c.merchant_id == self.merchant, c.currency == self.currency, c.dim == dim]
        out += [c.day >= self.first.isoformat(), c.day <= self.last.isoformat()]
        if self.shop is not None:
            out.append(c.shop == self.shop)
        return out


@dataclass(slots=True)
class Sums:
    """`amount` is what came in: sales less refunds and voids. `receipts` counts sales."""

    receipts: int = 0
    amount: int = 0
    quantity: float = 0
    covers: int = 0
    tips: int = 0
    discounts: int = 0
    discounted: int = 0
    refunds: int = 0
    refunded: int = 0
    voids: int = 0
    voided: int = 0

    @property
    def sales(self) -> int:
        """Before refunds and voids."""
        return self.amount + self.refunded + self.voided

    @property
    def basket(self) -> int | None:
        return round(self.sales / self.receipts) if self.receipts else None

    @property
    def per_cover(self) -> int | None:
        return round(self.sales / self.covers) if self.covers else None

    @property
    def back_share(self) -> float:
        """Of all receipts, the share that was refunded or voided."""
        back = self.refunds + self.voids
        return back / (self.receipts + back) if back else 0.0

    def add(self, other: Sums) -> None:
        for name in NAMES:
            setattr(self, name, getattr(self, name) + getattr(other, name))


NAMES = tuple(f.name for f in fields(Sums))
_SUMMED = [sa.func.sum(sums.c[name]).label(name) for name in NAMES]


def _sums(row: Any) -> Sums:
    out = Sums()
    for name in NAMES:
        value = getattr(row, name) or 0
        setattr(out, name, float(value) if name == "quantity" else int(value))
    return out


def currencies(connection: sa.Connection, merchant: str, first: date, last: date) -> list[str]:
    """Those that receipts of these days name, the most frequent first."""
    c = sums.c
    rows = connection.execute(
        sa.select(c.currency, sa.func.sum(c.receipts + c.refunds + c.voids).label("n"))
        .where(c.merchant_id == merchant, c.dim == "all", c.day >= first.isoformat(), c.day <= last.isoformat())
        .group_by(c.currency)
    )
    return [row.currency for row in sorted(rows, key=lambda row: (-row.n, row.currency)) if row.n]


def totals(connection: sa.Connection, span: Span) -> Sums:
    return _sums(connection.execute(sa.select(*_SUMMED).where(*span.where("all"))).one())


def by_day(connection: sa.Connection, span: Span) -> dict[date, Sums]:
    """Every day of the span, also those without a sale."""
    found = {date.fromisoformat(day): value for day, value in _grouped(connection, span, "all", sums.c.day)}
    return {day: found.get(day, Sums()) for day in (span.first + timedelta(days=n) for n in range(span.days))}


def by_shop(connection: sa.Connection, span: Span) -> list[tuple[str, Sums]]:
    return sorted(_grouped(connection, span, "all", sums.c.shop), key=lambda one: -one[1].amount)


def by_value(connection: sa.Connection, span: Span, dim: str) -> list[tuple[str, Sums]]:
    """By hour, table, cashier, payment, item: the largest amount first."""
    return sorted(_grouped(connection, span, dim, sums.c.value), key=lambda one: (-one[1].amount, one[0]))


def by_weekday(days: dict[date, Sums]) -> list[Sums]:
    """Monday first; sums, not averages."""
    out = [Sums() for _ in range(7)]
    for day, value in days.items():
        out[day.weekday()].add(value)
    return out


def heat(connection: sa.Connection, span: Span) -> dict[tuple[int, int], Sums]:
    """(weekday of the business day, hour of the clock) -> sums."""
    c = sums.c
    query = sa.select(c.day, c.value, *_SUMMED).where(*span.where("hour")).group_by(c.day, c.value)
    out: dict[tuple[int, int], Sums] = defaultdict(Sums)
    for row in connection.execute(query):
        out[date.fromisoformat(row.day).weekday(), int(row.value)].add(_sums(row))
    return dict(out)


def _grouped(connection: sa.Connection, span: Span, dim: str, by: Any) -> list[tuple[str, Sums]]:
    rows = connection.execute(sa.select(by.label("by"), *_SUMMED).where(*span.where(dim)).group_by(by))
    return [(row.by, value) for row in rows if any(getattr(value := _sums(row), name) for name in NAMES)]


# ---- items


@dataclass(slots=True)
class Dish:
    """An item over a span. `place`: star, plowhorse, puzzle, dog (popular or not × dear or not)."""

    item: str
    name: str
    category: str
    sums: Sums
    share: float = 0.0  # of all pieces sold
    place: str = ""

    @property
    def price(self) -> int:
        """What a piece brought, on average."""
        return round(self.sums.amount / self.sums.quantity) if self.sums.quantity > 0 else 0


def dishes(connection: sa.Connection, span: Span) -> list[Dish]:
    """Menu engineering after Kasavana and Smith, with revenue a piece in place of the margin, which no receipt says:
    popular is who sells at least 70 % of an equal share; dear is above the average revenue of a piece."""
    names = {row.item: row for row in connection.execute(sa.select(items).where(items.c.merchant_id == span.merchant))}
    out = []
    for item, value in by_value(connection, span, "item"):
        known = names.get(item)
        out.append(Dish(item, known.name if known else item, known.category if known else NO_CATEGORY, value))
    sold = [dish for dish in out if dish.sums.quantity > 0]
    pieces, worth = sum(d.sums.quantity for d in sold), sum(d.sums.amount for d in sold)
    for dish in sold:
        dish.share = dish.sums.quantity / pieces
        popular, dear = dish.share >= 0.7 / len(sold), dish.price >= worth / pieces
        dish.place = {(True, True): "star", (True, False): "plowhorse", (False, True): "puzzle"}.get(
            (popular, dear), "dog"
        )
    return out


def by_category(of: Iterable[Dish]) -> list[tuple[str, Sums]]:
    out: dict[str, Sums] = defaultdict(Sums)
    for dish in of:
        out[dish.category].add(dish.sums)
    return sorted(out.items(), key=lambda one: -one[1].amount)


@dataclass(frozen=True, slots=True)
class Pair:
    a: str
    b: str
    together: int  # receipts with both
    lift: float  # how many times as often as if they did not know each other


def pairs(connection: sa.Connection, span: Span, most: int = 20, least: int = 5) -> list[Pair]:
    """Items bought together, in the months that the span touches."""
    wide = Span(span.merchant, span.currency, span.first.replace(day=1), span.last, span.shop)
    both = [(pair, n.receipts) for pair, n in _grouped(connection, wide, "pair", sums.c.value) if n.receipts >= least]
    if not both:
        return []
    end = (span.last.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    months = Span(span.merchant, span.currency, wide.first, end, span.shop)
    alone = {item: value.receipts for item, value in _grouped(connection, months, "item", sums.c.value)}
    baskets = totals(connection, months).receipts
    out = []
    for pair, n in both:
        a, _, b = pair.partition("\x1f")
        if alone.get(a) and alone.get(b):
            out.append(Pair(a, b, n, n * baskets / (alone[a] * alone[b])))
    chosen = sorted(out, key=lambda p: -p.together)[: most * 3]
    return sorted(chosen, key=lambda p: -p.lift)[:most]


# ---- what stands out


@dataclass(frozen=True, slots=True)
class Odd:
    """Who does something more often than the others do: `share` against `others`, `z` deviations away."""

    value: str
    sums: Sums
    share: float
    others: float
    z: float


def went_back(of: Sums) -> tuple[int, int]:
    """(receipts that were refunded or voided, all receipts)."""
    return of.refunds + of.voids, of.receipts + of.refunds + of.voids


def got_off(of: Sums) -> tuple[int, int]:
    """(sales with a discount, all sales)."""
    return of.discounted, of.receipts


def odd_ones(by: list[tuple[str, Sums]], of: Share = went_back, least: int = 30, far: float = 3.0) -> list[Odd]:
    """Who does something more often than the others: two proportions compared, each against the rest. Few receipts
    prove nothing: `least`."""
    out = []
    for value, mine in by:
        rest = Sums()
        for other, theirs in by:
            if other != value:
                rest.add(theirs)
        (back, n), (rest_back, m) = of(mine), of(rest)
        if n < least or m < least or not value:
            continue
        pooled = (back + rest_back) / (n + m)
        spread = (pooled * (1 - pooled) * (1 / n + 1 / m)) ** 0.5
        z = (back / n - rest_back / m) / spread if spread else 0.0
        if z >= far:
            out.append(Odd(value, mine, back / n, rest_back / m, z))
    return sorted(out, key=lambda one: -one.z)


@dataclass(frozen=True, slots=True)
class OddDay:
    day: date
    back: int  # what was refunded and voided on it
    usual: int  # the median of all days


def odd_days(days: dict[date, Sums], least: int = 14, far: float = 6.0) -> list[OddDay]:
    """Days on which far more was refunded and voided than usual: by the distance from the median in median distances
    (Iglewicz and Hoaglin 1993), which one large day does not spoil; days without any receipt are left out."""
    back = {day: v.refunded + v.voided for day, v in days.items() if v.receipts or v.refunds or v.voids}
    if len(back) < least:
        return []
    middle = statistics.median(back.values())
    distances = [abs(value - middle) for value in back.values()]
    near = statistics.median(distances) / 0.6745 or statistics.fmean(distances) * 1.2533
    odd = [day for day, value in back.items() if near and (value - middle) / near > far]
    return [OddDay(day, back[day], round(middle)) for day in sorted(odd, key=lambda day: -back[day])]


# ---- what comes


def seasons(days: dict[date, Sums]) -> dict[int, list[int | None]]:
    """Year -> what a day of each month brought on average, January first. Days before the first receipt do not count;
    None: no day of that month does."""
    came = [day for day, value in days.items() if value.amount or value.receipts]
    months: dict[tuple[int, int], list[int]] = defaultdict(list)
    for day, value in days.items():
        if came and day >= min(came):
            months[day.year, day.month].append(value.amount)
    out: dict[int, list[int | None]] = {year: [None] * 12 for year, _ in sorted(months)}
    for (year, month), worth in months.items():
        out[year][month - 1] = round(sum(worth) / len(worth))
    return out


@dataclass(frozen=True, slots=True)
class Forecast:
    """Day -> amount expected. `error` is the mean absolute error of the same method over the last weeks, as a share of
    what came; None: too few days to try it."""

    days: dict[date, int] = field(default_factory=dict)
    error: float | None = None
    trend_a_week: float = 0.0  # share


def forecast(series: dict[date, int], ahead: int = 14, weeks: int = 8) -> Forecast:
    """Level and trend of the last weeks, times what its weekday usually is of a week. `series`: whole days, in order.
    Tested on itself: each of the last four weeks is foretold from the days before it."""
    if len(series) < 21 or sum(1 for v in series.values() if v) < 14:
        return Forecast()
    days = sorted(series)
    told, trend = _foretell(series, days[-1], ahead, weeks)
    missed = came = 0
    for back in range(1, 5):
        end = days[-1] - timedelta(days=7 * back)
        if (end - days[0]).days < 20:
            break
        for day, value in _foretell(series, end, 7, weeks)[0].items():
            missed += abs(value - series.get(day, 0))
            came += series.get(day, 0)
    return Forecast(told, missed / came if came > 0 else None, trend)


def _foretell(series: dict[date, int], end: date, ahead: int, weeks: int) -> tuple[dict[date, int], float]:
    """From the days up to `end` -> (the days after it, growth a week)."""
    span = [end - timedelta(days=n) for n in range(weeks * 7 - 1, -1, -1)]
    known = [day for day in span if day in series]
    whole = len(known) // 7 * 7
    known = known[-whole:]
    mean = sum(series[day] for day in known) / len(known)
    if mean <= 0:
        return {end + timedelta(days=n): 0 for n in range(1, ahead + 1)}, 0.0
    usual = [0.0] * 7
    for weekday in range(7):
        mine = [series[day] for day in known if day.weekday() == weekday]
        usual[weekday] = sum(mine) / len(mine) / mean
    of_week = [sum(series[d] for d in known[n : n + 7]) / 7 for n in range(0, len(known), 7)]
    slope, middle = _line(of_week)
    out = {}
    for n in range(1, ahead + 1):
        day = end + timedelta(days=n)
        level = middle + slope * ((len(of_week) - 1) / 2 + (n + 3) / 7)
        out[day] = max(0, round(level * usual[day.weekday()]))
    return out, slope / mean


def _line(values: list[float]) -> tuple[float, float]:
    """Least squares -> (slope a step, height in the middle); the slope halved: a trend seldom lasts."""
    n = len(values)
    middle, mean = (n - 1) / 2, sum(values) / n
    over = sum((i - middle) ** 2 for i in range(n))
    return (sum((i - middle) * (v - mean) for i, v in enumerate(values)) / over / 2 if over else 0.0), mean
