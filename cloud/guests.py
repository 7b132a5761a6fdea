"""A customer's order: from the basket to orders.submit, and what its page may show.

The server alone says what it costs. A basket becomes one order however often it is sent: its id is the key. Every
function takes a connection that is in a transaction; nothing here commits.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import msgspec
import sqlalchemy as sa

from cloud import basket, menu, orders, wechat
from cloud.basket import Visit
from cloud.contacts import LINK_MS
from cloud.fronts import DiningTable, Front
from cloud.ids import ordered
from cloud.menu import Bill, Line, Menu, said
from cloud.steps import STOPPED
from cloud.store.counter import guest_orders
from cloud.store.schema import orders as order_table
from cloud.typed import Refused, contact
from config.cloud import Orders as Settings
from wire.messages import OrderContent, OrderItem, OrderState, now_ms

S = OrderState
GONE = (S.REJECTED, S.CANCELLED, S.EXPIRED, S.CLOSED)
AGAIN = (S.REJECTED, S.EXPIRED, S.CANCELLED)  # from these the basket opens again
TABLE_MS = 15 * 60_000  # orders of a table count as open this long: staff had no time to look
CUSTOMER_MS = 60 * 60_000
SOURCE_TIMES = 4  # one network address may be a whole household, or an office


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a customer fills in beside the basket."""

    kind: str
    total: int  # what they saw
    language: str
    name: str = ""
    phone: str = ""
    email: str = ""
    wechat: str = ""
    address: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Guest:
    """An order as its customer sees it."""

    merchant: str
    order_id: str
    number: str
    kind: str
    state: str
    proof: str
    reason: str
    reason_code: str
    ready_at: int | None
    content: OrderContent
    created_at: int
    changed_at: int
    table_id: str
    language: str
    lines: tuple[Line, ...]
    phone: str
    email: str
    wechat: str
    replaces: str | None
    replaced_by: str | None
    seen_at: int | None

    @property
    def can_change(self) -> bool:
        fresh = not self.table_id or now_ms() - self.created_at < basket.VISIT_MS  # later they scan the table's code
        return self.state in AGAIN and self.replaced_by is None and fresh

    @property
    def stopped(self) -> bool:
        """It was cancelled after it was printed."""
        return self.state == S.PRINTED and self.reason_code == STOPPED

    @property
    def can_withdraw(self) -> bool:
        return self.state == S.REVIEW


SAME = sa.and_(order_table.c.merchant_id == guest_orders.c.merchant_id, order_table.c.id == guest_orders.c.order_id)


def place(
    connection: sa.Connection,
    front: Front,
    table: DiningTable | None,
    visit: Visit,
    basket_id: str,
    wanted: Wanted,
    source: bytes,
    settings: Settings,
    base: str,
) -> str:
    """-> the order's id. `base`: what addresses of our pages begin with. Raises Refused, orders.NoBox."""
    known = connection.execute(
        sa.select(guest_orders.c.order_id).where(
            guest_orders.c.merchant_id == front.merchant,
            guest_orders.c.basket_id == basket_id,
            guest_orders.c.visit == visit.hash,
        )
    ).scalar()
    if known is not None:
        return str(known)
    if basket_id != visit.basket_id or not visit.lines:
        raise Refused("empty")
    _may_order(connection, front, table, wanted, source)
    bill = menu.price(menu.load(connection, front.merchant), list(visit.lines), front.now())
    if bill.trouble:
        raise Refused("trouble")
    if bill.total != wanted.total:
        raise Refused("price")
    content, order_id = _content(front, table, visit, bill, wanted), ordered()
    content.link = f"{base}/o/{front.order_link(order_id)}"  # on the slip: who holds it sees what became of the order
    order_id, _ = orders.submit(
        connection,
        front.merchant,
        orders.Submission(content, "table" if table else "shop", key=f"basket {basket_id}", id=order_id),
        f"guest at table {table.name}" if table else "guest",
        settings,
    )
    link = front.order_link(order_id)
    phone, email, wechat_id = contact(wanted.phone, wanted.email, wanted.wechat)
    connection.execute(
        sa.insert(guest_orders).values(
            merchant_id=front.merchant,
            order_id=order_id,
            basket_id=basket_id,
            visit=visit.hash,
            link_hash=_digest(link),
            source=source,
            table_id=table.id if table else "",
            basket=msgspec.json.encode(visit.lines).decode(),
            language=wanted.language,
            phone=phone,
            email=email,
            wechat=wechat_id,
            replaces=visit.replaces,
            told="",
            distance=content.distance or None,
            created_at=now_ms(),
        )
    )
    if visit.replaces:
        wechat.carry_over(connection, front.merchant, visit.replaces, order_id)
        connection.execute(
            sa.update(guest_orders)
            .where(guest_orders.c.merchant_id == front.merchant, guest_orders.c.order_id == visit.replaces)
            .values(replaced_by=order_id)
        )
    basket.ordered_it(connection, visit)
    return order_id


def _may_order(
    connection: sa.Connection, front: Front, table: DiningTable | None, wanted: Wanted, source: bytes
) -> None:
    if front.paused():
        raise Refused("paused")
    if not front.open_now():
        raise Refused("closed")
    if table is not None:
        if not front.dine_in:
            raise Refused("off")
        if _open(connection, front.merchant, TABLE_MS, guest_orders.c.table_id == table.id) >= front.open_per_table:
            raise Refused("table_full")
        return
    if wanted.kind not in front.kinds():
        raise Refused("off")
    if not wanted.name:
        raise Refused("needs_name", "name")
    if wanted.kind == "delivery" and not wanted.address:
        raise Refused("needs_address", "address")
    if wanted.kind == "delivery" and not wanted.phone:
        raise Refused("needs_phone", "phone")
    phone, most = contact(wanted.phone, "", "")[0], front.open_per_customer
    if phone and _open(connection, front.merchant, CUSTOMER_MS, guest_orders.c.phone == phone) >= most:
        raise Refused("customer_full")
    from_here = (guest_orders.c.source == source, guest_orders.c.table_id == "")
    if _open(connection, front.merchant, CUSTOMER_MS, *from_here) >= most * SOURCE_TIMES:
        raise Refused("customer_full")


def _open(connection: sa.Connection, merchant: str, within_ms: int, *which: sa.ColumnElement[bool]) -> int:
    found = connection.execute(
        sa.select(sa.func.count())
        .select_from(guest_orders.join(order_table, SAME))
        .where(
            guest_orders.c.merchant_id == merchant,
            guest_orders.c.created_at > now_ms() - within_ms,
            order_table.c.state.not_in(GONE),
            *which,
        )
    ).scalar_one()
    return int(found)


def _content(front: Front, table: DiningTable | None, visit: Visit, bill: Bill, wanted: Wanted) -> OrderContent:
    """What the paper says, in the shop's own language."""
    own, phone = front.languages[0], wanted.phone
    items = []
    for line in bill.lines:
        assert line.item is not None
        items.append(
            OrderItem(
                name=said(line.item.names, own),
                quantity=line.line.quantity,
                unit_price=line.unit,
                options=[said(option.names, own) for option in line.options],
                note=line.line.note,
                category=line.item.kitchen,
                allergens=list(line.item.allergens),
            )
        )
    located = visit.distance if visit.distance and visit.distance != basket.DECLINED else ""
    return OrderContent(
        number="",
        kind="dine_in" if table else wanted.kind,
        items=items,
        channel="table" if table else "shop",
        table=table.name if table else "",
        customer=wanted.name,
        note=wanted.note,
        currency=front.currency,
        total=bill.total,
        placed_at=front.now().strftime("%Y-%m-%d %H:%M"),
        shop=front.name,
        phone=f"…{phone[-4:]}" if phone else "",
        address=wanted.address if wanted.kind == "delivery" and not table else "",
        distance=located or "",
    )


def by_link(connection: sa.Connection, token: str) -> Guest | None:
    """The order that a link leads to, while it does: LINK_MS."""
    if not 20 <= len(token) <= 64:
        return None
    row = connection.execute(
        sa.select(
            guest_orders,
            order_table.c.number,
            order_table.c.kind,
            order_table.c.state,
            order_table.c.proof,
            order_table.c.reason,
            order_table.c.reason_code,
            order_table.c.ready_at,
            order_table.c.content,
            order_table.c.changed_at,
        )
        .select_from(guest_orders.join(order_table, SAME))
        .where(guest_orders.c.link_hash == _digest(token), guest_orders.c.created_at > now_ms() - LINK_MS)
    ).first()
    if row is None:
        return None
    return Guest(
        row.merchant_id,
        row.order_id,
        row.number,
        row.kind,
        row.state,
        row.proof,
        row.reason,
        row.reason_code,
        row.ready_at,
        msgspec.json.decode(row.content, type=OrderContent),
        row.created_at,
        row.changed_at,
        row.table_id,
        row.language,
        tuple(msgspec.json.decode(row.basket, type=list[Line])),
        row.phone,
        row.email,
        row.wechat,
        row.replaces,
        row.replaced_by,
        row.seen_at,
    )


def reopen(connection: sa.Connection, visit: Visit, guest: Guest, known: Menu) -> None:
    """The rejected order's basket, as far as the menu still has it, to be changed and sent anew."""
    lines = tuple(line for line in guest.lines if known.item(line.item) is not None)
    fresh = basket.keep(
        connection,
        Visit(visit.hash, visit.merchant, visit.table_id, lines, visit.basket_id, guest.order_id, visit.distance),
    )
    assert fresh.replaces == guest.order_id


def filled_in(connection: sa.Connection, merchant: str, order_id: str) -> dict[str, str]:
    """What their customer wrote on an order that opens again; {} where it is forgotten. Field of the form -> text."""
    row = connection.execute(
        sa.select(guest_orders.c.phone, guest_orders.c.email, guest_orders.c.wechat, order_table.c.content)
        .select_from(guest_orders.join(order_table, SAME))
        .where(guest_orders.c.merchant_id == merchant, guest_orders.c.order_id == order_id)
    ).first()
    if row is None:
        return {}
    content = msgspec.json.decode(row.content, type=OrderContent)
    found = {"phone": row.phone, "email": row.email, "wechat": row.wechat, "kind": content.kind}
    return found | {"name": content.customer, "address": content.address, "note": content.note}


def withdraw(connection: sa.Connection, guest: Guest, settings: Settings) -> None:
    """The customer changed their mind, while nobody has accepted: they need not be told."""
    if guest.can_withdraw:
        orders.cancel(connection, guest.merchant, guest.order_id, "guest", "withdrawn by the customer", settings)
        connection.execute(
            sa.update(guest_orders)
            .where(guest_orders.c.merchant_id == guest.merchant, guest_orders.c.order_id == guest.order_id)
            .values(told=S.CANCELLED)
        )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
