"""What people and platforms do with an order: submit, accept, reject, cancel, reprint, close.

Every function takes a connection that is in a transaction; nothing here commits. The states are in cloud/steps.py, what
boxes say of an order in cloud/reports.py, what time does to it in cloud/overdue.py.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from cloud import boxes as box_table
from cloud import events, review, routing, rules, telling
from cloud.ids import ordered
from cloud.rules import Pace, Place, Review, Routing, Rule
from cloud.steps import (
    BEFORE_BOX,
    ENDED,
    STOPPED,
    NoSuchOrder,
    S,
    WrongState,
    locked,
    move,
    set_slip,
    slips_of,
)
from cloud.store.schema import boxes, channels, merchants, orders, slips
from config.cloud import Orders as Settings
from wire.messages import CancelOrder, CloseOrder, OrderContent, new, now_ms

__all__ = ["ENDED", "NoBox", "NoSuchOrder", "OtherBody", "Submission", "WrongState"]
STOP_MS = 24 * 3_600_000  # so long after it was printed an order can be cancelled
UNFINISHED = (S.REVIEW, S.ACCEPTED, S.QUEUED, S.SENT, S.RECEIVED, S.PRINTING, S.REPRINTING)
DAY_MS = 86_400_000


class NoBox(Exception):
    """There is nothing to print it on: 409, or 404 where a box was named."""


class OtherBody(Exception):
    """The same external id or Idempotency-Key came with another order: 409."""


@dataclass(frozen=True, slots=True)
class Submission:
    """An order as it came in, checked. `key` is the Idempotency-Key; `box` and `printer` empty: as the shop's routing
    says. `shop`: whose rules hold; empty: the merchant's only shop. `id`: where its link had to be known before."""

    content: OrderContent
    channel: str
    external_id: str | None = None
    key: str | None = None
    box: str = ""
    printer: str = ""
    shop: str = ""
    id: str = ""

    def hash(self) -> bytes:
        """Two submissions with the same hash are the same order. The number is left out: we may have given it."""
        content = msgspec.structs.replace(self.content, number="", link="")
        body = [content, self.content.number, self.channel, self.external_id, self.box, self.printer]
        return hashlib.sha256(msgspec.msgpack.encode([*body, self.shop] if self.shop else body)).digest()


def submit(
    connection: sa.Connection, merchant: str, order: Submission, who: str, settings: Settings
) -> tuple[str, bool]:
    """-> (order id, made now). Raises NoBox, OtherBody."""
    known = _known(connection, merchant, order)
    if known is not None:
        return known, False
    box = _choose_box(connection, merchant, order.box)
    row = connection.execute(
        sa.update(merchants)
        .where(merchants.c.id == merchant)
        .values(order_count=merchants.c.order_count + 1)
        .returning(merchants.c.order_count)
    ).one()
    how = rules.load(connection, merchant, Review, order.shop)
    order_id, at, content = order.id or ordered(), now_ms(), order.content
    number = content.number or f"{(row.order_count - 1) % 999 + 1:03d}"
    placed = content.placed_at or review.local(how, at)
    content = msgspec.structs.replace(content, number=number, placed_at=placed)
    connection.execute(
        sa.insert(orders).values(
            merchant_id=merchant,
            id=order_id,
            channel=order.channel,
            external_id=order.external_id,
            idempotency_key=order.key,
            body_hash=order.hash(),
            number=content.number,
            kind=content.kind,
            content=events.to_json(content),
            box=box,
            printer=order.printer,
            state=S.SUBMITTED,
            proof="",
            reason="",
            created_at=at,
            changed_at=at,
            shop_id=order.shop,
        )
    )
    move(connection, merchant, order_id, S.SUBMITTED, who, f"by {order.channel}")
    decision = _decide(connection, merchant, order, content, how, at)
    if decision.action == "accept":
        _accept(connection, merchant, order_id, "shop", decision.why, settings, decision.prep_min, bool(order.box))
    elif decision.action == "reject":
        reason = decision.reason or decision.why
        move(connection, merchant, order_id, S.REJECTED, "shop", reason, reason_code=decision.code)
    else:
        wait = review.answer_s(how, order.channel, settings.review_s)
        move(connection, merchant, order_id, S.REVIEW, "shop", decision.why, expires_at=at + wait * 1000)
        facts = {"order": order_id, "kind": content.kind, "number": content.number, "table": content.table}
        box_table.command(connection, merchant, box, "announce", facts)
    return order_id, True


def accept(
    connection: sa.Connection,
    merchant: str,
    order_id: str,
    who: str,
    settings: Settings,
    prep_min: int | None = None,
) -> None:
    """`prep_min`: promised minutes until it is ready; None: what the shop says for all (tables: none).

    A second accept of an accepted order does no harm. Raises NoSuchOrder, WrongState."""
    row = locked(connection, merchant, order_id)
    if row.state in (S.ACCEPTED, S.QUEUED, S.SENT, S.RECEIVED, S.PRINTING, S.PRINTED):
        return
    if row.state != S.REVIEW:
        raise WrongState("accepted", row.state)
    if prep_min is None and row.kind != "dine_in":
        prep_min = promised(connection, merchant, row)
    why = "accepted" if prep_min is None else f"accepted, ready in {prep_min} min"
    _accept(connection, merchant, order_id, who, why, settings, prep_min, False)


def promised(connection: sa.Connection, merchant: str, row: sa.Row[Any]) -> int:
    """The minutes that the shop promises now, where nobody says otherwise: its own, and more while it is busy."""
    how, pace = (
        rules.load(connection, merchant, Review, row.shop_id),
        rules.load(connection, merchant, Pace, row.shop_id),
    )
    facts = review.Facts(row.channel, row.kind, None, 0, now_ms())
    return how.prep_min + (pace.extra_min if pace.mode == "busy" and review.applies(pace, facts) else 0)


def reject(
    connection: sa.Connection, merchant: str, order_id: str, who: str, reason: str = "", code: str = "other"
) -> None:
    """`reason`: what the customer reads; empty: what stands for `code` (cloud/review.py REASONS)."""
    row = locked(connection, merchant, order_id)
    if row.state == S.REJECTED:
        return
    if row.state not in (S.SUBMITTED, S.REVIEW):
        raise WrongState("rejected", row.state)
    code = code if code in review.REASONS else "other"
    move(connection, merchant, order_id, S.REJECTED, who, reason or review.REASONS[code], reason_code=code)
    hush(connection, row)


def cancel(connection: sa.Connection, merchant: str, order_id: str, who: str, reason: str, settings: Settings) -> None:
    """Before the box has it: cancelled. After: `cancelling`, until the box says whether it was in time; a box that says
    nothing for `max_print_age_s` leaves it `unconfirmed`. A box that never got the order remembers the cancel, and
    answers the order, which is still sent behind it, with `cancelled`. What is on paper stays `printed`, with the code
    STOPPED: its box prints STOP PREPARING."""
    row = locked(connection, merchant, order_id)
    if row.state in (S.CANCELLED, S.CANCELLING) or (row.state == S.PRINTED and row.reason_code == STOPPED):
        return
    may_stop = row.state == S.PRINTED and row.changed_at > now_ms() - STOP_MS
    if row.state in BEFORE_BOX:
        telling.stop_sending(connection, merchant, order_id)
        move(connection, merchant, order_id, S.CANCELLED, who, reason)
        hush(connection, row)
    elif row.state in ENDED and not may_stop:
        raise WrongState("cancelled", row.state)
    else:
        over = now_ms() + settings.max_print_age_s * 1000
        move(connection, merchant, order_id, S.CANCELLING, who, reason, expires_at=over)
        for box in boxes_of(connection, row):
            telling.tell(connection, merchant, box, new(CancelOrder, order=order_id, reason=reason))


def close(connection: sa.Connection, merchant: str, order_id: str, who: str, reason: str) -> None:
    """A person looked at the paper of an order that is `unconfirmed`, `failed` or `expired`, and dealt with it. Its box
    is told, so that it falls silent and does not try again."""
    row = locked(connection, merchant, order_id)
    if row.state == S.CLOSED:
        return
    if row.state not in (S.UNCONFIRMED, S.FAILED) and not (row.state == S.EXPIRED and row.accepted_at):
        raise WrongState("closed", row.state)
    move(connection, merchant, order_id, S.CLOSED, who, reason)
    for box in boxes_of(connection, row):
        telling.tell(connection, merchant, box, new(CloseOrder, order=order_id, reason=reason))


def reprint(
    connection: sa.Connection,
    merchant: str,
    order_id: str,
    who: str,
    reason: str,
    settings: Settings,
    part: str = "",
) -> int:
    """Print it once more, or one part of it; headed COPY n where paper may exist. -> how many slips.

    Raises NoSuchOrder, WrongState."""
    row = locked(connection, merchant, order_id)
    may = (S.PRINTED, S.UNCONFIRMED, S.FAILED, S.CLOSED) + ((S.EXPIRED,) if row.accepted_at else ())
    if row.state not in may:
        raise WrongState("printed again", row.state)
    again = [s for s in slips_of(connection, merchant, order_id) if part in ("", s.part)]
    if not again:
        raise WrongState(f"printed again as part {part!r}", row.state)
    expires = now_ms() + settings.max_print_age_s * 1000
    for slip in again:
        perhaps = slip.state in (S.PRINTED, S.UNCONFIRMED, S.PRINTING, S.REPRINTING) or slip.copy or slip.proven
        telling.stop_sending(connection, merchant, order_id, telling.part_key(slip.part, slip.copy_number))
        values = {"attempt": slip.attempt + 1, "copy": slip.copy + 1 if perhaps else 0, "tries": 0}
        set_slip(connection, slip, state=S.REPRINTING, proof="", reason="", moving="", moving_at=None, **values)
    for slip in slips_of(connection, merchant, order_id):
        if part in ("", slip.part):
            telling.print_slip(connection, row, slip, settings.max_print_age_s, expires)
    where = f", part {part}" if part else ""
    why = (reason or "wanted once more") + where
    move(connection, merchant, order_id, S.REPRINTING, who, why, expires_at=expires, reason_code="")
    return len(again)


def acknowledge(connection: sa.Connection, merchant: str, order_id: str) -> list[str]:
    """A person has heard: the alerts about this order fall silent at its boxes. -> ids of the commands."""
    row = locked(connection, merchant, order_id)
    kinds = ("new_order", "waiting", "failed", "unconfirmed", "held", "cancelled")
    args = {"alerts": [f"{kind}:{order_id}" for kind in kinds]}
    return [
        box_table.command(connection, merchant, box, "acknowledge", args)
        for box in boxes_of(connection, row)
    ]  # fmt: skip


def hush(connection: sa.Connection, row: sa.Row[Any]) -> None:
    """An order that was announced is not waited for any more; one that is accepted is announced anew by its slip."""
    if row.state == S.REVIEW:
        box_table.command(connection, row.merchant_id, row.box, "hush", {"order": row.id})


def boxes_of(connection: sa.Connection, row: sa.Row[Any]) -> list[str]:
    """The boxes that have, or may have, a slip of this order."""
    found = {name for s in slips_of(connection, row.merchant_id, row.id) for name in (s.box, s.was_box) if name}
    return sorted(found or {row.box})


def sent(connection: sa.Connection, merchant: str, order_id: str, part: str) -> None:
    """A print goes out for the first time; `part` as telling.part_key has it."""
    row = locked(connection, merchant, order_id)
    if row.state == S.QUEUED:
        move(connection, merchant, order_id, S.SENT, "cloud", f"to box {row.box}", expires_at=row.expires_at)
    for slip in slips_of(connection, merchant, order_id):
        if slip.state == S.QUEUED and telling.part_key(slip.part, slip.copy_number) == part:
            set_slip(connection, slip, state=S.SENT)


def _accept(
    connection: sa.Connection,
    merchant: str,
    order_id: str,
    who: str,
    why: str,
    settings: Settings,
    prep_min: int | None,
    named_box: bool,
) -> None:
    at = now_ms()
    ready = None if prep_min is None else at + prep_min * 60_000
    move(
        connection, merchant, order_id, S.ACCEPTED, who, why, accepted_at=at, prep_min=prep_min, ready_at=ready
    )  # fmt: skip
    row = locked(connection, merchant, order_id)
    content = msgspec.json.decode(row.content, type=OrderContent)
    if ready is not None and not content.due_at:
        content.due_at = review.local(rules.load(connection, merchant, Review, row.shop_id), ready)
    how = rules.load(connection, merchant, Routing, row.shop_id)
    named = Place(row.box if named_box or row.printer else "", row.printer)
    expires = at + settings.max_print_age_s * 1000
    first = ""
    for part in routing.split(content, how, named):
        box, printer = _place(connection, merchant, part.place, row)
        others = [_place(connection, merchant, p, row) for p in part.instead]
        for number in range(1, part.copies + 1):
            connection.execute(
                sa.insert(slips).values(
                    merchant_id=merchant, order_id=order_id, part=part.part, copy_number=number, copies=part.copies,
                    box=box, printer=printer, attempt=1, state=S.QUEUED, proof="", reason="", copy=0, changed_at=at,
                    content=events.to_json(part.content), label=part.label,
                    places=events.to_json([p for p in others if p != (box, printer)]),
                )
            )  # fmt: skip
        first = first or box
    for slip in slips_of(connection, merchant, order_id):
        telling.print_slip(connection, row, slip, settings.max_print_age_s, expires)
    for_box = f"for box {first}" if first else "nothing to print"
    move(connection, merchant, order_id, S.QUEUED, "cloud", for_box, expires_at=expires, box=first or row.box)


def _place(connection: sa.Connection, merchant: str, place: Place, row: sa.Row[Any]) -> tuple[str, str]:
    """-> (box, printer). A box that is gone falls back to the order's: it prints somewhere, and says where."""
    if not place.box or place.box == row.box:
        return row.box, place.printer
    there = sa.select(boxes.c.id).where(
        boxes.c.merchant_id == merchant, boxes.c.id == place.box, boxes.c.revoked_at.is_(None)
    )
    return (place.box, place.printer) if connection.execute(there).first() else (row.box, "")


def _decide(
    connection: sa.Connection, merchant: str, order: Submission, content: OrderContent, how: Review, at: int
) -> review.Decision:
    if content.kind != "dine_in" and _auto_accept(connection, merchant, order.channel):
        how = msgspec.structs.replace(how, rules=[*how.rules, Rule("accept")])
    needs_load = any(r.load_from is not None or r.load_to is not None for r in how.rules)
    load = load_of(connection, merchant, order.shop, how, at) - 1 if needs_load else 0  # it is counted itself
    facts = review.Facts(order.channel, content.kind, content.total, max(0, load), at)
    return review.decide(how, rules.load(connection, merchant, Pace, order.shop), facts)


def load_of(connection: sa.Connection, merchant: str, shop: str, how: Review, at: int) -> int:
    """Orders that keep the kitchen busy: not ended, or on paper and not yet due."""
    due = sa.func.coalesce(orders.c.ready_at, orders.c.accepted_at + how.prep_min * 60_000)
    cooking = sa.and_(orders.c.state == S.PRINTED, orders.c.reason_code != STOPPED, due > at)
    busy = sa.or_(orders.c.state.in_((S.SUBMITTED, *UNFINISHED)), cooking)
    mine = (orders.c.merchant_id == merchant, orders.c.shop_id == shop, orders.c.changed_at > at - DAY_MS)
    return connection.execute(sa.select(sa.func.count()).select_from(orders).where(*mine, busy)).scalar_one()


def by_external_id(connection: sa.Connection, merchant: str, channel: str, external_id: str) -> str | None:
    mine = (orders.c.merchant_id == merchant, orders.c.channel == channel, orders.c.external_id == external_id)
    return connection.execute(sa.select(orders.c.id).where(*mine)).scalar()


def _known(connection: sa.Connection, merchant: str, order: Submission) -> str | None:
    same = []
    if order.external_id is not None:
        same.append(sa.and_(orders.c.channel == order.channel, orders.c.external_id == order.external_id))
    if order.key is not None:
        same.append(orders.c.idempotency_key == order.key)
    if not same:
        return None
    rows = connection.execute(
        sa.select(orders.c.id, orders.c.body_hash).where(orders.c.merchant_id == merchant, sa.or_(*same))
    ).all()
    if len(rows) > 1 or (rows and rows[0].body_hash != order.hash()):
        raise OtherBody("an order with this external_id or Idempotency-Key exists, and it is another one")
    return rows[0].id if rows else None


def _choose_box(connection: sa.Connection, merchant: str, named: str) -> str:
    mine = sa.select(boxes.c.id).where(boxes.c.merchant_id == merchant, boxes.c.revoked_at.is_(None))
    if named:
        mine = mine.where(boxes.c.id == named)
    row = connection.execute(mine.order_by(boxes.c.created_at, boxes.c.id).limit(1)).first()
    if row is None:
        raise NoBox(f"there is no box {named!r}" if named else "the merchant has no box to print on")
    return str(row.id)


def _auto_accept(connection: sa.Connection, merchant: str, channel: str) -> bool:
    return bool(
        connection.execute(
            sa.select(channels.c.auto_accept).where(channels.c.merchant_id == merchant, channels.c.channel == channel)
        ).scalar()
    )
