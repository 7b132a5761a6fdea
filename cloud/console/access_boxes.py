"""Boxes: bring one in with a code, have it change its password, cut it off."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from litestar import Response, get, post
from litestar.params import FromPath

from cloud import audit, claims
from cloud import boxes as box_table
from cloud.api.oauth import issuer_of
from cloud.api.problem import not_found
from cloud.console.access import OWNER, back, once, read, written
from cloud.console.desk import HIDDEN, Ask, Desk
from cloud.store.schema import boxes
from cloud.store.schema import claims as codes
from wire.messages import now_ms

HOME = "/setup/boxes"
OPEN_CODES = 50


def routes(desk: Desk) -> list[Any]:
    @get(HOME, **HIDDEN)
    async def page(request: Ask) -> Response[str]:
        who = await desk.reader(request, OWNER)
        found, waiting = await read(desk, lambda c: (_listed(c, who.merchant), _codes(c, who.merchant)))
        return desk.page(request, who, "access_boxes.html", boxes=found, waiting=waiting)

    @post(HOME, status_code=200, **HIDDEN)
    async def code(request: Ask) -> Response[str]:
        """A code for a box that is new here."""
        return await _new_code(request, "")

    @post(HOME + "/{box_id:str}/code", status_code=200, **HIDDEN)
    async def code_for(box_id: FromPath[str], request: Ask) -> Response[str]:
        """A code with which exactly this box gets another password: a new board, or one that lost its own."""
        return await _new_code(request, box_id)

    async def _new_code(request: Ask, box: str) -> Response[str]:
        who = await desk.acting(request, OWNER)

        def make(connection: sa.Connection) -> str | None:
            if box and _one(connection, who.merchant, box) is None:
                return None
            if _codes(connection, who.merchant) >= OPEN_CODES:
                raise ValueError(f"{OPEN_CODES} codes wait already: use one, or wait until they end")
            return claims.new(connection, who.merchant, who.name, box)

        made = await written(desk, make)
        if made is None:
            raise not_found()
        return once(desk, request, who, "code", made, HOME, name=box, cloud=issuer_of(desk.cloud))

    @post(HOME + "/{box_id:str}/rotate", status_code=303, **HIDDEN)
    async def rotate(box_id: FromPath[str], request: Ask) -> Response[Any]:
        who = await desk.acting(request, OWNER)

        def ask(connection: sa.Connection) -> bool:
            if (box := _one(connection, who.merchant, box_id)) is None or box.revoked_at is not None:
                return False
            box_table.command(connection, who.merchant, box_id, "rotate")
            audit.add(connection, who.merchant, who.name, "box.rotate", box_id, "asked")
            return True

        if not await written(desk, ask):
            raise not_found()
        return back(HOME)

    @post(HOME + "/{box_id:str}/revoke", status_code=303, **HIDDEN)
    async def revoke(box_id: FromPath[str], request: Ask) -> Response[Any]:
        who = await desk.acting(request, OWNER)
        if not await written(desk, lambda c: box_table.revoke(c, who.merchant, box_id, who.name)):
            raise not_found()
        return back(HOME)

    return [page, code, code_for, rotate, revoke]


def _listed(connection: sa.Connection, merchant: str) -> list[dict[str, Any]]:
    columns = (boxes.c.id, boxes.c.online, boxes.c.created_at, boxes.c.revoked_at, boxes.c.file_hash)
    rows = connection.execute(sa.select(*columns).where(boxes.c.merchant_id == merchant).order_by(boxes.c.id))
    return [{**row._mapping, "fingerprint": claims.fingerprint(row.file_hash)} for row in rows]


def _one(connection: sa.Connection, merchant: str, box: str) -> Any:
    return connection.execute(sa.select(boxes).where(boxes.c.merchant_id == merchant, boxes.c.id == box)).first()


def _codes(connection: sa.Connection, merchant: str) -> int:
    """How many codes wait for a box."""
    mine = (codes.c.merchant_id == merchant, codes.c.used_at.is_(None), codes.c.expires_at > now_ms())
    return int(connection.execute(sa.select(sa.func.count()).select_from(codes).where(*mine)).scalar() or 0)
