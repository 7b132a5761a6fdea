"""Slips: header, footer, logo, prices, code and language; beside them the paper, made of the bytes that are printed."""

from __future__ import annotations

from typing import Any

import anyio.to_thread
import msgspec
import sqlalchemy as sa
from litestar import Response, get, post

from cloud import previews, rules
from cloud.api.problem import Problem
from cloud.auth import Who
from cloud.console.access import back, read, written
from cloud.console.desk import HIDDEN, Ask, Desk
from cloud.console.shop_rules import Form, cannot_be, chosen, printers_of, save
from receipt import logo
from receipt.slip_words import WORDS
from receipt.slip_writer import Paper
from wire.messages import SlipStyle
from wire.paper import slip_bytes, slip_png

HOME = "/setup/slip"
PAPERS = {"80mm": 48, "58mm": 32}  # where no printer is known yet
MOST_LOGO = 1_000_000


def routes(desk: Desk) -> list[Any]:
    @get(HOME, **HIDDEN)
    async def page(request: Ask) -> Response[str]:
        who = await desk.reader(request, "orders:write")
        asked = request.query_params.get("shop", "")

        def work(connection: sa.Connection) -> dict[str, Any]:
            shop = chosen(connection, who.merchant, asked)
            printers = [f"{box}/{name}" for box, name, _ in printers_of(connection, who.merchant) if name]
            style = rules.load(connection, who.merchant, SlipStyle, shop.id)
            return {"shop": shop, "style": style, "papers": [*printers, *PAPERS], "tongues": list(WORDS)}

        return desk.page(request, who, "slip.html", **await read(desk, work))

    @get(HOME + "/picture", **HIDDEN)
    async def picture(request: Ask) -> Response[bytes]:
        """The sample order on the slip as the form in the address describes it; without one, as it is kept."""
        who = await desk.reader(request, "orders:write")
        form = Form(request.query_params)

        def work(connection: sa.Connection) -> tuple[SlipStyle, Paper]:
            shop = chosen(connection, who.merchant, form.text("shop", 64))
            style = rules.load(connection, who.merchant, SlipStyle, shop.id)
            style = _style(form, style) if form.has("form") else style
            if wrong := rules.check(style):
                raise cannot_be(wrong)
            return style, _paper(connection, who, form.text("paper", 100))

        style, paper = await read(desk, work)
        drawn = await anyio.to_thread.run_sync(lambda: slip_png(slip_bytes(previews.SAMPLE, style, paper), paper))
        return Response(drawn, media_type="image/png", headers={"Cache-Control": "no-store"})

    @post(HOME, status_code=303, request_max_body_size=MOST_LOGO + 100_000, **HIDDEN)
    async def change(request: Ask) -> Response[Any]:
        who = await desk.acting(request, "orders:write")
        sent = await request.form()
        file: Any = sent.get("logo")
        form = Form(sent)
        data = await file.read() if hasattr(file, "read") else b""
        try:
            new = await anyio.to_thread.run_sync(logo.tidy, data) if data else b""
        except ValueError as error:
            raise Problem(422, "bad-logo", f"{str(error)[:1].upper()}{str(error)[1:]}.") from None

        def work(connection: sa.Connection) -> str:
            shop = chosen(connection, who.merchant, form.text("shop", 64))
            style = _style(form, rules.load(connection, who.merchant, SlipStyle, shop.id))
            if new or form.has("no_logo"):
                style = msgspec.structs.replace(style, logo=new)
            save(connection, who, style, shop.id)
            return HOME + shop.query

        return back(await written(desk, work))

    return [page, picture, change]


def _style(form: Form, old: SlipStyle) -> SlipStyle:
    return msgspec.structs.replace(
        old,
        header=form.lines("header"),
        footer=form.lines("footer"),
        prices=form.has("prices"),
        qr=form.has("qr"),
        language=form.text("language", 10),
    )


def _paper(connection: sa.Connection, who: Who, name: str) -> Paper:
    if name in PAPERS:
        return Paper(PAPERS[name])
    box, _, printer = name.partition("/")
    return previews.paper_on(connection, who.merchant, box, printer)
