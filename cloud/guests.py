"""A customer's order: from the basket to orders.submit, and what its page may show.

The server alone says what it costs. A basket becomes one order however often it is sent: its id is the key. Every
function takes a connection that is in a transaction; nothing here commits.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from cloud import basket, events, menu, orders
from cloud.api.shapes import BIDI, FORBIDDEN
from cloud.basket import Visit
from cloud.fronts import DiningTable, Front
from cloud.ids import ordered
from cloud.menu import Bill, Line, Menu, said
from cloud.store.counter import guest_orders, notices, visits
from cloud.store.schema import orders as order_table
from config.cloud import Orders as Settings
from wire.messages import OrderContent, OrderItem, OrderState, now_ms

S = OrderState
GONE = (S.REJECTED, S.CANCELLED, S.EXPIRED, S.CLOSED)
AGAIN = (S.REJECTED, S.EXPIRED, S.CANCELLED)  # from these the basket opens again
TABLE_MS = 15 * 60_000  # orders of a table count as open this long: staff had no time to look
CUSTOMER_MS = 60 * 60_000
SOURCE_TIMES = 4  # one network address may be a whole household, or an office
LINK_MS = 7 * 24 * 3_600_000
PHONE = re.compile(r"\+?[0-9]{6,15}")
EMAIL = re.compile(r"[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){1,4}")
WECHAT = re.compile(r"[A-Za-z0-9_-]{3,64}")


class Refused(Exception):
    """It cannot be ordered so. `code` names the sentence that says why; `field` what to look at."""

    def __init__(self, code: str, field: str = "", **values: Any) -> None:
        super().__init__(code)
        self.code, self.field, self.values = code, field, values


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
    def can_withdraw(self) -> bool:
        return self.state == S.REVIEW


SAME = sa.and_(order_table.c.merchant_id == guest_orders.c.merchant_id, order_table.c.id == guest_orders.c.order_id)


def clean(text: str, most: int, field: str) -> str:
    """What a customer typed, fit for paper. Line ends are spaces; what a printer could obey is refused."""
    plain = " ".join(text.split())
    if len(plain) > most:
        raise Refused("too_long", field, most=most)
    if any(unicodedata.category(c) in FORBIDDEN or c in BIDI for c in plain):
        raise Refused("bad_text", field)
    return plain


def contact(phone: str, email: str, wechat: str) -> tuple[str, str, str]:
    """Checked and made plain: they go into the addresses of providers. Raises Refused."""
    phone, email, wechat = re.sub(r"[ ().\-/]", "", phone), email.strip(), wechat.strip()
    for field, text, form in (("phone", phone, PHONE), ("email", email, EMAIL), ("wechat", wechat, WECHAT)):
        if text and (not text.isascii() or not form.fullmatch(text)):
            raise Refused(f"bad_{field}", field)
    return phone, email, wechat


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
    phone, email, wechat = contact(wanted.phone, wanted.email, wanted.wechat)
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
            wechat=wechat,
            replaces=visit.replaces,
            told="",
            distance=content.distance or None,
            created_at=now_ms(),
        )
    )
    if visit.replaces:
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


def reach(connection: sa.Connection, guest: Guest, phone: str, email: str, wechat: str) -> None:
    """How to tell them. A state they could not be told of is told again."""
    connection.execute(
        sa.update(guest_orders)
        .where(guest_orders.c.merchant_id == guest.merchant, guest_orders.c.order_id == guest.order_id)
        .values(phone=phone, email=email, wechat=wechat, told="")
    )


def withdraw(connection: sa.Connection, guest: Guest, settings: Settings) -> None:
    """The customer changed their mind, while nobody has accepted: they need not be told."""
    if guest.can_withdraw:
        orders.cancel(connection, guest.merchant, guest.order_id, "guest", "withdrawn by the customer", settings)
        connection.execute(
            sa.update(guest_orders)
            .where(guest_orders.c.merchant_id == guest.merchant, guest_orders.c.order_id == guest.order_id)
            .values(told=S.CANCELLED)
        )


def seen(connection: sa.Connection, guest: Guest) -> None:
    connection.execute(
        sa.update(guest_orders)
        .where(
            guest_orders.c.merchant_id == guest.merchant,
            guest_orders.c.order_id == guest.order_id,
            guest_orders.c.seen_at.is_(None),
        )
        .values(seen_at=now_ms())
    )
    events.clear_alarm(connection, guest.merchant, "notice", guest.order_id)


def forget(connection: sa.Connection, merchant: str, order_id: str) -> None:
    """How a customer was reached goes, with what they were told."""
    mine = (guest_orders.c.merchant_id == merchant, guest_orders.c.order_id == order_id)
    connection.execute(sa.update(guest_orders).where(*mine).values(phone="", email="", wechat="", distance=None))
    connection.execute(sa.delete(notices).where(notices.c.merchant_id == merchant, notices.c.order_id == order_id))


def tidy(connection: sa.Connection, at: int) -> None:
    """Visits that are over go; of where a customer was nothing stays after 24 h; contacts go with the link."""
    connection.execute(sa.delete(visits).where(visits.c.expires_at < at))
    day = at - 24 * 3_600_000
    connection.execute(sa.update(visits).where(visits.c.distance_at < day).values(distance=None, distance_at=None))
    old = connection.execute(
        sa.select(guest_orders.c.merchant_id, guest_orders.c.order_id)
        .where(guest_orders.c.distance.is_not(None), guest_orders.c.created_at < day)
        .limit(500)
    ).all()
    for row in old:
        this = (order_table.c.merchant_id == row.merchant_id, order_table.c.id == row.order_id)
        text = connection.execute(sa.select(order_table.c.content).where(*this)).scalar()
        if text:
            content = msgspec.structs.replace(msgspec.json.decode(text, type=OrderContent), distance="")
            connection.execute(
                sa.update(order_table).where(*this).values(content=msgspec.json.encode(content).decode())
            )
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


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
