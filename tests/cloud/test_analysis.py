"""What the pages make of the sums, against the same from the raw receipts: categories, what a figure's link leads to,
favourites, who stays away, months, what stands out, shades of the heat map, today so far, orders by channel."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cloud import analytics, crm, search, segments
from cloud.analytics import Span, Sums
from cloud.console import analysis, analysis_sales, live
from cloud.console import period as periods
from cloud.facts import Shop
from cloud.ids import first_id
from cloud.search import Wanted
from cloud.store.database import Store
from cloud.store.figures import items, shop_boxes
from cloud.store.schema import boxes, orders
from cloud.strings import strings
from receipt.model import Kind
from tests.cloud.shop_of_receipts import add_shop, new_store
from tests.cloud.test_analytics import BEGIN, DAYS, LAST, STARTS, ZONE, M, Over, Raw, _one, stories

CATEGORY = {"soup": "Hot", "tea": "Hot", "bread": "Bakery"}
KNOWN = ("M1", "M2", "M3")
FEW = settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with closing(new_store(tmp_path_factory.mktemp("analysis"), M)) as one:
        with one.write() as connection:
            connection.execute(sa.insert(boxes).values(id="m-box-2", merchant_id=M, password_hash="-", created_at=1))
            add_shop(connection, M, zone=ZONE, day_starts=STARTS, currency="EUR")
            add_shop(connection, M, "kiosk", zone=ZONE, day_starts=STARTS, currency="EUR")
            connection.execute(sa.insert(shop_boxes).values(merchant_id=M, box="m-box-2", shop="kiosk"))
            for n in range(1, 4):
                crm.keep(connection, M, crm.Customer(name=f"Person {n}", member=f"m{n}"), "file")
        yield one


@FEW
@given(story=stories)
def test_what_the_pages_show_is_what_the_receipts_say(store: Store, story: list[dict[str, Any]]) -> None:
    raw = Raw(story)
    span = Span(M, "EUR", BEGIN.date() - timedelta(days=1), LAST)
    with pytest.raises(Over), store.write() as connection:
        raw.put(connection)
        for item, name in CATEGORY.items():
            mine = (items.c.merchant_id == M, items.c.item == item)
            connection.execute(sa.update(items).where(*mine).values(category=name))
        categories_are_right(connection, span, raw.counted())
        links_lead_to_what_was_counted(connection, raw)
        habits_are_right(connection, raw)
        days = analytics.by_day(connection, span)
        worth = {day: sum(one["amount"] for one in raw.counted() if one["day"] == day) for day in days}
        by = [[worth[day] for day in days if day.weekday() == n] for n in range(7)]
        assert analysis_sales._averages(days) == [round(statistics.fmean(one)) if one else 0 for one in by]
        shades_are_right(connection, span, raw.counted())
        odd_discounts_are_right(connection, span, raw.counted())
        raise Over


def categories_are_right(connection: sa.Connection, span: Span, rows: list[dict[str, Any]]) -> None:
    pieces: Counter[str] = Counter()
    worth: Counter[str] = Counter()
    for one in rows:
        for name, (quantity, amount) in one["items"].items():
            pieces[CATEGORY.get(name.lower(), "")] += one["sign"] * quantity
            worth[CATEGORY.get(name.lower(), "")] += one["sign"] * amount
    found = dict(analytics.by_category(analytics.dishes(connection, span)))
    for name in pieces.keys() | found.keys():
        value = found.get(name, Sums())
        assert (value.quantity, value.amount) == (pieces[name], worth[name])


def links_lead_to_what_was_counted(connection: sa.Connection, raw: Raw) -> None:
    names: Callable[[dict[str, Any]], set[str]] = lambda one: {name.lower() for name in one["items"]}  # noqa: E731
    for wanted, keep in (
        (Wanted(has="tip"), lambda one: one["tip"]),
        (Wanted(has="discount"), lambda one: one["discount"]),
        (Wanted(has="covers", kind="sale"), lambda one: one["covers"] and one["kind"] is Kind.SALE),
        (Wanted(has="back", cashier="Anna"), lambda one: one["kind"] is not Kind.SALE and one["cashier"] == "Anna"),
        (Wanted(item="Soup", also="tea"), lambda one: {"soup", "tea"} <= names(one)),
        (Wanted(category="Hot"), lambda one: {"soup", "tea"} & names(one)),
        (Wanted(category=""), lambda one: names(one) - CATEGORY.keys()),
    ):
        wanted = Wanted(**{**_fields(wanted), "counted": True, "currency": "EUR"})
        want = {one["job"] for one in raw.counted() if keep(one)}
        for seldom in (search.SELDOM, 0):  # both ways to look for items
            search.SELDOM, before = seldom, search.SELDOM
            try:
                found = search.find(connection, M, wanted, 500)
                count = search.counted(connection, M, wanted)
            finally:
                search.SELDOM = before
            assert {row.job_id for row in found.rows} == want, wanted
            assert count.receipts == len(want)
    with pytest.raises(search.Impossible):
        search.find(connection, M, Wanted(has="everything"))


def _fields(wanted: Wanted) -> dict[str, Any]:
    return {name: getattr(wanted, name) for name in wanted.__dataclass_fields__}


def habits_are_right(connection: sa.Connection, raw: Raw) -> None:
    habits = {habit.name: habit for habit in segments.habits(segments.visits(connection, M, "EUR", LAST), LAST)}
    for n, member in enumerate(KNOWN, 1):
        mine = [one for one in raw.counted() if one["member"] == member]
        bought: Counter[str] = Counter()
        for one in (one for currency in ("EUR", "CHF") for one in raw.counted(currency) if one["member"] == member):
            for name, (quantity, _) in one["items"].items():
                bought[name] += one["sign"] * quantity
        if not mine:
            assert f"Person {n}" not in habits
            continue
        habit = habits[f"Person {n}"]
        assert dict(segments.favourites(connection, M, habit.customer)) == {k: v for k, v in bought.items() if v > 0}
        days = sorted({one["day"] for one in mine})
        gaps = [(b - a).days for a, b in pairwise(days)]
        assert habit.gap == (pytest.approx(statistics.fmean(gaps)) if gaps else None)
        away = (LAST - days[-1]).days
        assert habit.lapsed == (len(days) > 2 and away > 30 and away > 3 * statistics.fmean(gaps))
        r, f, m = habit.scores
        told = "best" if min(r, f, m) >= 4 else None
        told = told or ("new" if (LAST - days[0]).days <= 45 and len(days) <= 3 else None)
        told = told or (("loyal" if r >= 3 else "slipping") if f >= 3 else "promising" if r >= 3 else "lost")
        assert habit.segment == told


def shades_are_right(connection: sa.Connection, span: Span, rows: list[dict[str, Any]]) -> None:
    cells: dict[tuple[int, int], int] = defaultdict(int)
    for one in rows:
        cells[one["day"].weekday(), one["at"].hour] += one["amount"]
    p = periods.Period(span, "", [Shop(day_starts=STARTS)], ["EUR"], LAST, "before")
    shown = analysis_sales._heat(connection, p, [""] * 7)
    most = max(cells.values(), default=0)
    for weekday, (_, row) in enumerate(shown["rows"]):
        for hour, (shade, value, href) in zip(shown["hours"], row, strict=True):
            worth = cells[weekday, hour]
            assert value.amount == worth
            assert shade == ("n" if worth <= 0 else min(9, worth * 10 // most))
            assert f"weekday={weekday}" in href and f"hour={hour}" in href
    first, last = STARTS // 60, (STARTS // 60 - 1) % 24
    order = [(hour - first) % 24 for hour in shown["hours"]]
    assert order == sorted(order), f"the business day goes from {first} to {last}"


def odd_discounts_are_right(connection: sa.Connection, span: Span, rows: list[dict[str, Any]]) -> None:
    by = analytics.by_value(connection, span, "cashier")
    sold = [one for one in rows if one["kind"] is Kind.SALE]
    for odd in analytics.odd_ones(by, analytics.got_off, least=1, far=0.5):
        a = [one["discount"] is not None for one in sold if one["cashier"] == odd.value]
        b = [one["discount"] is not None for one in sold if one["cashier"] != odd.value]
        p = (sum(a) + sum(b)) / (len(a) + len(b))
        assert odd.share == pytest.approx(statistics.fmean(a))
        assert odd.z == pytest.approx(
            (odd.share - statistics.fmean(b)) / (p * (1 - p) * (1 / len(a) + 1 / len(b))) ** 0.5
        )


@given(st.dictionaries(st.dates(date(2024, 11, 1), date(2026, 11, 22)), st.integers(1, 90_000), max_size=40))
def test_a_months_average_day_begins_with_the_first_receipt(sold: dict[date, int]) -> None:
    first, last = date(2024, 1, 1), date(2026, 11, 22)
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    found = analytics.seasons({day: Sums(receipts=int(day in sold), amount=sold.get(day, 0)) for day in days})
    want: dict[tuple[int, int], list[int]] = defaultdict(list)
    for day in days:
        if sold and day >= min(sold):
            want[day.year, day.month].append(sold.get(day, 0))
    told = {(year, n + 1): v for year, row in found.items() for n, v in enumerate(row) if v is not None}
    assert told == {month: round(statistics.fmean(worth)) for month, worth in want.items()}
    assert all(len(row) == 12 for row in found.values())


@given(st.lists(st.integers(0, 300) | st.sampled_from([0, 0, 0, 9000]), min_size=1, max_size=60))
def test_a_day_stands_out_by_its_distance_from_the_middle(back: list[int]) -> None:
    days = {date(2026, 1, 1) + timedelta(days=n): Sums(receipts=9, amount=900, voided=v) for n, v in enumerate(back)}
    days[date(2026, 7, 1)] = Sums()  # a day on which the shop was closed says nothing
    found = analytics.odd_days(days)
    middle = statistics.median(back)
    spread = statistics.median([abs(v - middle) for v in back]) * 1.4826
    spread = spread or statistics.fmean([abs(v - middle) for v in back]) * 1.2533
    want = [v for v in back if v - middle > 6 * spread] if len(back) >= 14 and spread else []
    near = [v for v in back if spread and abs((v - middle) / spread - 6) < 1e-3]  # the constant has four digits
    assert near or sorted((one.back for one in found), reverse=True) == sorted(want, reverse=True)
    assert all(one.usual == round(middle) and days[one.day].voided == one.back for one in found)


@FEW
@given(story=stories, minute=st.integers(8 * 1440, DAYS * 1440))
def test_today_so_far_is_compared_with_a_week_ago_at_the_same_time(
    store: Store, story: list[dict[str, Any]], minute: int
) -> None:
    now = BEGIN + timedelta(minutes=minute)
    here = now.astimezone(ZoneInfo(ZONE)).replace(tzinfo=None)
    raw = Raw([one for one in story if one["minute"] <= minute and one["currency"] == "EUR"])
    today = (here - timedelta(minutes=STARTS)).date()
    with pytest.raises(Over), store.write() as connection, pytest.MonkeyPatch.context() as patch:
        for module in (live, periods):
            patch.setattr(module, "now_ms", lambda: int(now.timestamp() * 1000))
        raw.put(connection)
        found = live.sales_so_far(connection, M)
        assert found.day == today
        assert found.amount == sum(one["amount"] for one in raw.counted() if one["day"] == today)
        ago = [one for one in raw.counted() if one["day"] == today - timedelta(days=7)]
        since = [((one["at"].hour - STARTS // 60) % 24, one["amount"]) for one in ago]
        hour = (here.hour - STARTS // 60) % 24
        whole = sum(amount for n, amount in since if n < hour)
        begun = sum(amount for n, amount in since if n == hour)
        assert found.before == whole + round(begun * (here.minute / 60))  # of the hour that runs, its share
        assert found.change == ((found.amount - found.before) / abs(found.before) if found.before else None)
        raise Over


def test_orders_of_a_channel_count_on_the_shops_own_day(tmp_path: Path) -> None:
    """A bar until four: what was ordered at three belongs to the evening before."""
    zone = ZoneInfo(ZONE)
    made = [  # channel, local time, state, currency, total
        ("table", datetime(2026, 9, 21, 4, 0, tzinfo=zone), "printed", "EUR", 500),
        ("table", datetime(2026, 9, 22, 3, 59, tzinfo=zone), "printed", "", 700),
        ("table", datetime(2026, 9, 22, 4, 0, tzinfo=zone), "printed", "EUR", 9999),
        ("ubereats", datetime(2026, 9, 21, 12, 0, tzinfo=zone), "printed", "EUR", None),
        ("ubereats", datetime(2026, 9, 21, 12, 0, tzinfo=zone), "rejected", "EUR", 9999),
        ("ubereats", datetime(2026, 9, 21, 12, 0, tzinfo=zone), "printed", "CHF", 9999),
    ]
    with closing(new_store(tmp_path, M)) as store, store.write() as connection:
        add_shop(connection, M, zone=ZONE, day_starts=STARTS, currency="EUR")
        for n, (channel, at, state, currency, total) in enumerate(made):
            ms = int(at.astimezone(UTC).timestamp() * 1000)
            content = msgspec.json.encode({"number": "1", "currency": currency, "total": total}).decode()
            texts = dict.fromkeys(("number", "kind", "box", "printer", "proof", "reason"), "")
            row: dict[str, Any] = {
                "merchant_id": M,
                "id": f"{first_id(ms)}{n:03d}-8000-000000000000",
                "channel": channel,
                "state": state,
                "content": content,
            }
            row |= {"created_at": ms, "changed_at": ms, "body_hash": b"", **texts}
            connection.execute(sa.insert(orders).values(**row))
        p = periods.period(connection, M, {"from": "2026-09-21", "to": "2026-09-21"})
        assert analysis._channels(connection, p) == [("table", 2, 1200), ("ubereats", 1, 0)]


@pytest.mark.parametrize("receipts", [0, 1])
def test_every_view_of_the_analysis_is_made_of_nothing_and_of_one(tmp_path: Path, receipts: int) -> None:
    with closing(new_store(tmp_path, M)) as store, store.write() as connection:
        connection.execute(sa.insert(boxes).values(id="m-box-2", merchant_id=M, password_hash="-", created_at=1))
        add_shop(connection, M, zone=ZONE, day_starts=STARTS, currency="EUR")
        Raw([_one()] * receipts).put(connection)
        p = periods.period(connection, M, {"from": "2026-09-07", "to": "2026-09-13"})
        who: Any = type("Who", (), {"scopes": ()})
        t = strings("en")
        sales = analysis_sales.sales_of(connection, p, t, who)
        assert sales["now"].receipts == receipts
        assert len(sales["hours"]) == receipts
        assert analysis.people_of(connection, p, t, who)["odd_days"] == []
        assert len(analysis.items_of(connection, p, t, who)["dishes"]) == receipts
        assert len(analysis.compare_of(connection, p, t, who)["shops"]) == receipts
        assert len(analysis.taken_away(connection, p, t).rows) >= 7
