"""The states of an order in the cloud, and the one way from one to the next: DESIGN §7 as a table.

Every function takes a connection that is in a transaction; nothing here commits. A state changes only through `move`,
which writes the history row, the event, and the alarms that follow from it.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from cloud import events
from cloud.store.schema import history, orders, outbox, slips
from wire.messages import OrderState, Report, now_ms

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
ON_PAPER = (S.PRINTING, S.REPRINTING, S.PRINTED, S.UNCONFIRMED, S.FAILED)
STOPPED = "stopped"  # the code of an order that was cancelled when it was on paper already
TROUBLE = ("order_failed", "order_unconfirmed", "order_expired")  # kinds of alarms


class NoSuchOrder(Exception):
    """Not this merchant's, or nobody's: 404."""


class WrongState(Exception):
    """The order's state does not allow that: 409."""

    def __init__(self, wanted: str, state: str) -> None:
        super().__init__(f"the order is {state}: it cannot be {wanted}")
        self.state = state


def locked(connection: sa.Connection, merchant: str, order_id: str) -> sa.Row[Any]:
    row = connection.execute(
        sa.select(orders).where(orders.c.merchant_id == merchant, orders.c.id == order_id).with_for_update()
    ).first()
    if row is None:
        raise NoSuchOrder(order_id)
    return row


def slips_of(connection: sa.Connection, merchant: str, order_id: str) -> list[sa.Row[Any]]:
    return list(
        connection.execute(
            sa.select(slips)
            .where(slips.c.merchant_id == merchant, slips.c.order_id == order_id)
            .order_by(slips.c.part, slips.c.copy_number)
        )
    )


def set_slip(connection: sa.Connection, slip: sa.Row[Any], **values: Any) -> None:
    connection.execute(
        sa.update(slips)
        .where(
            slips.c.merchant_id == slip.merchant_id,
            slips.c.order_id == slip.order_id,
            slips.c.part == slip.part,
            slips.c.copy_number == slip.copy_number,
        )
        .values(changed_at=now_ms(), **values)
    )


def move(
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
        .returning(
            orders.c.number, orders.c.channel, orders.c.external_id, orders.c.accepted_at,
            orders.c.reason_code, orders.c.ready_at,
        )
    ).one()  # fmt: skip
    add_history(connection, merchant, order_id, state, who, why, proof, part)
    data = {"state": state, "proof": proof, "reason": why, "number": row.number, "channel": row.channel}
    data |= {"external_id": row.external_id, "code": row.reason_code, "ready_at": row.ready_at}
    events.add(connection, merchant, "order.changed", order_id, data)
    if state in (S.FAILED, S.UNCONFIRMED) or (state is S.EXPIRED and row.accepted_at is not None):
        text = f"Order {row.number} is {state}: {why}"
        events.raise_alarm(connection, merchant, f"order_{state}", order_id, text)
    if state in ENDED or state in (S.FAILED, S.UNCONFIRMED):
        events.clear_alarm(connection, merchant, "order_waiting", order_id)
    if state in (S.PRINTED, S.CLOSED, S.CANCELLED):
        for kind in TROUBLE:
            events.clear_alarm(connection, merchant, kind, order_id)


def add_history(
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


def together(states: list[OrderState]) -> OrderState:
    """The state of an order whose slips are in these states: bad news first, then whoever is furthest behind."""
    for bad in (S.UNCONFIRMED, S.FAILED, S.EXPIRED):
        if bad in states:
            return bad
    rest = [s for s in states if s is not S.CANCELLED]
    if not rest:
        return S.CANCELLED
    if len(rest) < len(states) and any(s is not S.PRINTED for s in rest):
        return S.CANCELLING
    return min(rest, key=lambda s: RANK[s])


def follow(connection: sa.Connection, merchant: str, report: Report, who: str) -> None:
    """The order's state follows from those of its slips."""
    row = locked(connection, merchant, report.order)
    all_slips = slips_of(connection, merchant, report.order)
    state = together([OrderState(s.state) for s in all_slips])
    proof = min((s.proof for s in all_slips if s.state == S.PRINTED), default="")
    if state is not S.PRINTED:
        proof = report.proof
    why = report.reason[:500] or f"says {who}"
    old = OrderState(row.state)
    if old is S.CANCELLING and state in (S.QUEUED, S.SENT, S.RECEIVED, S.PRINTING, S.REPRINTING, S.CANCELLING):
        return
    if old in ENDED and state not in ON_PAPER:
        return
    if old is S.CLOSED and state is not S.PRINTED:
        return
    if state in (S.QUEUED, S.SENT) and old not in (S.QUEUED, S.SENT):  # one part is ahead of another
        state = old
    if old is S.REPRINTING and state in (S.SENT, S.RECEIVED, S.PRINTING):
        state = old
    more = {}
    if old is S.CANCELLING and state is S.PRINTED:
        if _cancels_on_their_way(connection, merchant, report.order):
            return
        why, more = row.reason, {"reason_code": STOPPED}  # why it was cancelled; that it is on paper, the code says
    underway = state in (S.QUEUED, S.SENT, S.RECEIVED, S.PRINTING, S.REPRINTING, S.CANCELLING)
    expires = row.expires_at if underway else None
    move(connection, merchant, report.order, state, who, why, proof=proof, part=report.part, expires_at=expires, **more)


def _cancels_on_their_way(connection: sa.Connection, merchant: str, order_id: str) -> bool:
    open_ones = sa.select(outbox.c.id).where(
        outbox.c.merchant_id == merchant, outbox.c.order_id == order_id, outbox.c.what == "cancel",
        outbox.c.part.is_(None), outbox.c.done_at.is_(None),
    )  # fmt: skip
    return connection.execute(open_ones.limit(1)).first() is not None
