"""Every figure against an independent count over the raw receipts, on SQLite and on PostgreSQL: random shops with two
boxes in two shops, a business day that begins at four, clocks that go back, two currencies, regulars and strangers."""

from __future__ import annotations

import statistics
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cloud import analytics, complete, crm, figures, search, segments
from cloud.analytics import Span, Sums
from cloud.search import Wanted
from cloud.store.database import Store
from cloud.store.figures import shop_boxes
from cloud.store.rows import insert
from cloud.store.schema import boxes, jobs, merchants
from cloud.store.schema import receipts as receipts_table
from receipt.model import Item, Kind, Pay, Receipt, Tender
from tests.cloud.postgres import Postgres
from tests.cloud.shop_of_receipts import add_shop, job_row, receipt_row
from wire.messages import uuid7

M, ZONE, STARTS = "m", "Europe/Vienna", 240
BEGIN = datetime(2026, 9, 7, tzinfo=UTC)  # a Monday; the clocks go back on 25 October
DAYS = 56
LAST = (BEGIN + timedelta(days=DAYS)).date()
MENU = ("Soup", "Tea", "Bread", "Cake", "Wine")

sales = st.builds(
    dict,
    minute=st.one_of(
        st.integers(0, DAYS * 1440 - 1),
        st.integers(47 * 1440 + 1320, 48 * 1440 + 300),  # the night in which an hour comes twice
    ),
    box=st.sampled_from(["m-box-1", "m-box-1", "m-box-2"]),
    kind=st.sampled_from([Kind.SALE] * 8 + [Kind.REFUND, Kind.VOID, Kind.KITCHEN]),
    currency=st.sampled_from(["EUR", "EUR", "EUR", "CHF"]),
    total=st.integers(0, 9000),
    cashier=st.sampled_from(["Anna", "Tom", ""]),
    table=st.sampled_from(["1", "2", ""]),
    tip=st.sampled_from([None, 50]),
    covers=st.sampled_from([None, 1, 3]),
    discount=st.sampled_from([None, -120]),
    pay=st.sampled_from([Pay.CASH, Pay.CARD]),
    member=st.sampled_from([None, None, "M1", "M2", "M3", "M4"]),
    items=st.dictionaries(st.sampled_from(MENU), st.tuples(st.integers(1, 3), st.integers(100, 900)), max_size=4),
)
stories = st.lists(sales, min_size=0, max_size=60)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    server = Postgres() if request.param == "postgresql" else None
    folder: Path = tmp_path_factory.mktemp("analytics")
    one = Store(server.database(f"t{uuid.uuid4().hex}")) if server else Store("sqlite:///unused", folder / "cloud.db")
    with one.write() as connection:
        connection.execute(sa.insert(merchants).values(id=M, name=M, created_at=1))
        for box in ("m-box-1", "m-box-2"):
            connection.execute(sa.insert(boxes).values(id=box, merchant_id=M, password_hash="-", created_at=1))
        add_shop(connection, M, zone=ZONE, day_starts=STARTS, currency="EUR")
        add_shop(connection, M, "kiosk", zone=ZONE, day_starts=STARTS, currency="EUR")
        connection.execute(sa.insert(shop_boxes).values(merchant_id=M, box="m-box-2", shop="kiosk"))
        for n in range(1, 4):  # M4 is a member whom nobody imported
            crm.keep(connection, M, crm.Customer(name=f"Person {n}", member=f"m{n}"), "file")
    yield one
    one.close()
    if server:
        server.close()


class Over(Exception):
    """The next story begins with an empty shop."""


class Raw:
    """What was printed, as a list; every figure below is counted from it, and written apart from cloud/ on purpose."""

    def __init__(self, story: list[dict[str, Any]]) -> None:
        self.all: list[dict[str, Any]] = []
        for n, one in enumerate(sorted(story, key=lambda o: o["minute"])):
            at = BEGIN + timedelta(minutes=one["minute"])
            here = at.astimezone(ZoneInfo(ZONE)).replace(tzinfo=None)
            back = -1 if one["kind"] in (Kind.REFUND, Kind.VOID) else 1
            mine = {"n": n, "utc": at, "at": here, "day": (here - timedelta(minutes=STARTS)).date(), "sign": back}
            self.all.append(one | mine | {"job": uuid7(), "amount": back * one["total"]})

    def put(self, connection: sa.Connection) -> None:
        for box in ("m-box-1", "m-box-2"):
            rows = [one for one in self.all if one["box"] == box]
            for seq, one in enumerate(rows, 1):
                ms = int(one["utc"].timestamp() * 1000)
                row = job_row(M, one["job"], box=box, seq=seq, started_ms=ms)
                insert(connection, jobs, [row])
                items = tuple(Item(name, q, amount=worth) for name, (q, worth) in one["items"].items())
                names = ("kind", "currency", "total", "cashier", "table", "tip", "covers", "discount", "member")
                read = Receipt(
                    **{name: one[name] or None if one[name] == "" else one[name] for name in names},
                    number=str(100 + one["n"] * 2),
                    items=items,
                    tenders=(Tender(one["pay"], one["total"]),),
                )
                insert(connection, receipts_table, [receipt_row(M, one["job"], 0, read)])
        figures.apply(connection, [(M, one["job"]) for one in self.all])

    def counted(self, currency: str = "EUR", shop: str | None = None) -> list[dict[str, Any]]:
        kinds, box = (Kind.SALE, Kind.REFUND, Kind.VOID), {"": "m-box-1", "kiosk": "m-box-2"}.get(shop or "")
        mine = [one for one in self.all if one["kind"] in kinds and one["currency"] == currency]
        return mine if shop is None else [one for one in mine if one["box"] == box]


def expected(rows: list[dict[str, Any]]) -> dict[str, float]:
    sold = [one for one in rows if one["kind"] is Kind.SALE]
    back = {kind: [one for one in rows if one["kind"] is kind] for kind in (Kind.REFUND, Kind.VOID)}
    return {
        "receipts": len(sold),
        "amount": sum(one["amount"] for one in rows),
        "covers": sum(one["covers"] or 0 for one in sold),
        "tips": sum(one["tip"] or 0 for one in sold),
        "discounts": sum(abs(one["discount"] or 0) for one in sold),
        "discounted": sum(one["discount"] is not None for one in sold),
        "refunds": len(back[Kind.REFUND]),
        "refunded": sum(one["total"] for one in back[Kind.REFUND]),
        "voids": len(back[Kind.VOID]),
        "voided": sum(one["total"] for one in back[Kind.VOID]),
    }


def same(found: Sums, rows: list[dict[str, Any]]) -> None:
    want = expected(rows)
    assert {name: getattr(found, name) for name in want} == want
    sold = [one["total"] for one in rows if one["kind"] is Kind.SALE]
    assert found.sales == sum(sold)
    assert found.basket == (round(sum(sold) / len(sold)) if sold else None)


def told_apart(rows: list[dict[str, Any]], by: Any) -> dict[Any, list[dict[str, Any]]]:
    out: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for one in rows:
        out[by(one)].append(one)
    return out


def test_every_figure_is_what_the_receipts_say(store: Store) -> None:
    @settings(
        max_examples=12,
        deadline=None,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(story=stories)
    def run(story: list[dict[str, Any]]) -> None:
        raw = Raw(story)
        with pytest.raises(Over), store.write() as connection:
            raw.put(connection)
            for currency in ("EUR", "CHF"):
                for shop in (None, "", "kiosk"):
                    span = Span(M, currency, BEGIN.date() - timedelta(days=1), LAST, shop)
                    sums_are_right(connection, span, raw.counted(currency, shop))
            span = Span(M, "EUR", BEGIN.date() - timedelta(days=1), LAST)
            items_are_right(connection, span, raw.counted())
            people_are_right(connection, raw)
            days_are_complete(connection, raw)
            receipts_are_found(connection, raw)
            raise Over

    run()


def sums_are_right(connection: sa.Connection, span: Span, rows: list[dict[str, Any]]) -> None:
    same(analytics.totals(connection, span), rows)
    days = analytics.by_day(connection, span)
    mine = told_apart(rows, lambda one: one["day"])
    assert len(days) == span.days
    for day, value in days.items():
        same(value, mine.get(day, []))
    week = told_apart(rows, lambda one: one["day"].weekday())
    for weekday, value in enumerate(analytics.by_weekday(days)):
        same(value, week.get(weekday, []))
    heat = analytics.heat(connection, span)
    for cell, some in told_apart(rows, lambda one: (one["day"].weekday(), one["at"].hour)).items():
        same(heat.get(cell, Sums()), some)
    for dim, by in (
        ("hour", lambda one: f"{one['at'].hour:02d}"),
        ("table", lambda one: one["table"]),
        ("cashier", lambda one: one["cashier"]),
        ("payment", lambda one: one["pay"].value),
    ):
        found = dict(analytics.by_value(connection, span, dim))
        for value, some in told_apart(rows, by).items():
            same(found.get(value, Sums()), some)
    if span.shop is None:
        found = dict(analytics.by_shop(connection, span))
        for shop, some in told_apart(rows, lambda one: "" if one["box"] == "m-box-1" else "kiosk").items():
            same(found.get(shop, Sums()), some)
    cashiers = dict(analytics.by_value(connection, span, "cashier"))
    for odd in analytics.odd_ones(list(cashiers.items()), least=1, far=1.0):
        a = [one["kind"] is not Kind.SALE for one in rows if one["cashier"] == odd.value]
        b = [one["kind"] is not Kind.SALE for one in rows if one["cashier"] != odd.value]
        p = (sum(a) + sum(b)) / (len(a) + len(b))
        z = (statistics.mean(a) - statistics.mean(b)) / (p * (1 - p) * (1 / len(a) + 1 / len(b))) ** 0.5
        assert odd.z == pytest.approx(z)


def items_are_right(connection: sa.Connection, span: Span, rows: list[dict[str, Any]]) -> None:
    pieces: Counter[str] = Counter()
    worth: Counter[str] = Counter()
    baskets = [one for one in rows if one["kind"] is Kind.SALE]
    for one in rows:
        for name, (quantity, amount) in one["items"].items():
            pieces[name] += one["sign"] * quantity
            worth[name] += one["sign"] * amount
    dishes = {dish.name: dish for dish in analytics.dishes(connection, span)}
    on_sale = {name for name, n in pieces.items() if n > 0}
    for name in on_sale:
        dish = dishes[name]
        assert (dish.sums.quantity, dish.sums.amount) == (pieces[name], worth[name])
        share = pieces[name] / sum(pieces[n] for n in on_sale)
        popular = share >= 0.7 / len(on_sale)
        dear = round(worth[name] / pieces[name]) >= sum(worth[n] for n in on_sale) / sum(pieces[n] for n in on_sale)
        assert dish.share == pytest.approx(share)
        assert dish.place == [["dog", "puzzle"], ["plowhorse", "star"]][popular][dear]
    together = Counter(pair for one in baskets for pair in combinations(sorted(n.lower() for n in one["items"]), 2))
    alone = Counter(name.lower() for one in baskets for name in one["items"])
    found = analytics.pairs(connection, span, least=1)
    assert {(pair.a, pair.b): pair.together for pair in found} == together
    for pair in found:
        lift = pair.together * len(baskets) / (alone[pair.a] * alone[pair.b])
        assert pair.lift == pytest.approx(lift)


def people_are_right(connection: sa.Connection, raw: Raw) -> None:
    of = segments.visits(connection, M, "EUR", LAST)
    habits = {habit.name: habit for habit in segments.habits(of, LAST)}
    by = told_apart([one for one in raw.counted() if one["member"] in ("M1", "M2", "M3")], lambda one: one["member"][1])
    assert habits.keys() == {f"Person {n}" for n in by}
    facts = {}
    for n, mine in by.items():
        days = {one["day"] for one in mine}
        facts[f"Person {n}"] = (-(LAST - max(days)).days, len(days), sum(one["amount"] for one in mine), min(days))
    for name, (recent, visits, spent, first) in facts.items():
        habit = habits[name]
        assert (-habit.recency, habit.visits, habit.spent, habit.first) == (recent, visits, spent, first)
        for k, score in enumerate(habit.scores):
            below = sum(1 for other in facts.values() if other[k] < facts[name][k])
            assert score == below * 5 // len(facts) + 1
    sold = [one for currency in ("EUR", "CHF") for one in raw.counted(currency) if one["kind"] is Kind.SALE]
    known = [one for one in sold if one["member"] in ("M1", "M2", "M3")]
    assert segments.matched(connection, M, of, LAST) == (len(known), len(sold))
    came = told_apart(known, lambda one: one["member"])
    months = {who: {one["day"].strftime("%Y-%m") for one in mine} for who, mine in came.items()}
    for month, began, kept in segments.cohorts(of, LAST, months=3):
        start = [found for found in months.values() if min(found) == month]
        assert began == len(start)
        later = [date(int(month[:4]), int(month[5:]) + n, 1).strftime("%Y-%m") for n in range(len(kept))]
        assert kept == [sum(1 for found in start if one in found) for one in later]


def days_are_complete(connection: sa.Connection, raw: Raw) -> None:
    found = {(one.box, one.day): one for one in complete.days(connection, M, BEGIN.date() - timedelta(days=1), LAST)}
    by = told_apart(raw.all, lambda one: (one["box"], one["day"].isoformat()))
    assert found.keys() == by.keys()
    for key, mine in by.items():
        counted = [one for one in mine if one["kind"] is not Kind.KITCHEN]
        assert found[key].jobs == len(mine)
        assert found[key].amount.get("EUR", 0) == sum(one["amount"] for one in counted if one["currency"] == "EUR")
        numbers = {100 + one["n"] * 2 for one in counted}
        gaps = []
        for n in numbers:
            after = min((m for m in numbers if m > n), default=n)
            gaps += range(n + 1, after) if after - n <= complete.LONGEST_GAP else []
        assert found[key].passed_over == sorted(gaps)


def receipts_are_found(connection: sa.Connection, raw: Raw) -> None:
    """What a figure's link leads to is what the figure counts, in the same order on both databases."""
    rows = raw.counted()
    for wanted, keep in (
        (Wanted(counted=True, currency="EUR"), lambda one: True),
        (Wanted(counted=True, currency="EUR", cashier="Anna"), lambda one: one["cashier"] == "Anna"),
        (Wanted(counted=True, currency="EUR", weekday="6"), lambda one: one["day"].weekday() == 6),
        (Wanted(counted=True, currency="EUR", hour="02"), lambda one: one["at"].hour == 2),
        (Wanted(counted=True, currency="EUR", item="SOUP"), lambda one: "Soup" in one["items"]),
        (Wanted(counted=True, currency="EUR", first="2026-10-24", last="2026-10-24"), _of_that_night),
        (Wanted(counted=True, currency="EUR", q="M1"), lambda one: one["member"] == "M1"),
        (Wanted(counted=True, currency="EUR", amount="12.34"), lambda one: one["amount"] == 1234),
        (Wanted(counted=True, currency="EUR", begins="22:00", least="10"), _late_and_dear),
    ):
        want = [one["job"] for one in sorted(rows, key=lambda o: (o["at"], o["job"]), reverse=True) if keep(one)]
        found, after = [], ""
        while True:
            page = search.find(connection, M, wanted, 7, after)
            found += [row.job_id for row in page.rows]
            after = page.next
            if not after:
                break
        assert found == want, wanted
        count = search.counted(connection, M, wanted)
        assert count.receipts == len(want)
        assert count.worth.get("EUR", 0) == sum(one["amount"] for one in rows if keep(one))


def _of_that_night(one: dict[str, Any]) -> bool:
    return bool(one["day"] == date(2026, 10, 24))


def _late_and_dear(one: dict[str, Any]) -> bool:
    return f"{one['at']:%H:%M}" >= "22:00" and one["amount"] >= 1000


# ---- what comes


def foretold(series: dict[date, int], end: date, ahead: int) -> dict[date, float]:
    """Eight weeks: the weekday's share of the level, and half of the trend; by the standard library."""
    known = sorted(day for day in series if end - timedelta(days=56) < day <= end)
    known = known[len(known) % 7 :]
    weeks = [statistics.fmean(series[day] for day in known[n : n + 7]) for n in range(0, len(known), 7)]
    mean = statistics.fmean(weeks)
    if mean <= 0:
        return {end + timedelta(days=n): 0 for n in range(1, ahead + 1)}
    slope = statistics.linear_regression(range(len(weeks)), weeks).slope / 2 if len(weeks) > 1 else 0.0
    out = {}
    for n in range(1, ahead + 1):
        day = end + timedelta(days=n)
        usual = statistics.fmean(series[d] for d in known if d.weekday() == day.weekday()) / mean
        out[day] = max(0, round((mean + slope * ((len(weeks) - 1) / 2 + (n + 3) / 7)) * usual))
    return out


@settings(max_examples=40, deadline=None)
@given(
    values=st.one_of(
        st.lists(st.integers(0, 100_000), max_size=20), st.lists(st.integers(0, 100_000), min_size=21, max_size=90)
    )
)
def test_a_forecast_is_its_method_and_its_error_what_it_would_have_missed(values: list[int]) -> None:
    series = {BEGIN.date() + timedelta(days=n): value for n, value in enumerate(values)}
    found = analytics.forecast(series)
    if len(values) < 21 or sum(1 for value in values if value) < 14:
        assert found.days == {}
        assert found.error is None
        return
    end = max(series)
    want = foretold(series, end, 14)
    assert found.days.keys() == want.keys()
    for day, value in want.items():
        assert abs(found.days[day] - value) <= 1  # floats round either way
    missed = came = 0.0
    for back in range(1, 5):
        until = end - timedelta(days=7 * back)
        if (until - min(series)).days >= 20:
            told = foretold(series, until, 7)
            missed += sum(abs(value - series[day]) for day, value in told.items())
            came += sum(series[day] for day in told)
    if came:
        assert found.error == pytest.approx(missed / came, abs=0.001 + 30 / came)


def test_a_steady_week_is_foretold_without_error() -> None:
    week = [0, 100, 200, 300, 400, 900, 500]
    series = {BEGIN.date() + timedelta(days=n): week[n % 7] for n in range(70)}
    found = analytics.forecast(series, ahead=7)
    assert list(found.days.values()) == week
    assert found.error == 0
    assert found.trend_a_week == pytest.approx(0)


# ---- almost nothing


def test_a_shop_without_receipts_and_one_with_a_single_one(store: Store) -> None:
    span = Span(M, "EUR", BEGIN.date(), LAST)
    with pytest.raises(Over), store.write() as connection:
        for receipts in (0, 1):
            assert analytics.totals(connection, span).receipts == receipts
            assert len(analytics.by_day(connection, span)) == span.days
            assert len(analytics.dishes(connection, span)) == receipts
            assert analytics.pairs(connection, span) == []
            assert analytics.odd_ones(analytics.by_value(connection, span, "cashier")) == []
            of = segments.visits(connection, M, "EUR", LAST)
            assert [habit.scores for habit in segments.habits(of, LAST)] == [(1, 1, 1)] * receipts
            assert segments.matched(connection, M, of, LAST) == (receipts, receipts)
            assert sum(began for _, began, _ in segments.cohorts(of, LAST)) == receipts
            assert complete.share(complete.days(connection, M, span.first, span.last)) == (1.0 if receipts else None)
            assert search.counted(connection, M, Wanted()).receipts == receipts
            if not receipts:
                Raw([_one()]).put(connection)
        raise Over


def _one() -> dict[str, Any]:
    return {
        "minute": 3000, "box": "m-box-1", "kind": Kind.SALE, "currency": "EUR", "total": 450, "cashier": "Anna",
        "table": "", "tip": None, "covers": None, "discount": None, "pay": Pay.CASH, "member": "M1",
        "items": {"Tea": (1, 450)},
    }  # fmt: skip
