"""Alert sounds: what a shop's boxes play for each event, its own WAV files among them."""

from __future__ import annotations

from typing import Any

import anyio.to_thread
import sqlalchemy as sa
from litestar import Response, get, post
from litestar.params import FromPath

from cloud import sounds
from cloud.api.problem import not_found
from cloud.api.sounds import tidied
from cloud.console.access import back, read, written
from cloud.console.desk import HIDDEN, Ask, Desk
from cloud.console.shop_rules import Form, chosen

HOME = "/setup/sounds"


def routes(desk: Desk) -> list[Any]:
    @get(HOME, **HIDDEN)
    async def page(request: Ask) -> Response[str]:
        who = await desk.reader(request, "orders:write")
        asked = request.query_params.get("shop", "")

        def work(connection: sa.Connection) -> dict[str, Any]:
            shop = chosen(connection, who.merchant, asked)
            own = sounds.of_shop(connection, who.merchant, shop.id)
            held = sounds.held(connection, who.merchant, shop.id)
            there = {e: sum(has.get(e) == one.digest for has in held.values()) for e, one in own.items()}
            return {"shop": shop, "events": sounds.EVENTS, "own": own, "there": there, "boxes": len(held)}

        return desk.page(request, who, "sounds.html", longest=sounds.LONGEST_S, **await read(desk, work))

    @get(HOME + "/{event:str}", **HIDDEN)
    async def listen(event: FromPath[str], request: Ask) -> Response[bytes]:
        who = await desk.reader(request, "orders:write")
        asked = request.query_params.get("shop", "")

        def work(connection: sa.Connection) -> bytes | None:
            return sounds.data_of(connection, who.merchant, chosen(connection, who.merchant, asked).id, event)

        data = await read(desk, work)
        if data is None:
            raise not_found()
        return Response(sounds.as_wav(data), media_type="audio/wav", headers={"Cache-Control": "no-store"})

    @post(HOME, status_code=303, request_max_body_size=sounds.MOST_FILE + 100_000, **HIDDEN)
    async def change(request: Ask) -> Response[Any]:
        """With a file: this event's sound from now on. Without: `remove`."""
        who = await desk.acting(request, "orders:write")
        sent = await request.form()
        form, away = Form(sent), bool(sent.get("remove"))
        file: Any = sent.get("file")
        event = form.text("event", 40)
        raw = await file.read() if hasattr(file, "read") else b""
        data = b"" if away else await anyio.to_thread.run_sync(tidied, who.merchant, raw)

        def work(connection: sa.Connection) -> str | None:
            shop = chosen(connection, who.merchant, form.text("shop", 64))
            if data:
                sounds.keep(connection, who, shop.id, event, data)
            elif not sounds.remove(connection, who, shop.id, event):
                return None
            return HOME + shop.query

        home = await written(desk, work)
        if home is None:
            raise not_found()
        return back(home)

    return [page, listen, change]
