"""One box: how it does, what it can be told to do, what it answered."""

from __future__ import annotations

import re
from typing import Any

import anyio.to_thread
import msgspec
import sqlalchemy as sa
from litestar import Response, get, post
from litestar.params import FromPath

from cloud import commands, views
from cloud.api.problem import Problem, not_found
from cloud.console.access import back, fields, written
from cloud.console.desk import HIDDEN, Ask, Desk
from cloud.facts import Places
from cloud.store.schema import boxes
from wire.messages import Status, now_ms

FRESH_MS = 90_000  # so long the page looks again by itself for an answer
LOOK_S = "3"


def routes(desk: Desk) -> list[Any]:
    store = desk.cloud.store

    @get("/boxes/{box_id:str}", **HIDDEN)
    async def page(box_id: FromPath[str], request: Ask) -> Response[str]:
        who = await desk.reader(request, "boxes:read")

        def work() -> dict[str, Any] | None:
            with store.read() as connection:
                found = views.box_list(connection, who.merchant, box_id)
                if not found:
                    return None
                text = connection.execute(
                    sa.select(boxes.c.status).where(boxes.c.merchant_id == who.merchant, boxes.c.id == box_id)
                ).scalar()
                return {
                    "box": found[0],
                    "health": msgspec.json.decode(text, type=Status) if text else None,
                    "shop": Places(connection, [who.merchant]).shop(who.merchant, box_id),
                    "history": commands.history(connection, who.merchant, box_id),
                }

        values = await anyio.to_thread.run_sync(work)
        if values is None:
            raise not_found()
        may = [name for name, scope in commands.MAY.items() if scope in who.scopes or scope == who.role]
        answer = desk.page(request, who, "box.html", may=may, **values)
        if any(one["waits"] and now_ms() - one["at"] < FRESH_MS for one in values["history"]):
            answer.headers["Refresh"] = LOOK_S
        return answer

    @post("/boxes/{box_id:str}/ask", status_code=303, **HIDDEN)
    async def ask(box_id: FromPath[str], request: Ask) -> Response[Any]:
        who = await desk.acting(request, "orders:write")
        form = await fields(request, "name", "printer", "url", "sha256", "version")
        scope = commands.MAY.get(form["name"], "")
        if scope and scope not in who.scopes and scope != who.role:
            raise Problem(403, "no-role", "Only the owner may do that.")
        args = {"printer": form["printer"]} if form["printer"] else {}
        if form["name"] == "update":
            args = {name: form[name] for name in ("url", "sha256", "version")}
            if not re.fullmatch(r"https://[^\s]+", args["url"]) or not re.fullmatch(r"[0-9a-f]{64}", args["sha256"]):
                raise Problem(422, "bad-update", "An update is an https address and the package's SHA-256.")
        if await written(desk, lambda c: commands.ask(c, who, box_id, form["name"], args) if scope else None) is None:
            raise not_found()
        return back(f"/boxes/{box_id}")

    @post("/boxes/{box_id:str}/heard", status_code=303, **HIDDEN)
    async def heard(box_id: FromPath[str], request: Ask) -> Response[Any]:
        who = await desk.acting(request, "orders:write")
        form = await fields(request, "command", "heard")
        if not await written(desk, lambda c: commands.heard(c, who, box_id, form["command"], form["heard"] == "yes")):
            raise not_found()
        return back(f"/boxes/{box_id}")

    return [page, ask, heard]
