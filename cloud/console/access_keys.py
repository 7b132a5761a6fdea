"""API keys: what programs of the merchant's use."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from litestar import Response, get, post
from litestar.params import FromPath

from cloud import audit, auth
from cloud.api.problem import Problem, not_found
from cloud.console.access import OWNER, all_of, back, fields, once, read, written
from cloud.console.desk import HIDDEN, Ask, Desk
from cloud.store.schema import api_keys

HOME = "/setup/keys"
MOST = 50


def routes(desk: Desk) -> list[Any]:
    @get(HOME, **HIDDEN)
    async def page(request: Ask) -> Response[str]:
        who = await desk.reader(request, OWNER)
        found = await read(desk, lambda c: _listed(c, who.merchant))
        return desk.page(request, who, "access_keys.html", keys=found, scopes=auth.SCOPES)

    @post(HOME, status_code=200, **HIDDEN)
    async def add(request: Ask) -> Response[str]:
        who = await desk.acting(request, OWNER)
        label = (await fields(request, "label", longest=80))["label"]
        wished = await all_of(request, "scope")
        chosen = tuple(scope for scope in auth.SCOPES if scope in wished)
        if not chosen:
            raise Problem(422, "no-scope", "Choose at least one thing that the key may do.")

        def make(connection: sa.Connection) -> str:
            if len(_listed(connection, who.merchant)) >= MOST:
                raise ValueError(f"at most {MOST} keys: revoke one first")
            key = auth.new_key(connection, who.merchant, label, chosen)
            audit.add(connection, who.merchant, who.name, "key.add", label or "-", " ".join(chosen))
            return key

        return once(desk, request, who, "key", await written(desk, make), HOME, name=label)

    @post(HOME + "/{key_id:str}/revoke", status_code=303, **HIDDEN)
    async def revoke(key_id: FromPath[str], request: Ask) -> Response[Any]:
        who = await desk.acting(request, OWNER)

        def end(connection: sa.Connection) -> bool:
            label = auth.revoke_key(connection, who.merchant, key_id)
            if label is not None:
                audit.add(connection, who.merchant, who.name, "key.revoke", key_id, label)
            return label is not None

        if not await written(desk, end):
            raise not_found()
        return back(HOME)

    return [page, add, revoke]


def _listed(connection: sa.Connection, merchant: str) -> list[Any]:
    """Those that work."""
    query = sa.select(api_keys.c.id, api_keys.c.label, api_keys.c.scopes, api_keys.c.created_at)
    mine = (api_keys.c.merchant_id == merchant, api_keys.c.revoked_at.is_(None))
    return list(connection.execute(query.where(*mine).order_by(api_keys.c.id.desc())))
