"""Is everything here: one percentage to trust, and the list of what is missing."""

from __future__ import annotations

from typing import Any

import anyio.to_thread
from litestar import Response, get

from cloud import complete
from cloud.console.desk import HIDDEN, Ask, Desk
from cloud.console.period import period


def routes(desk: Desk) -> list[Any]:
    @get("/receipts/completeness", **HIDDEN)
    async def completeness(request: Ask) -> Response[str]:
        who = await desk.reader(request, "receipts:read")
        asked = {"range": "28"} | dict(request.query_params)

        def work() -> dict[str, Any]:
            with desk.cloud.store.read() as connection:
                p = period(connection, who.merchant, asked)
                found = complete.days(connection, who.merchant, p.span.first, p.span.last)
                return {"p": p, "days": found, "share": complete.share(found)}

        values = await anyio.to_thread.run_sync(work)
        return desk.page(request, who, "completeness.html", **values)

    return [completeness]
