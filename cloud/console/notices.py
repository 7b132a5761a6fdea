"""How the shop reaches its customers, and what became of each notice."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from litestar import Response, get, post
from litestar.params import FromPath

from cloud import audit, senders, staff, strings, typed, webhooks
from cloud.api.problem import Problem, not_found
from cloud.console.access import back, fields, read, written
from cloud.console.desk import HIDDEN, Ask, Desk
from cloud.notifier_door import SCHEMES, WAYS, BadSender
from cloud.store.counter import notices as notice_table
from cloud.store.schema import orders

HOME = "/setup/notices"
EXAMPLES = {
    "sms": "twilio://SID:TOKEN@+441234567890/{to}",
    "email": "mailtos://user:password@example.com?to={to}&from=orders@example.com",
    "wechat": "wxpusher://AT_TOKEN/{to}",
    "webhook": "https://example.com/notices",
}
SHOWN = 50


def routes(desk: Desk) -> list[Any]:
    @get(HOME, **HIDDEN)
    async def page(request: Ask) -> Response[str]:
        who = await desk.reader(request, "owner")
        have, made, people = await read(
            desk, lambda c: (senders.senders_of(c, who.merchant), recent(c, who.merchant), staff.of(c, who.merchant))
        )
        return desk.page(
            request, who, "notices.html", have=have, made=made, ways=WAYS, schemes=SCHEMES, examples=EXAMPLES,
            staff=people, after_s=staff.AFTER_S,
        )  # fmt: skip

    @post(HOME + "/{way:str}", status_code=303, **HIDDEN)
    async def save(way: FromPath[str], request: Ask) -> Response[Any]:
        who = await desk.acting(request, "owner")
        if way not in WAYS:
            raise not_found()
        url = (await fields(request, "url"))["url"]

        def work(connection: sa.Connection) -> None:
            try:
                senders.set_sender(connection, who.merchant, way, url, desk.cloud.config.webhooks.allow_private)
            except (BadSender, webhooks.Unsafe) as error:
                raise Problem(422, "bad-sender", f"{way}: {error}.") from None
            audit.add(connection, who.merchant, who.name, "notices.set" if url else "notices.remove", way)

        await written(desk, work)
        return back(HOME)

    @post(HOME + "/staff", status_code=303, **HIDDEN)
    async def save_staff(request: Ask) -> Response[Any]:
        """Who of the shop is told when an alarm stands; `test`: tell them something now."""
        who = await desk.acting(request, "owner")
        form = await fields(request, "phone", "email", "wechat", "after_s", "test")
        language = desk.language(request).lang

        def work(connection: sa.Connection) -> None:
            try:
                contact = typed.contact(form["phone"], form["email"], form["wechat"])
            except typed.Refused as error:
                said = strings.strings(language)(f"order.refused.{error.code}")
                raise Problem(422, "bad-contact", said) from None
            after_s = int(form["after_s"]) if form["after_s"].isdecimal() else 0
            staff.save(connection, who.merchant, *contact, language, after_s)
            if form["test"]:
                staff.test(connection, who.merchant)
            audit.add(connection, who.merchant, who.name, "notices.staff", "")

        await written(desk, work)
        return back(HOME)

    return [page, save, save_staff]


def recent(connection: sa.Connection, merchant: str) -> list[Any]:
    same = sa.and_(orders.c.merchant_id == notice_table.c.merchant_id, orders.c.id == notice_table.c.order_id)
    return list(
        connection.execute(
            sa.select(notice_table, orders.c.number)
            .select_from(notice_table.outerjoin(orders, same))
            .where(notice_table.c.merchant_id == merchant)
            .order_by(notice_table.c.id.desc())
            .limit(SHOWN)
        ).all()
    )
