"""Tables and their red codes; the shop's black code; sheets of both to print."""

from __future__ import annotations

import re
from typing import Any

import anyio.to_thread
import segno
import sqlalchemy as sa
from litestar import Response, get, post
from litestar.params import FromPath

from cloud import audit, fronts, qr_sheets
from cloud.api.problem import Problem, not_found
from cloud.auth import Buckets
from cloud.console.access import back, fields, read, written
from cloud.console.desk import HIDDEN, Ask, Desk
from cloud.fronts import DiningTable, Front
from cloud.qr_sheets import PER_PAGE, Card
from cloud.strings import languages, strings
from wire.messages import now_ms

HOME = "/setup/tables"
MOST = 200
MOST_ON_SHEETS = 72


def routes(desk: Desk) -> list[Any]:
    drawn = Buckets(0.5, 10)  # a page costs a second of work

    @get(HOME, **HIDDEN)
    async def page(request: Ask) -> Response[str]:
        who = await desk.reader(request, "orders:write")
        front, tables = await read(desk, lambda c: (fronts.of(c, who.merchant), fronts.tables(c, who.merchant)))
        links = {table.id: f"/t/{fronts.printed_token(front, table)}" for table in tables} if front else {}
        sizes = list(PER_PAGE)
        return desk.page(request, who, "tables.html", front=front, tables=tables, links=links, sizes=sizes)

    @post(HOME, status_code=303, **HIDDEN)
    async def add(request: Ask) -> Response[Any]:
        who = await desk.acting(request, "owner")
        names = named((await fields(request, "names"))["names"])

        def work(connection: sa.Connection) -> None:
            fronts.ensure(connection, who.merchant)
            if len(fronts.tables(connection, who.merchant)) + len(names) > MOST:
                raise Problem(422, "too-many", f"A shop has at most {MOST} tables.")
            fronts.add_tables(connection, who.merchant, names)
            audit.add(connection, who.merchant, who.name, "tables.add", ", ".join(names)[:200])

        await written(desk, work)
        return back(HOME)

    @post(HOME + "/{table_id:str}", status_code=303, **HIDDEN)
    async def change(table_id: FromPath[str], request: Ask) -> Response[Any]:
        """do = rotate | void | remove | rename."""
        who = await desk.acting(request, "owner")
        form = await fields(request, "do", "name", longest=20)

        def work(connection: sa.Connection) -> bool:
            audit.add(connection, who.merchant, who.name, f"tables.{form['do'][:20]}", table_id)
            if form["do"] == "remove":
                return fronts.remove_table(connection, who.merchant, table_id)
            if form["do"] in ("rotate", "void"):
                return fronts.rotate(connection, who.merchant, table_id, at_once=form["do"] == "void")
            return bool(form["name"]) and fronts.rename_table(connection, who.merchant, table_id, form["name"])

        if not await written(desk, work):
            raise not_found()
        return back(HOME)

    @get(HOME + "/sheet/{kind:str}", **HIDDEN)
    async def sheet(kind: FromPath[str], request: Ask) -> Response[bytes]:
        """red.pdf, red.png, black.pdf, black.png; ?per_page=4, ?table=ID for one alone."""
        who = await desk.reader(request, "orders:write")
        colour, _, form = kind.partition(".")
        per_page = int(text) if (text := request.query_params.get("per_page", "4")).isdigit() else 4
        if colour not in ("red", "black") or form not in ("pdf", "png") or per_page not in PER_PAGE:
            raise not_found()
        if wait := drawn.take(who.merchant):
            raise Problem(429, "too-fast", "Sheets are drawn one after another.", retry_after_s=wait)
        front, tables = await read(desk, lambda c: (fronts.of(c, who.merchant), fronts.tables(c, who.merchant)))
        wanted = request.query_params.get("table")
        tables = [table for table in tables if wanted in (None, "", table.id)][:MOST_ON_SHEETS]
        if front is None or (colour == "red" and not tables):
            raise not_found()
        base = desk.cloud.config.base
        cards = red(front, tables, base) if colour == "red" else [black(front, base)] * per_page
        draw = qr_sheets.pdf if form == "pdf" else qr_sheets.png
        data = await anyio.to_thread.run_sync(draw, cards, per_page)
        name = {"Content-Disposition": f'inline; filename="codes-{colour}.{form}"'}
        media = "application/pdf" if form == "pdf" else "image/png"
        return Response(data, media_type=media, headers=name)

    @get(HOME + "/{table_id:str}/screen", **HIDDEN)
    async def screen(table_id: FromPath[str], request: Ask) -> Response[str]:
        """For a small screen at the table: a code that changes every minute."""
        who = await desk.reader(request, "orders:write")
        front, table = await read(desk, lambda c: (fronts.of(c, who.merchant), fronts.table(c, who.merchant, table_id)))
        if front is None or table is None:
            raise not_found()
        url = f"{desk.cloud.config.base}/t/{fronts.screen_token(front, table, now_ms())}"
        code = segno.make(url, error="m", micro=False).png_data_uri(scale=8)
        return desk.page(request, None, "table_screen.html", front=front, table=table, code=code)

    return [page, add, change, sheet, screen]


def named(text: str) -> list[str]:
    """What was typed -> names of tables. Raises Problem 422.

    >>> named("1-3, Bar, 12")
    ['1', '2', '3', 'Bar', '12']
    """
    found: list[str] = []
    for piece in filter(None, (piece.strip() for piece in re.split(r"[,;\n，、]", text))):
        span = re.fullmatch(r"(\d{1,3})\s*[-\u2013]\s*(\d{1,3})", piece)
        if span and int(span[1]) <= int(span[2]):
            found += [str(n) for n in range(int(span[1]), int(span[2]) + 1)]
        else:
            found.append(piece)
    if not found or len(found) > MOST or any(len(name) > 20 for name in found):
        raise Problem(422, "bad-names", f"Write names like 1-12, Bar, Window; at most {MOST}, of 20 characters each.")
    return found


def red(front: Front, tables: list[DiningTable], base: str) -> list[Card]:
    return [
        Card(
            front.name,
            _all(front, "counter.card.table"),
            table.name,
            _all(front, "counter.card.scan"),
            f"{base}/t/{fronts.printed_token(front, table)}",
            True,
        )
        for table in tables
    ]


def black(front: Front, base: str) -> Card:
    kinds = " · ".join(_all(front, f"counter.card.{kind}") for kind in front.kinds())
    return Card(front.name, "", kinds or front.name, _all(front, "counter.card.scan"), f"{base}/s/{front.slug}", False)


def _all(front: Front, key: str) -> str:
    """In each of the shop's languages that we speak."""
    mine = [lang for lang in front.languages if lang in languages()] or ["en"]
    return " · ".join(strings(lang)(key) for lang in mine[:3])
