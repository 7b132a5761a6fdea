"""Analysis: what the shop sold, when and by whom: a chart, the table behind it, and the receipts behind that."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import anyio.to_thread
import msgspec
import sqlalchemy as sa
from litestar import Response, get, post
from litestar.params import FromPath

from cloud import analytics, audit, charts, tables
from cloud.analytics import Sums
from cloud.api.problem import not_found
from cloud.auth import Who
from cloud.charts import Mark
from cloud.console.analysis_sales import axis_of, changes, money_of, sales_of
from cloud.console.desk import HIDDEN, Ask, Desk
from cloud.console.period import Period, period
from cloud.facts import clean, fold
from cloud.ids import first_id
from cloud.store.figures import items
from cloud.store.schema import orders
from cloud.strings import Strings

TABS = ("sales", "items", "people", "compare")
MOST_ODD = 5  # days


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
            format=axis_of(p),
            width=1180,
        ),
        "categories": categories,
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
    return {
        "by": by,
        "odd": analytics.odd_ones(by["cashier"]),
        "off": analytics.odd_ones(by["cashier"], analytics.got_off),
        "odd_days": analytics.odd_days(analytics.by_day(connection, p.span))[:MOST_ODD],
        "channels": _channels(connection, p),
    }


def _channels(connection: sa.Connection, p: Period) -> list[tuple[str, int, int]]:
    """Orders of platforms and QR codes: they are counted apart, for the till may print a receipt for them too."""
    shop = next((s for s in p.shops if s.id == (p.span.shop or "")), p.shops[0])
    c = orders.c
    rows = connection.execute(
        sa.select(c.channel, c.created_at, c.content).where(
            c.merchant_id == p.span.merchant,
            c.state == "printed",
            c.id >= first_id(_ms(p.span.first, -1)),  # an order's id begins with its time: the key leads to these days
            c.id < first_id(_ms(p.span.last, 2)),
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
        "changes": changes(now, before),
        "chart": charts.lines(t("analysis.two_periods"), labels, series, format=axis_of(p), width=1180),
        "shops": [
            (shop, names.get(shop) or t("analysis.first_shop"), v) for shop, v in analytics.by_shop(connection, p.span)
        ],
    }
