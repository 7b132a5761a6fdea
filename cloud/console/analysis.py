"""Analysis: what the shop sold, when and by whom: a chart, the table behind it, and the receipts behind that."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import anyio.to_thread
import msgspec
import sqlalchemy as sa
from litestar import Response, get, post
from litestar.params import FromPath

from cloud import analytics, audit, charts, tables, words
from cloud.analytics import Sums
from cloud.api.problem import not_found
from cloud.auth import Who
from cloud.charts import Mark
from cloud.console.desk import HIDDEN, Ask, Desk
from cloud.console.period import Period, change, period, weekdays
from cloud.facts import clean, fold
from cloud.store.figures import items
from cloud.store.schema import orders
from cloud.strings import Strings

TABS = ("sales", "items", "people", "compare")


def routes(desk: Desk) -> list[Any]:
    async def shown(request: Ask, tab: str, make: Any) -> Response[str]:
        who = await desk.reader(request, "receipts:read")
        t, asked = desk.language(request), dict(request.query_params)

        def work() -> dict[str, Any]:
            with desk.cloud.store.read() as connection:
                p = period(connection, who.merchant, asked)
                return {"p": p, **make(connection, p, t, who)}

        values = await anyio.to_thread.run_sync(work)
        return desk.page(request, who, f"analysis_{tab}.html", tab=tab, tabs=TABS, **values)

    @get("/analysis", **HIDDEN)
    async def sales(request: Ask) -> Response[str]:
        return await shown(request, "sales", sales_of)

    @get("/analysis/items", **HIDDEN)
    async def dishes(request: Ask) -> Response[str]:
        return await shown(request, "items", items_of)

    @get("/analysis/people", **HIDDEN)
    async def people(request: Ask) -> Response[str]:
        return await shown(request, "people", people_of)

    @get("/analysis/compare", **HIDDEN)
    async def compare(request: Ask) -> Response[str]:
        return await shown(request, "compare", compare_of)

    @get("/analysis/export/{kind:str}", **HIDDEN)
    async def export(kind: FromPath[str], request: Ask) -> Response[bytes]:
        who = await desk.reader(request, "receipts:read")
        if kind not in tables.KINDS:
            raise not_found()
        t, asked = desk.language(request), dict(request.query_params)

        def work() -> tables.Table:
            with desk.cloud.store.read() as connection:
                return taken_away(connection, period(connection, who.merchant, asked), t)

        return tables.answer(await anyio.to_thread.run_sync(work), kind, "sales")

    @post("/analysis/category", status_code=303, **HIDDEN)
    async def category(request: Ask) -> Response[Any]:
        who = await desk.acting(request, "orders:write")
        form = await request.form()
        item, name = fold(str(form.get("item", ""))), clean(str(form.get("category", "")), 40)

        def work() -> None:
            with desk.cloud.store.write() as connection:
                mine = (items.c.merchant_id == who.merchant, items.c.item == item)
                if connection.execute(sa.update(items).where(*mine).values(category=name)).rowcount:
                    audit.add(connection, who.merchant, who.name, "item.category", item, name)

        await anyio.to_thread.run_sync(work)
        return desk.back(request, form, "/analysis/items")

    return [sales, dishes, people, compare, export, category]


def money_of(p: Period) -> Any:
    return lambda value: words.money(round(value), p.span.currency)


def sales_of(connection: sa.Connection, p: Period, t: Strings, who: Who) -> dict[str, Any]:
    money = money_of(p)
    now, before = analytics.totals(connection, p.span), analytics.totals(connection, p.other)
    days = analytics.by_day(connection, p.span)
    by_hour = dict(analytics.by_value(connection, p.span, "hour"))
    hours = [(f"{n:02d}", by_hour.get(f"{n:02d}", Sums())) for n in _open_hours(p, by_hour)]
    told = _forecast(connection, p)
    names = weekdays(t)
    return {
        "now": now,
        "changes": _changes(now, before),
        "days": days,
        "day_chart": _day_chart(p, t, days, told, money),
        "told": told,
        "hours": hours,
        "hour_chart": charts.bars(
            t("analysis.by_hour"),
            [f"{hour}" for hour, _ in hours],
            {
                t("analysis.amount"): [
                    Mark(v.amount, f"{hour}:00 {money(v.amount)}", p.receipts(hour=str(int(hour)))) for hour, v in hours
                ]
            },
            format=money,
            width=700,
        ),
        "weekdays": list(zip(names, _averages(days), strict=True)),
        "weekday_chart": charts.bars(
            t("analysis.by_weekday"),
            names,
            {
                t("analysis.average"): [
                    Mark(v, f"{names[n]} {money(v)}", p.receipts(weekday=n)) for n, v in enumerate(_averages(days))
                ]
            },
            format=money,
            width=700,
        ),
        "heat": _heat(connection, p, names),
    }


def taken_away(connection: sa.Connection, p: Period, t: Strings) -> tables.Table:
    """Every day, item, hour, table, cashier and payment of a period: one table, its first column says which."""
    rows: list[list[tables.Cell]] = []

    def add(what: str, name: str, v: Sums) -> None:
        worth = [tables.money(x, p.span.currency) for x in (v.amount, v.tips, v.discounts, v.refunded, v.voided)]
        rows.append([what, name, v.receipts, v.quantity or None, *worth, v.covers, v.refunds, v.voids])

    for day, value in analytics.by_day(connection, p.span).items():
        add(t("analysis.day"), day.isoformat(), value)
    for hour, value in sorted(analytics.by_value(connection, p.span, "hour")):
        add(t("analysis.hour"), f"{hour}:00", value)
    for dim in analytics.DIMS:
        for name, value in analytics.by_value(connection, p.span, dim):
            add(t(f"analysis.dim.{dim}"), name, value)
    for dish in analytics.dishes(connection, p.span):
        add(t("analysis.item"), dish.name, dish.sums)
    names = ("receipts", "quantity", "amount", "tips", "discounts", "refunded", "voided", "covers")
    head = ["", "", *(t(f"analysis.{name}") for name in names), t("analysis.see_refunds"), t("analysis.see_voids")]
    title = f"{t('analysis.amount')} {p.span.first} – {p.span.last} {p.span.currency}"
    return tables.Table(title, head, rows)


def _forecast(connection: sa.Connection, p: Period) -> analytics.Forecast:
    """From whole days alone: up to yesterday."""
    s = p.span
    long = analytics.Span(s.merchant, s.currency, p.today - timedelta(days=7 * 13), p.today - timedelta(days=1), s.shop)
    return analytics.forecast({day: v.amount for day, v in analytics.by_day(connection, long).items()})


def _day_chart(p: Period, t: Strings, days: dict[date, Sums], told: analytics.Forecast, money: Any) -> Any:
    if len(days) > 120:
        weeks: dict[date, int] = {}
        for day, v in days.items():
            start = day - timedelta(days=day.weekday())
            weeks[start] = weeks.get(start, 0) + v.amount
        marks = [Mark(v, f"{d} {money(v)}", p.receipts(first=d, last=d + timedelta(days=6))) for d, v in weeks.items()]
        labels = [f"{d:%d.%m.}" for d in weeks]
        return charts.bars(
            t("analysis.by_week"), labels, {t("analysis.amount"): marks}, format=money, every=_every(weeks)
        )
    ahead = {day: v for day, v in told.days.items() if day >= p.today} if p.span.last == p.today else {}
    all_days = [*days, *(day for day in ahead if day > p.span.last)]
    came = [
        Mark(days[d].amount, f"{d} {money(days[d].amount)}", p.receipts(first=d, last=d)) if d in days else Mark(None)
        for d in all_days
    ]
    series = {t("analysis.amount"): came}
    if ahead and len(days) > 6:
        series[t("analysis.expected")] = [
            Mark(ahead[d], f"{d} {t('analysis.expected')} {money(ahead[d])}") if d in ahead else Mark(None)
            for d in all_days
        ]
    labels = [f"{d:%d.%m.}" for d in all_days]
    return charts.stacked(t("analysis.by_day"), labels, series, format=money, every=_every(all_days), width=1180)


def _every(values: Any) -> int:
    return max(1, len(values) // 14)


def _open_hours(p: Period, hours: Any) -> list[int]:
    """From the first hour of the business day with a receipt to the last, the empty ones between them too."""
    start = p.day_starts // 60
    found = sorted((int(hour) - start) % 24 for hour in hours)
    return [(n + start) % 24 for n in range(found[0], found[-1] + 1)] if found else []


def _averages(days: dict[date, Sums]) -> list[int]:
    """Average amount of each weekday, Monday first."""
    count = [0] * 7
    for day in days:
        count[day.weekday()] += 1
    sums = analytics.by_weekday(days)
    return [round(v.amount / n) if n else 0 for v, n in zip(sums, count, strict=True)]


def _changes(now: Sums, before: Sums) -> dict[str, Any]:
    names = ("amount", "receipts", "basket", "covers", "tips", "discounts", "refunded", "voided", "per_cover")
    return {
        name: (getattr(before, name), change(getattr(now, name) or 0, getattr(before, name) or 0)) for name in names
    }


def _heat(connection: sa.Connection, p: Period, names: list[str]) -> dict[str, Any]:
    """Rows of cells; each cell has a shade from 0 to 9 of the largest."""
    found = analytics.heat(connection, p.span)
    hours = _open_hours(p, {hour for _, hour in found})
    most = max((v.amount for v in found.values()), default=0)
    rows = []
    for n, name in enumerate(names):
        cells = []
        for hour in hours:
            value = found.get((n, hour), Sums())
            shade = min(9, max(0, value.amount) * 10 // most) if most > 0 else 0
            cells.append((shade if value.amount > 0 else "n", value, p.receipts(weekday=n, hour=hour)))
        rows.append((name, cells))
    return {"hours": hours, "rows": rows}


def items_of(connection: sa.Connection, p: Period, t: Strings, who: Who) -> dict[str, Any]:
    money = money_of(p)
    all_dishes = analytics.dishes(connection, p.span)
    shown = all_dishes[:200]
    names = {dish.item: dish.name for dish in all_dishes}
    categories = analytics.by_category(all_dishes)
    top = shown[:10]
    return {
        "dishes": shown,
        "more": len(all_dishes) - len(shown),
        "may": "orders:write" in who.scopes,
        "known": sorted({dish.category for dish in all_dishes if dish.category}),
        "item_chart": charts.bars(
            t("analysis.top_items"),
            [_short(dish.name) for dish in top],
            {
                t("analysis.amount"): [
                    Mark(d.sums.amount, f"{d.name} {money(d.sums.amount)}", p.receipts(item=d.item)) for d in top
                ]
            },
            format=money,
            width=1180,
        ),
        "categories": [(name or t("analysis.no_category"), v) for name, v in categories],
        "pairs": [
            (names.get(pair.a, pair.a), names.get(pair.b, pair.b), pair) for pair in analytics.pairs(connection, p.span)
        ],
        "quarters": [
            (place, [dish for dish in all_dishes if dish.place == place][:12])
            for place in ("star", "plowhorse", "puzzle", "dog")
        ],
    }


def _short(name: str) -> str:
    return name if len(name) <= 12 else name[:11] + "…"


def people_of(connection: sa.Connection, p: Period, t: Strings, who: Who) -> dict[str, Any]:
    by = {dim: analytics.by_value(connection, p.span, dim) for dim in analytics.DIMS}
    return {"by": by, "odd": analytics.odd_ones(by["cashier"]), "channels": _channels(connection, p)}


def _channels(connection: sa.Connection, p: Period) -> list[tuple[str, int, int]]:
    """Orders of platforms and QR codes: they are counted apart, for the till may print a receipt for them too."""
    shop = next((s for s in p.shops if s.id == (p.span.shop or "")), p.shops[0])
    c = orders.c
    rows = connection.execute(
        sa.select(c.channel, c.created_at, c.content).where(
            c.merchant_id == p.span.merchant,
            c.state == "printed",
            c.created_at >= _ms(p.span.first, -1),
            c.created_at < _ms(p.span.last, 2),
        )
    )
    out: dict[str, list[int]] = {}
    for row in rows:
        if not p.span.first <= shop.day(shop.local(row.created_at)) <= p.span.last:
            continue
        content = msgspec.json.decode(row.content)
        if (content.get("currency") or shop.currency) == p.span.currency:
            mine = out.setdefault(row.channel, [0, 0])
            mine[0] += 1
            mine[1] += content.get("total") or 0
    return sorted(((name, n, worth) for name, (n, worth) in out.items()), key=lambda one: -one[2])


def _ms(day: date, plus: int) -> int:
    return (day - date(1970, 1, 1) + timedelta(days=plus)).days * 86_400_000


def compare_of(connection: sa.Connection, p: Period, t: Strings, who: Who) -> dict[str, Any]:
    money = money_of(p)
    now, before = analytics.totals(connection, p.span), analytics.totals(connection, p.other)
    ours, theirs = analytics.by_day(connection, p.span), analytics.by_day(connection, p.other)
    labels = [f"{day:%d.%m.}" for day in ours]
    series = {
        t("analysis.this_period"): [
            Mark(v.amount, f"{d} {money(v.amount)}", p.receipts(first=d, last=d)) for d, v in ours.items()
        ],
        t("analysis.other_period"): [
            Mark(v.amount, f"{d} {money(v.amount)}", p.receipts(first=d, last=d)) for d, v in theirs.items()
        ],
    }
    names = {shop.id: shop.name for shop in p.shops}
    return {
        "now": now,
        "before": before,
        "changes": _changes(now, before),
        "chart": charts.lines(
            t("analysis.two_periods"), labels, series, format=money, every=_every(labels), width=1180
        ),
        "shops": [
            (shop, names.get(shop) or t("analysis.first_shop"), v) for shop, v in analytics.by_shop(connection, p.span)
        ],
    }
