"""Is everything here: one percentage to trust, and the list of what is missing; to take away for the books."""

from __future__ import annotations

from typing import Any

import anyio.to_thread
from litestar import Response, get
from litestar.params import FromPath

from cloud import complete, tables
from cloud.api.problem import not_found
from cloud.auth import Who
from cloud.complete import BoxDay
from cloud.console.desk import HIDDEN, Ask, Desk
from cloud.console.period import Period, period
from cloud.strings import Strings

HOME = "/receipts/completeness"
HEAD = (
    "analysis.day",
    "receipts.box",
    "fleet.jobs",
    "fleet.missing",
    "fleet.passed_over",
    "fleet.captured",
    "fleet.z_report",
    "fleet.difference",
    "analysis.currency",
    "fleet.share",
)


def routes(desk: Desk) -> list[Any]:
    def found(who: Who, asked: dict[str, str]) -> tuple[Period, list[BoxDay]]:
        with desk.cloud.store.read() as connection:
            p = period(connection, who.merchant, {"range": "28"} | asked)
            return p, complete.days(connection, who.merchant, p.span.first, p.span.last)

    @get(HOME, **HIDDEN)
    async def completeness(request: Ask) -> Response[str]:
        who = await desk.reader(request, "receipts:read")
        p, days = await anyio.to_thread.run_sync(found, who, dict(request.query_params))
        return desk.page(request, who, "completeness.html", p=p, days=days, share=complete.share(days))

    @get(HOME + "/export/{kind:str}", **HIDDEN)
    async def export(kind: FromPath[str], request: Ask) -> Response[bytes]:
        who = await desk.reader(request, "receipts:read")
        if kind not in tables.KINDS:
            raise not_found()
        t, asked = desk.language(request), dict(request.query_params)

        def work() -> Response[bytes]:
            return tables.answer(taken_away(*found(who, asked), t), kind, "completeness")

        return await anyio.to_thread.run_sync(work)

    return [completeness, export]


def taken_away(p: Period, days: list[BoxDay], t: Strings) -> tables.Table:
    """A row for each box, day and currency."""
    rows: list[list[tables.Cell]] = []
    for one in days:
        missing = "; ".join(
            f"{first}-{last} {t(f'fleet.why.{why}') if f'fleet.why.{why}' in t else why}"
            for why, first, last in one.waiting
        )
        head: list[tables.Cell] = [one.day, one.box, one.jobs, missing, ", ".join(map(str, one.passed_over))]
        for currency in sorted(one.amount) or [""]:
            mine = one.reported is not None and currency == one.reported_currency
            worth = [one.amount.get(currency), one.reported if mine else None, one.difference if mine else None]
            cells: list[tables.Cell] = [tables.money(value, currency) for value in worth]
            rows.append([*head, *cells, currency, round(one.share * 100, 1)])
    title = f"{t('receipts.completeness')} {p.span.first} – {p.span.last}"
    return tables.Table(title, [t(name) for name in HEAD], rows)
