"""One order's life in the cloud: DESIGN §7 as a table, and the transactions that move it.

Every function takes a connection that is in a transaction; nothing here commits. A state changes only through
`_move`, which writes the history row, the event, and the alarms that follow from it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from cloud import events
from cloud.ids import ordered
from cloud.store.schema import alarms, boxes, channels, history, merchants, orders, outbox, slips
from config.cloud import Orders as Settings
from wire.messages import (
    CancelOrder,
    GoOrder,
    OrderContent,
    OrderState,
    PrintOrder,
    Proof,
    Report,
    encode,
    new,
    now_ms,
)

S = OrderState
RANK = {
    S.QUEUED: 0,
    S.SENT: 1,
    S.RECEIVED: 2,
    S.PRINTING: 3,
    S.REPRINTING: 3,
    S.FAILED: 4,
    S.UNCONFIRMED: 4,
    S.CANCELLED: 4,
    S.EXPIRED: 4,
    S.PRINTED: 5,
}
BEFORE_BOX = (S.SUBMITTED, S.REVIEW, S.ACCEPTED, S.QUEUED)
ENDED = (S.PRINTED, S.REJECTED, S.CANCELLED, S.EXPIRED, S.CLOSED)
REPORTABLE = frozenset(RANK) - {S.QUEUED, S.SENT}
ON_PAPER = (S.PRINTING, S.REPRINTING, S.PRINTED, S.UNCONFIRMED, S.FAILED)


class NoSuchOrder(Exception):
    """Not this merchant's, or nobody's: 404."""


class NoBox(Exception):
    """There is nothing to print it on: 409, or 404 where a box was named."""


class OtherBody(Exception):
    """The same external id or Idempotency-Key came with another order: 409."""


class WrongState(Exception):
    """The order's state does not allow that: 409."""

    def __init__(self, wanted: str, state: str) -> None:
        super().__init__(f"the order is {state}: it cannot be {wanted}")
        self.state = state


@dataclass(frozen=True, slots=True)
class Submission:
    """An order as it came in, checked. `key` is the Idempotency-Key; `box` and `printer` empty: the shop's."""

    content: OrderContent
    channel: str
    external_id: str | None = None
    key: str | None = None
    box: str = ""
    printer: str = ""

    def hash(self) -> bytes:
        """Two submissions with the same hash are the same order. The number is left out: we may have given it."""
        content = msgspec.structs.replace(self.content, number="")
        body = [content, self.content.number, self.channel, self.external_id, self.box, self.printer]
        return hashlib.sha256(msgspec.msgpack.encode(body)).digest()


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
    content = order.content
    if not content.number:
        content = msgspec.structs.replace(content, number=f"{(row.order_count - 1) % 999 + 1:03d}")
    order_id, at = ordered(), now_ms()
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
        )
    )
    _history(connection, merchant, order_id, S.SUBMITTED, who, f"by {order.channel}")
    if content.kind == "dine_in":
        _accept(connection, merchant, order_id, "shop", "ordered at a table", settings)
    elif _auto_accept(connection, merchant, order.channel):
        _accept(connection, merchant, order_id, "shop", f"{order.channel} is accepted by itself", settings)
    else:
        _move(
            connection,
            merchant,
            order_id,
            S.REVIEW,
            "shop",
            "waits for a person",
            expires_at=at + settings.review_s * 1000,
        )
    return order_id, True


def accept(connection: sa.Connection, merchant: str, order_id: str, who: str, settings: Settings) -> None:
    """A second accept of an accepted order does no harm. Raises NoSuchOrder, WrongState."""
    row = _locked(connection, merchant, order_id)
    if row.state in (S.ACCEPTED, S.QUEUED, S.SENT, S.RECEIVED, S.PRINTING, S.PRINTED):
        return
    if row.state != S.REVIEW:
        raise WrongState("accepted", row.state)
    _accept(connection, merchant, order_id, who, "accepted", settings)


def reject(connection: sa.Connection, merchant: str, order_id: str, who: str, reason: str) -> None:
    row = _locked(connection, merchant, order_id)
    if row.state == S.REJECTED:
        return
    if row.state not in (S.SUBMITTED, S.REVIEW):
        raise WrongState("rejected", row.state)
    _move(connection, merchant, order_id, S.REJECTED, who, reason)


def cancel(connection: sa.Connection, merchant: str, order_id: str, who: str, reason: str, settings: Settings) -> None:
    """Before the box has it: cancelled. After: `cancelling`, until the box says whether it was in time; a box that says
    nothing for `max_print_age_s` leaves it `unconfirmed`. A box that never got the order remembers the cancel, and
    answers the order, which is still sent behind it, with `cancelled`."""
    row = _locked(connection, merchant, order_id)
    if row.state in (S.CANCELLED, S.CANCELLING):
        return
    if row.state in BEFORE_BOX:
        _stop_sending(connection, merchant, order_id)
        _move(connection, merchant, order_id, S.CANCELLED, who, reason)
    elif row.state in ENDED:
        raise WrongState("cancelled", row.state)
    else:
        over = now_ms() + settings.max_print_age_s * 1000
        _move(connection, merchant, order_id, S.CANCELLING, who, reason, expires_at=over)
        _tell(connection, merchant, row.box, "cancel", new(CancelOrder, order=order_id, reason=reason), order_id)


def close(connection: sa.Connection, merchant: str, order_id: str, who: str, reason: str) -> None:
    """A person looked at the paper of an order that is `unconfirmed` or `failed`, and dealt with it."""
    row = _locked(connection, merchant, order_id)
    if row.state == S.CLOSED:
        return
    if row.state not in (S.UNCONFIRMED, S.FAILED):
        raise WrongState("closed", row.state)
    _move(connection, merchant, order_id, S.CLOSED, who, reason)


def reported(connection: sa.Connection, merchant: str, box: str, report: Report) -> bool:
    """What a box says of a slip. -> whether it changed anything. Forward only, but a late `printed` always lands."""
    slip = connection.execute(
        sa.select(slips)
        .where(
            slips.c.merchant_id == merchant,
            slips.c.order_id == report.order,
            slips.c.part == report.part,
            slips.c.copy_number == report.copy_number,
        )
        .with_for_update()
    ).first()
    if slip is None or slip.box != box or report.state not in REPORTABLE:
        return False
    _done_telling(connection, merchant, report)
    old, state = OrderState(slip.state), report.state
    if state is S.PRINTED:
        if report.proof not in (Proof.L1, Proof.L2, Proof.L3):  # bytes taken are no proof of paper
            state = S.UNCONFIRMED
        elif old is S.PRINTED:
            return False
    if state is not S.PRINTED:
        newer = report.attempt > slip.attempt and old is not S.PRINTED
        if not newer and (report.attempt < slip.attempt or RANK[state] <= RANK[old]):
            return False
    connection.execute(
        sa.update(slips)
        .where(
            slips.c.merchant_id == merchant,
            slips.c.order_id == report.order,
            slips.c.part == report.part,
            slips.c.copy_number == report.copy_number,
        )
        .values(
            state=state,
            proof=report.proof,
            reason=report.reason[:500],
            attempt=max(report.attempt, slip.attempt),
            copy=report.copy,
            printer=report.printer[:64] or slip.printer,
            changed_at=now_ms(),
        )
    )
    _follow(connection, merchant, report, box)
    return True


def held(connection: sa.Connection, merchant: str, box: str, order_ids: list[str], settings: Settings) -> None:
    """After an outage a box asks whether what it holds may still be printed."""
    for order_id in order_ids[:200]:
        row = connection.execute(
            sa.select(orders.c.state, orders.c.box, orders.c.accepted_at).where(
                orders.c.merchant_id == merchant, orders.c.id == order_id
            )
        ).first()
        fresh = row is not None and row.box == box and row.accepted_at is not None
        go = bool(
            fresh
            and row is not None
            and row.state in (S.QUEUED, S.SENT, S.RECEIVED, S.PRINTING, S.FAILED)
            and now_ms() - row.accepted_at < settings.max_print_age_s * 1000
        )
        _tell(connection, merchant, box, "go", new(GoOrder, order=order_id, go=go), order_id)


def expire(connection: sa.Connection, settings: Settings) -> int:
    """Orders whose time is over, and alarms for those that should be on paper by now. -> how many changed."""
    at, changed = now_ms(), 0
    waiting = (S.REVIEW, S.ACCEPTED, S.QUEUED, S.SENT, S.CANCELLING)
    over = connection.execute(
        sa.select(orders.c.merchant_id, orders.c.id)
        .where(orders.c.state.in_(waiting), orders.c.expires_at < at)
        .limit(500)
    ).all()
    for found in over:
        row = _locked(connection, found.merchant_id, found.id)
        if row.state not in waiting:
            continue
        if row.state == S.CANCELLING:
            silent = f"it was cancelled, and box {row.box} did not say whether it is on paper"
            _move(connection, row.merchant_id, row.id, S.UNCONFIRMED, "cloud", silent)
            changed += 1
            continue
        nobody = "nobody accepted it in time" if row.state == S.REVIEW else f"box {row.box} did not take it in time"
        if row.state == S.SENT:  # it may have arrived all the same
            _tell(connection, row.merchant_id, row.box, "cancel", new(CancelOrder, order=row.id, reason=nobody), row.id)
        _stop_sending(connection, row.merchant_id, row.id)
        _move(connection, row.merchant_id, row.id, S.EXPIRED, "cloud", nobody)
        changed += 1
    stands = sa.exists().where(
        alarms.c.merchant_id == orders.c.merchant_id,
        alarms.c.kind == "order_waiting",
        alarms.c.object == orders.c.id,
        alarms.c.cleared_at.is_(None),
    )
    late = connection.execute(
        sa.select(orders.c.merchant_id, orders.c.id, orders.c.number, orders.c.box, orders.c.state)
        .where(
            orders.c.state.in_((S.ACCEPTED, S.QUEUED, S.SENT, S.RECEIVED, S.PRINTING)),
            orders.c.accepted_at < at - settings.alert_s * 1000,
            ~stands,
        )
        .limit(500)
    ).all()
    for order in late:
        text = (
            f"Order {order.number} has been '{order.state}' for more than {settings.alert_s} s: look at box {order.box}"
        )
        events.raise_alarm(connection, order.merchant_id, "order_waiting", order.id, text)
    return changed + len(late)


def sent(connection: sa.Connection, merchant: str, order_id: str) -> None:
    row = _locked(connection, merchant, order_id)
    if row.state == S.QUEUED:
        _move(connection, merchant, order_id, S.SENT, "cloud", f"to box {row.box}", expires_at=row.expires_at)


def _accept(connection: sa.Connection, merchant: str, order_id: str, who: str, why: str, settings: Settings) -> None:
    at = now_ms()
    _move(connection, merchant, order_id, S.ACCEPTED, who, why, accepted_at=at)
    row = _locked(connection, merchant, order_id)
    content = msgspec.json.decode(row.content, type=OrderContent)
    connection.execute(
        sa.insert(slips).values(
            merchant_id=merchant,
            order_id=order_id,
            part="main",
            copy_number=1,
            box=row.box,
            printer=row.printer,
            attempt=1,
            state=S.QUEUED,
            proof="",
            reason="",
            copy=0,
            changed_at=at,
        )
    )
    message = new(PrintOrder, order=order_id, content=content, printer=row.printer, max_age_s=settings.max_print_age_s)
    expires = at + settings.max_print_age_s * 1000
    _tell(connection, merchant, row.box, "print", message, order_id, expires)
    _move(connection, merchant, order_id, S.QUEUED, "cloud", f"for box {row.box}", expires_at=expires)


def _follow(connection: sa.Connection, merchant: str, report: Report, box: str) -> None:
    """The order's state follows from those of its slips."""
    row = _locked(connection, merchant, report.order)
    all_slips = connection.execute(
        sa.select(slips.c.state, slips.c.proof).where(slips.c.merchant_id == merchant, slips.c.order_id == report.order)
    ).all()
    state = together([OrderState(s.state) for s in all_slips])
    proof = min((s.proof for s in all_slips), default="") if state is S.PRINTED else report.proof
    why = report.reason[:500] or f"says box {box}"
    old = OrderState(row.state)
    if old is S.CANCELLING and state in (S.RECEIVED, S.PRINTING, S.CANCELLING):
        return
    if old in ENDED and state not in ON_PAPER:
        return
    if old is S.CLOSED and state is not S.PRINTED:
        return
    expires = row.expires_at if state in (S.RECEIVED, S.PRINTING) else None
    _move(
        connection, merchant, report.order, state, f"box {box}", why, proof=proof, part=report.part, expires_at=expires
    )


def together(states: list[OrderState]) -> OrderState:
    """The state of an order whose slips are in these states: bad news first, then whoever is furthest behind."""
    for bad in (S.UNCONFIRMED, S.FAILED, S.EXPIRED):
        if bad in states:
            return bad
    if S.CANCELLED in states:
        return S.CANCELLED if all(s is S.CANCELLED for s in states) else S.CANCELLING
    return min(states, key=lambda s: RANK[s])


def _move(
    connection: sa.Connection,
    merchant: str,
    order_id: str,
    state: OrderState,
    who: str,
    why: str,
    *,
    proof: str = "",
    part: str = "",
    expires_at: int | None = None,
    **more: Any,
) -> None:
    at = now_ms()
    row = connection.execute(
        sa.update(orders)
        .where(orders.c.merchant_id == merchant, orders.c.id == order_id)
        .values(state=state, proof=proof, reason=why, changed_at=at, expires_at=expires_at, **more)
        .returning(orders.c.number, orders.c.channel, orders.c.external_id, orders.c.accepted_at)
    ).one()
    _history(connection, merchant, order_id, state, who, why, proof, part)
    data = {"state": state, "proof": proof, "reason": why, "number": row.number, "channel": row.channel}
    events.add(connection, merchant, "order.changed", order_id, data | {"external_id": row.external_id})
    if state in (S.FAILED, S.UNCONFIRMED) or (state is S.EXPIRED and row.accepted_at is not None):
        text = f"Order {row.number} is {state}: {why}"
        events.raise_alarm(connection, merchant, f"order_{state}", order_id, text)
    if state in ENDED or state in (S.FAILED, S.UNCONFIRMED):
        events.clear_alarm(connection, merchant, "order_waiting", order_id)
    if state in (S.PRINTED, S.CLOSED, S.CANCELLED):
        for kind in ("order_failed", "order_unconfirmed", "order_expired"):
            events.clear_alarm(connection, merchant, kind, order_id)


def _history(
    connection: sa.Connection,
    merchant: str,
    order_id: str,
    state: OrderState,
    who: str,
    why: str,
    proof: str = "",
    part: str = "",
) -> None:
    mine = (history.c.merchant_id == merchant, history.c.order_id == order_id)
    last = connection.execute(sa.select(sa.func.max(history.c.n)).where(*mine)).scalar() or 0
    connection.execute(
        sa.insert(history).values(
            merchant_id=merchant,
            order_id=order_id,
            n=last + 1,
            at=now_ms(),
            state=state,
            who=who,
            why=why,
            proof=proof,
            part=part,
        )
    )


def _locked(connection: sa.Connection, merchant: str, order_id: str) -> sa.Row[Any]:
    row = connection.execute(
        sa.select(orders).where(orders.c.merchant_id == merchant, orders.c.id == order_id).with_for_update()
    ).first()
    if row is None:
        raise NoSuchOrder(order_id)
    return row


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


def _tell(
    connection: sa.Connection,
    merchant: str,
    box: str,
    what: str,
    message: PrintOrder | CancelOrder | GoOrder,
    order_id: str,
    expires_at: int | None = None,
) -> None:
    at = now_ms()
    connection.execute(
        sa.insert(outbox).values(
            merchant_id=merchant,
            id=message.id,
            box=box,
            leaf="orders",
            what=what,
            order_id=order_id,
            part=message.part if isinstance(message, PrintOrder) else None,
            payload=encode(message),
            created_at=at,
            next_at=at,
            expires_at=expires_at or at + 3_600_000,
        )
    )


def _stop_sending(connection: sa.Connection, merchant: str, order_id: str) -> None:
    _finish(connection, merchant, order_id, outbox.c.what == "print")


def _done_telling(connection: sa.Connection, merchant: str, report: Report) -> None:
    """A box that reports on a slip has got it; one that says how it ended has got the cancel too."""
    _finish(connection, merchant, report.order, outbox.c.what == "print", outbox.c.part == report.part)
    if report.state in (S.CANCELLED, S.PRINTED, S.UNCONFIRMED, S.EXPIRED):
        _finish(connection, merchant, report.order, outbox.c.what == "cancel")


def _finish(connection: sa.Connection, merchant: str, order_id: str, *which: sa.ColumnElement[bool]) -> None:
    connection.execute(
        sa.update(outbox)
        .where(outbox.c.merchant_id == merchant, outbox.c.order_id == order_id, outbox.c.done_at.is_(None), *which)
        .values(done_at=now_ms())
    )
