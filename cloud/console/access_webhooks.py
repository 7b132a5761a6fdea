"""Webhooks: where events are told, what became of each, and those that nobody answers any more."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from litestar import Response, get, post
from litestar.params import FromPath

from cloud import audit, webhooks
from cloud.api.problem import Problem, not_found
from cloud.console.access import OWNER, all_of, back, fields, once, read, written
from cloud.console.desk import HIDDEN, Ask, Desk
from cloud.store import schema
from wire.messages import now_ms

HOME = "/setup/webhooks"
MOST, SHOWN = 20, 100
TABLE, LOG = schema.webhooks, schema.deliveries


def routes(desk: Desk) -> list[Any]:
    @get(HOME, **HIDDEN)
    async def page(request: Ask) -> Response[str]:
        who = await desk.reader(request, OWNER)
        found = await read(desk, lambda c: _listed(c, who.merchant))
        return desk.page(request, who, "access_webhooks.html", hooks=found, kinds=webhooks.KINDS)

    @post(HOME, status_code=200, **HIDDEN)
    async def add(request: Ask) -> Response[str]:
        who = await desk.acting(request, OWNER)
        url = (await fields(request, "url"))["url"]
        wished = await all_of(request, "kind")
        kinds = [kind for kind in webhooks.KINDS if kind in wished]
        try:
            webhooks.check_url(url, desk.cloud.config.webhooks.allow_private)
        except webhooks.Unsafe as error:
            raise Problem(422, "unsafe-url", f"This address is not called: {error}.") from None

        def make(connection: sa.Connection) -> str:
            if len(_listed(connection, who.merchant)) >= MOST:
                raise ValueError(f"at most {MOST} webhooks: remove one first")
            webhook_id, secret = webhooks.add(connection, who.merchant, url, kinds)
            audit.add(connection, who.merchant, who.name, "webhook.add", webhook_id, url)
            return secret

        return once(desk, request, who, "webhook", await written(desk, make), HOME, name=url)

    @get(HOME + "/{webhook_id:str}", **HIDDEN)
    async def log(webhook_id: FromPath[str], request: Ask) -> Response[str]:
        """The last hundred deliveries."""
        who = await desk.reader(request, OWNER)
        hook, rows = await read(desk, lambda c: (_one(c, who.merchant, webhook_id), _log(c, who.merchant, webhook_id)))
        if hook is None:
            raise not_found()
        return desk.page(request, who, "access_webhook.html", hook=hook, rows=rows)

    @post(HOME + "/{webhook_id:str}/again", status_code=303, **HIDDEN)
    async def again(webhook_id: FromPath[str], request: Ask) -> Response[Any]:
        """Switch it on again, and deliver what is dead or waits, from now."""
        who = await desk.acting(request, OWNER)

        def revive(connection: sa.Connection) -> bool:
            mine = (TABLE.c.merchant_id == who.merchant, TABLE.c.id == webhook_id)
            values = {"disabled_at": None, "failing_since": None, "problem": ""}
            if not connection.execute(sa.update(TABLE).where(*mine).values(**values)).rowcount:
                return False
            open_ones = (LOG.c.merchant_id == who.merchant, LOG.c.webhook_id == webhook_id, LOG.c.state != "done")
            connection.execute(sa.update(LOG).where(*open_ones).values(state="due", tries=0, next_at=now_ms()))
            audit.add(connection, who.merchant, who.name, "webhook.again", webhook_id)
            return True

        if not await written(desk, revive):
            raise not_found()
        return back(f"{HOME}/{webhook_id}")

    @post(HOME + "/{webhook_id:str}/remove", status_code=303, **HIDDEN)
    async def remove(webhook_id: FromPath[str], request: Ask) -> Response[Any]:
        who = await desk.acting(request, OWNER)
        if not await written(desk, lambda c: webhooks.remove(c, who.merchant, webhook_id, who.name)):
            raise not_found()
        return back(HOME)

    return [page, add, log, again, remove]


def _listed(connection: sa.Connection, merchant: str) -> list[Any]:
    return list(connection.execute(sa.select(TABLE).where(TABLE.c.merchant_id == merchant).order_by(TABLE.c.id)))


def _one(connection: sa.Connection, merchant: str, webhook_id: str) -> Any:
    return connection.execute(sa.select(TABLE).where(TABLE.c.merchant_id == merchant, TABLE.c.id == webhook_id)).first()


def _log(connection: sa.Connection, merchant: str, webhook_id: str) -> list[Any]:
    events = schema.events
    return list(
        connection.execute(
            sa.select(LOG, events.c.kind, events.c.object)
            .join(events, events.c.n == LOG.c.event_n, isouter=True)
            .where(LOG.c.merchant_id == merchant, LOG.c.webhook_id == webhook_id)
            .order_by(LOG.c.event_n.desc())
            .limit(SHOWN)
        )
    )
