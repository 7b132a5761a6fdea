"""/v1/webhooks: where a platform wants to be told, and what became of that."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from litestar import Controller, Request, delete, get, post
from litestar.params import FromPath, JSONBody

from cloud import audit, webhooks
from cloud.api.access import who_of
from cloud.api.problem import Problem, not_found
from cloud.api.shapes import DeliveriesOut, DeliveryOut, WebhookIn, WebhookOut, WebhooksOut, iso, iso_sure
from cloud.context import Cloud
from cloud.store import schema

Ask = Request[Any, Any, Any]
MOST = 20
TABLE = schema.webhooks


class Hooks(Controller):
    path = "/webhooks"
    tags = ("webhooks",)

    @post("/", opt={"scope": "webhooks:write"}, sync_to_thread=True, summary="Be told of events")
    def add(self, data: JSONBody[WebhookIn], request: Ask, cloud: Cloud) -> WebhookOut:
        """Each event is POSTed, signed after Standard Webhooks with `secret`, which is shown only here. Answer 2xx
        within five seconds; else it comes again for 24 h. The same `webhook-id` may come twice."""
        who = who_of(request)
        try:
            webhooks.check_url(data.url, cloud.config.webhooks.allow_private)
        except webhooks.Unsafe as error:
            raise Problem(422, "unsafe-url", f"This address is not called: {error}.") from None
        if wrong := set(data.kinds) - set(webhooks.KINDS):
            raise Problem(422, "unknown-kind", f"No such kind: {', '.join(sorted(wrong))[:100]}.")
        with cloud.store.write() as connection:
            mine = sa.select(sa.func.count()).select_from(TABLE).where(TABLE.c.merchant_id == who.merchant)
            if (connection.execute(mine).scalar() or 0) >= MOST:
                raise Problem(409, "too-many", f"At most {MOST} webhooks: delete one first.")
            webhook_id, secret = webhooks.add(connection, who.merchant, data.url, data.kinds)
            audit.add(connection, who.merchant, who.name, "webhook.add", webhook_id, data.url)
        out = self.one(webhook_id, request, cloud)
        out.secret = secret
        return out

    @get("/", opt={"scope": "webhooks:write"}, sync_to_thread=True)
    def list(self, request: Ask, cloud: Cloud) -> WebhooksOut:
        with cloud.store.read() as connection:
            rows = connection.execute(
                sa.select(TABLE).where(TABLE.c.merchant_id == who_of(request).merchant).order_by(TABLE.c.id)
            ).all()
        return WebhooksOut([_shown(row) for row in rows])

    @get("/{webhook_id:str}", opt={"scope": "webhooks:write"}, sync_to_thread=True)
    def show(self, webhook_id: FromPath[str], request: Ask, cloud: Cloud) -> WebhookOut:
        return self.one(webhook_id, request, cloud)

    @get("/{webhook_id:str}/deliveries", opt={"scope": "webhooks:write"}, sync_to_thread=True)
    def deliveries(self, webhook_id: FromPath[str], request: Ask, cloud: Cloud) -> DeliveriesOut:
        """The last hundred."""
        self.one(webhook_id, request, cloud)
        table = schema.deliveries
        with cloud.store.read() as connection:
            rows = connection.execute(
                sa.select(table)
                .where(table.c.merchant_id == who_of(request).merchant, table.c.webhook_id == webhook_id)
                .order_by(table.c.event_n.desc())
                .limit(100)
            ).all()
        return DeliveriesOut(
            [DeliveryOut(r.event_n, r.state, r.tries, r.status, r.problem, iso_sure(r.next_at)) for r in rows]
        )

    @delete("/{webhook_id:str}", opt={"scope": "webhooks:write"}, status_code=204, sync_to_thread=True)
    def remove(self, webhook_id: FromPath[str], request: Ask, cloud: Cloud) -> None:
        who = who_of(request)
        with cloud.store.write() as connection:
            if not webhooks.remove(connection, who.merchant, webhook_id, who.name):
                raise not_found()

    def one(self, webhook_id: str, request: Ask, cloud: Cloud) -> WebhookOut:
        with cloud.store.read() as connection:
            row = connection.execute(
                sa.select(TABLE).where(TABLE.c.merchant_id == who_of(request).merchant, TABLE.c.id == webhook_id)
            ).first()
        if row is None:
            raise not_found()
        return _shown(row)


def _shown(row: Any) -> WebhookOut:
    return WebhookOut(
        id=row.id,
        url=row.url,
        kinds=row.kinds.split(),
        created_at=iso_sure(row.created_at),
        failing_since=iso(row.failing_since),
        problem=row.problem,
        disabled_at=iso(row.disabled_at),
    )
