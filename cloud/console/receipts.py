"""Receipts: one as it looked on paper, beside what was read from it."""

from __future__ import annotations

from typing import Any

import anyio.to_thread
from litestar import Response, get
from litestar.params import FromPath

from cloud import views
from cloud.api.problem import Problem, not_found
from cloud.auth import Who
from cloud.console.desk import HIDDEN, Ask, Desk
from cloud.console.paper import png_of


def routes(desk: Desk) -> list[Any]:
    cloud = desk.cloud

    def shown(who: Who, receipt_id: str) -> dict[str, Any]:
        with cloud.store.read() as connection:
            found = views.receipt(connection, who.merchant, receipt_id)
            drawn = found is not None and views.raw(connection, who.merchant, receipt_id) is not None
        if found is None:
            raise not_found()
        return {"receipt": found, "drawn": drawn}

    def drawn(who: Who, receipt_id: str) -> bytes:
        with cloud.store.read() as connection:
            found = views.receipt(connection, who.merchant, receipt_id)
            raw = views.raw(connection, who.merchant, receipt_id)
        if found is None:
            raise not_found()
        return png_of(cloud.pictures, raw, str(found.text))

    @get("/receipts/{receipt_id:str}", **HIDDEN)
    async def receipt(receipt_id: FromPath[str], request: Ask) -> Response[str]:
        who = await desk.reader(request)
        values = await anyio.to_thread.run_sync(shown, who, receipt_id)
        return desk.page(request, who, "receipt.html", **values)

    @get("/receipts/{receipt_id:str}/picture", **HIDDEN)
    async def picture(receipt_id: FromPath[str], request: Ask) -> Response[bytes]:
        who = await desk.who(request)
        if who is None:
            raise Problem(401, "logged-out", "Log in again.")
        png = await anyio.to_thread.run_sync(drawn, who, receipt_id)
        return Response(png, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})

    return [receipt, picture]
