"""How long this shop's receipts are kept: an owner may shorten what the deployment says."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post

from cloud import keeping
from cloud.api.problem import Problem
from cloud.auth import Who
from cloud.console.access import OWNER, back, fields, read, written
from cloud.console.desk import HIDDEN, Ask, Desk
from config.cloud import LEAST_RECEIPTS_DAYS

HOME = "/setup/keeping"


def routes(desk: Desk) -> list[Any]:
    most = desk.cloud.config.keep

    @get(HOME, **HIDDEN)
    async def page(request: Ask) -> Response[str]:
        who = await desk.reader(request, OWNER)
        spans = await read(desk, lambda c: keeping.of(c, who.merchant, most))
        least = {"receipts": LEAST_RECEIPTS_DAYS, "raw": 1}
        return desk.page(request, who, "access_keeping.html", spans=spans, most=most, least=least)

    @post(HOME, status_code=303, **HIDDEN)
    async def keep(request: Ask) -> Response[Any]:
        who = await desk.acting(request, OWNER)
        form = await fields(request, "receipts", "raw", longest=6)
        days = {name: _days(text) for name, text in form.items()}
        await written(desk, lambda c: _shorten(c, who, days))
        return back(HOME)

    def _shorten(connection: Any, who: Who, days: dict[str, int]) -> None:
        try:
            keeping.shorten(connection, who.merchant, who.name, most, days["receipts"], days["raw"])
        except keeping.TooLong as error:
            raise ValueError(str(error)) from None

    return [page, keep]


def _days(text: str) -> int:
    """0 for an empty field: as long as the deployment keeps them."""
    if text and not (text.isascii() and text.isdigit()):
        raise Problem(422, "bad-days", "Days are a whole number; leave the field empty to keep as long as possible.")
    return int(text or 0)
