"""What is true of a slip: after an order came, after the cloud cancelled, after the relay told its fate.

`step` is pure; the others run in a transaction of agent.db, through `Store.run`.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Any

from agent import clock, outbox, slips
from agent.slips import Slip
from agent.store import get_meta, set_meta
from wire import messages
from wire.messages import CancelOrder, Held, OrderState, PrintOrder, Proof, Trust

PROVEN = (Proof.L1, Proof.L2, Proof.L3)


def step(slip: Slip, fate: dict[str, Any], age_known: bool = True) -> Slip:
    """What the relay says of an attempt -> what is true of the slip now. The same when it is no news.

    `age_known`: it came in this boot. What waited over a restart of the board has not expired: the cloud is asked."""
    attempt, state = int(fate["attempt"]), str(fate["state"])
    proof = Proof(fate.get("proof") or "")
    reason = str(fate.get("reason") or "")
    proven = state == "done" and proof in PROVEN
    if slip.state is OrderState.PRINTED and attempt <= slip.attempt:
        return slip
    if slip.state is OrderState.CLOSED and attempt <= slip.attempt and not proven:
        return slip
    if attempt < slip.attempt:  # an attempt that was given up
        if not proven:
            return slip
        return replace(
            slip, state=OrderState.PRINTED, held=False, proof=proof, reason=f"late proof of attempt {attempt}"
        )
    slip = replace(slip, attempt=attempt)
    begun = slip.state in (OrderState.PRINTING, OrderState.UNCONFIRMED)
    if proven:
        paper = slip.on_paper + (not begun)
        return replace(slip, state=OrderState.PRINTED, held=False, proof=proof, reason=reason, on_paper=paper)
    if state == "done":
        paper = slip.on_paper + (not begun)
        why = reason or "sent, and the printer gave no proof"
        return replace(slip, state=OrderState.UNCONFIRMED, proof=proof, reason=why, on_paper=paper)
    if state == "started" and not begun:
        return replace(slip, state=OrderState.PRINTING, reason="", on_paper=slip.on_paper + 1)
    if state == "failed" and slip.state is not OrderState.FAILED:
        paper = slip.on_paper - (slip.state is OrderState.PRINTING)
        return replace(slip, state=OrderState.FAILED, reason=reason or "not printed", on_paper=max(0, paper))
    if state in ("withdrawn", "expired") and slip.state is OrderState.CANCELLING:
        return replace(slip, state=OrderState.CANCELLED, held=False, reason=slip.reason or reason)
    if state == "expired" and not age_known and slip.state is not OrderState.EXPIRED:
        return slips.hold(slip)
    if state == "expired" and slip.state is not OrderState.EXPIRED:
        why = reason or "it could not begin to print in time"
        return replace(slip, state=OrderState.EXPIRED, held=True, reason=why)
    if state == "withdrawn" and slip.state is OrderState.QUEUED:  # nobody cancelled it: it was to move, and goes on
        return replace(slip, state=OrderState.RECEIVED)
    if state == "queued" and slip.state is OrderState.RECEIVED:
        return replace(slip, state=OrderState.QUEUED)
    return slip


def apply(
    connection: sqlite3.Connection, fate: dict[str, Any], in_turn: bool = True
) -> tuple[Slip | None, Slip | None, outbox.Row | None]:
    """-> (slip before, slip after, report's row); (None, None, None) for what is not an order's slip.

    `in_turn`: every fate before it has been heard; only then is it not asked for any more."""
    last = int(get_meta(connection, "last_fate", "0"))
    if in_turn and int(fate.get("id") or 0) > last:
        set_meta(connection, "last_fate", str(int(fate["id"])))
    order_id, _, rest = str(fate["slip"]).partition("/")
    part, _, copy_number = rest.rpartition("/")
    if not (order_id and part and copy_number.isdigit()) or order_id.startswith(slips.LOCAL):
        return None, None, None
    old = slips.get(connection, order_id, part, int(copy_number))
    if old is None:  # agent.db was lost; the relay still knows
        now = clock.now()
        attempt, copy = int(fate["attempt"]), int(fate.get("copy") or 0)
        mark = "stop" if part.endswith(".stop") else "copy" if copy else ""
        begun = OrderState.CANCELLING if fate["state"] == "withdrawn" else OrderState.QUEUED
        old = Slip(
            order_id, part, int(copy_number), 1, str(fate.get("printer") or ""), 1, attempt, mark, copy,
            begun, False, Proof.NONE, "", 0, 600, now.boot, now.mono_ms, now.wall_ms, b"",
        )  # fmt: skip
        slips.put(connection, old, tell=False)
    new = step(old, fate, old.age_s() is not None)
    if new == old:
        return old, new, None
    return old, new, slips.put(connection, new)


def receive(
    connection: sqlite3.Connection, order: PrintOrder, printer: str, told: int = 0
) -> tuple[Slip, outbox.Row | None, bool]:
    """Store an order that arrived. -> (slip, its report's row, whether there is something new to print).

    `told`: the row of the last report of this slip. While that is on its way, an order that is sent again makes no
    other: a cloud that hears late would be told ever more."""
    old = slips.get(connection, order.order, order.part, order.copy_number)
    fresh = True
    if old is None:
        late = clock.trust() is Trust.NTP and clock.wall_ms() - order.at > order.max_age_s * 1000
        slip = slips.received(order, printer, held=late)
    elif order.attempt <= old.asked:
        slip, fresh = old, False
        if not old.content:
            slip = replace(old, content=slips.received(order, printer, False).content)
    else:
        new = slips.received(order, printer, held=False)
        copy = max(old.on_paper, order.copy)
        slip = replace(
            new, attempt=old.attempt, on_paper=old.on_paper, mark="copy" if copy else "", copy=copy
        )  # fmt: skip
    reason = slips.not_wanted(connection, order)
    if fresh and reason is not None:
        slip = replace(slip, state=OrderState.CANCELLED, held=False, reason=reason or "cancelled before it arrived")
    if slip == old and outbox.has(connection, told):
        return slip, None, False
    return slip, slips.put(connection, slip), fresh


def put_new(connection: sqlite3.Connection, slip: Slip) -> bool:
    if slips.get(connection, slip.order_id, slip.part, slip.copy_number) is not None:
        return False
    slips.put(connection, slip, tell=False)
    return True


def hold(connection: sqlite3.Connection, waiting: bool = False) -> outbox.Row:
    """What the box holds, to be told (slips.held_orders); it takes the place of what was to be told before."""
    outbox.delete_messages(connection, [get_meta(connection, "held_message")])
    message = messages.new(Held, orders=slips.held_orders(connection, waiting))
    set_meta(connection, "held_message", message.id)
    return outbox.put_message(connection, "reports", message)


def cancel(connection: sqlite3.Connection, message: CancelOrder) -> list[Slip]:
    """-> the slips that it is about."""
    slips.cancel(connection, message)
    found = slips.of_order(connection, message.order)
    if not message.part:
        return found
    return [
        s
        for s in found
        if (s.part, s.copy_number) == (message.part, message.copy_number) and s.asked <= message.attempt
    ]
