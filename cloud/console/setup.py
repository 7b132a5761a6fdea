"""Set-up: tiles that lead to the pages of what is set once (places.SETUP)."""

from __future__ import annotations

from typing import Any

from litestar import Response, get

from cloud.console import places
from cloud.console.desk import HIDDEN, Ask, Desk


def routes(desk: Desk) -> list[Any]:
    @get("/setup", **HIDDEN)
    async def setup(request: Ask) -> Response[str]:
        who = await desk.reader(request)
        tiles = [place for place in places.SETUP if place.open_to(who)]
        return desk.page(request, who, "setup.html", tiles=tiles)

    return [setup]
