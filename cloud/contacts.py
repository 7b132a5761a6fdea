"""How customers can be reached, what they have seen, and when that is forgotten.

Functions of a connection that is in a transaction; nothing here commits.
"""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from cloud import events
from cloud.store.counter import guest_orders, notices, visits, wechat_links
from cloud.store.schema import orders
from wire.messages import OrderContent, now_ms

LINK_MS = 7 * 24 * 3_600_000  # so long a link leads to its order, and contacts are kept
DAY_MS = 24 * 3_600_000


def reach(connection: sa.Connection, merchant: str, order_id: str, phone: str, email: str, wechat: str) -> None:
    """How to tell them. A state they could not be told of is told again."""
    connection.execute(
        sa.update(guest_orders)
        .where(guest_orders.c.merchant_id == merchant, guest_orders.c.order_id == order_id)
        .values(phone=phone, email=email, wechat=wechat, told="")
    )


def seen(connection: sa.Connection, merchant: str, order_id: str) -> None:
    connection.execute(
        sa.update(guest_orders)
        .where(
            guest_orders.c.merchant_id == merchant,
            guest_orders.c.order_id == order_id,
            guest_orders.c.seen_at.is_(None),
        )
        .values(seen_at=now_ms())
    )
    events.clear_alarm(connection, merchant, "notice", order_id)


def forget(connection: sa.Connection, merchant: str, order_id: str) -> None:
    """How a customer was reached goes, with what they were told."""
    mine = (guest_orders.c.merchant_id == merchant, guest_orders.c.order_id == order_id)
    connection.execute(sa.update(guest_orders).where(*mine).values(phone="", email="", wechat="", distance=None))
    for table in (notices, wechat_links):
        connection.execute(sa.delete(table).where(table.c.merchant_id == merchant, table.c.order_id == order_id))


def tidy(connection: sa.Connection, at: int) -> None:
    """Visits that are over go; of where a customer was nothing stays after 24 h; contacts go with the link."""
    connection.execute(sa.delete(visits).where(visits.c.expires_at < at))
    day = at - DAY_MS
    connection.execute(sa.update(visits).where(visits.c.distance_at < day).values(distance=None, distance_at=None))
    old = connection.execute(
        sa.select(guest_orders.c.merchant_id, guest_orders.c.order_id)
        .where(guest_orders.c.distance.is_not(None), guest_orders.c.created_at < day)
        .limit(500)
    ).all()
    for row in old:
        this = (orders.c.merchant_id == row.merchant_id, orders.c.id == row.order_id)
        text = connection.execute(sa.select(orders.c.content).where(*this)).scalar()
        if text:
            content = msgspec.structs.replace(msgspec.json.decode(text, type=OrderContent), distance="")
            connection.execute(sa.update(orders).where(*this).values(content=msgspec.json.encode(content).decode()))
        connection.execute(
            sa.update(guest_orders)
            .where(guest_orders.c.merchant_id == row.merchant_id, guest_orders.c.order_id == row.order_id)
            .values(distance=None)
        )
    contacts = guest_orders.c.phone + guest_orders.c.email + guest_orders.c.wechat
    connection.execute(
        sa.update(guest_orders)
        .where(guest_orders.c.created_at < at - LINK_MS, contacts != "")
        .values(phone="", email="", wechat="")
    )
    connection.execute(sa.delete(notices).where(notices.c.created_at < at - LINK_MS))
    connection.execute(sa.delete(wechat_links).where(wechat_links.c.asked_at < at - LINK_MS))
