"""What boxes say of orders: reports of slips, and what they hold after an outage.

A slip's state goes forward only; a later try of the box is newer than an earlier one, and a late `printed` with its
proof always lands. The order's state follows from those of its slips.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from cloud import events, moves, telling
from cloud.steps import ON_PAPER, RANK, S, follow, locked, set_slip, slips_of
from cloud.store.schema import orders, outbox, slips
from config.cloud import Orders as Settings
from wire.messages import GoOrder, OrderState, Proof, Report, new, now_ms

REPORTABLE = frozenset(RANK) - {S.QUEUED, S.SENT}
ENOUGH = (Proof.L1, Proof.L2, Proof.L3)
HELD_MOST = 200


def reported(connection: sa.Connection, merchant: str, box: str, report: Report) -> bool:
    """What a box says of a slip. -> whether it changed anything."""
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
    if slip is None or box not in (slip.box, slip.was_box):
        return False
    if report.state is S.CLOSED:
        telling.finish(connection, merchant, report.order, outbox.c.what == "close", outbox.c.box == box)
        return False
    if report.state not in REPORTABLE:
        return False
    _done_telling(connection, merchant, box, report)
    proven = report.state is S.PRINTED and report.proof in ENOUGH
    if box != slip.box:
        return moves.late(connection, slip, report) if proven else False
    if report.state is S.CANCELLED and slip.moving and report.attempt == slip.attempt:
        return moves.given_back(connection, slip, report)
    if _news(connection, slip, report, proven):
        follow(connection, merchant, report, f"box {box}")
        return True
    return report.cancelled and _stopped(connection, merchant, box, report)


def _news(connection: sa.Connection, slip: sa.Row[Any], report: Report, proven: bool) -> bool:
    """Write down what is new of a slip. -> whether something is."""
    old, state = OrderState(slip.state), report.state
    if state is S.PRINTED and not proven:  # bytes taken are no proof of paper
        state = S.UNCONFIRMED
    if state is S.PRINTING and report.copy:
        state = S.REPRINTING
    if state is S.PRINTED:
        if report.attempt <= slip.proven:
            return False
    else:
        newer = (report.attempt, report.tries) > (slip.attempt, slip.tries) and report.attempt >= slip.attempt
        if old is S.PRINTED and report.attempt <= slip.proven:
            return False
        if not (newer and old is not S.PRINTED) and (report.attempt < slip.attempt or RANK[state] <= RANK[old]):
            return False
    set_slip(
        connection,
        slip,
        state=state,
        proof=report.proof,
        reason=report.reason[:500],
        attempt=max(report.attempt, slip.attempt),
        tries=max(report.tries, slip.tries) if report.attempt <= slip.attempt else report.tries,
        proven=max(report.attempt, slip.proven) if state is S.PRINTED else slip.proven,
        copy=max(report.copy, slip.copy),
        printer=report.printer[:64] or slip.printer,
        moving="" if state in ON_PAPER else slip.moving,
    )
    return True


def _stopped(connection: sa.Connection, merchant: str, box: str, report: Report) -> bool:
    """The box has heard of the cancel of what it has on paper."""
    events.clear_alarm(connection, merchant, "order_stop", report.order)
    if locked(connection, merchant, report.order).state != S.CANCELLING:
        return False
    follow(connection, merchant, report, f"box {box}")
    return True


def held(connection: sa.Connection, merchant: str, box: str, order_ids: list[str], settings: Settings) -> None:
    """After an outage a box asks whether what it holds may still be printed. What it was told meanwhile may be lost."""
    telling.tell_again(connection, merchant, box, settings.resend_s)
    going = (S.QUEUED, S.SENT, S.RECEIVED, S.PRINTING, S.REPRINTING, S.FAILED, S.EXPIRED, S.UNCONFIRMED)
    for order_id in order_ids[:HELD_MOST]:
        row = connection.execute(
            sa.select(orders.c.state, orders.c.accepted_at, orders.c.changed_at).where(
                orders.c.merchant_id == merchant, orders.c.id == order_id
            )
        ).first()
        go = False
        if row is not None and row.accepted_at is not None and row.state in going:
            here = any(s.box == box for s in slips_of(connection, merchant, order_id))
            since = row.changed_at if row.state == S.REPRINTING else row.accepted_at
            go = here and now_ms() - since < settings.max_print_age_s * 1000
        telling.tell(connection, merchant, box, new(GoOrder, order=order_id, go=go))


def _done_telling(connection: sa.Connection, merchant: str, box: str, report: Report) -> None:
    """A box that reports on a slip has got it; one that knows of the cancel says so."""
    key = telling.part_key(report.part, report.copy_number)
    here = outbox.c.box == box
    done = sa.and_(outbox.c.what == "print", outbox.c.part == key, here)
    if report.state is not S.REPRINTING:
        newest = connection.execute(
            sa.select(slips.c.attempt).where(
                slips.c.merchant_id == merchant,
                slips.c.order_id == report.order,
                slips.c.part == report.part,
                slips.c.copy_number == report.copy_number,
            )
        ).scalar()
        if newest is None or report.attempt >= newest:
            telling.finish(connection, merchant, report.order, done)
    if report.cancelled or report.state is S.CANCELLED:
        whole = sa.or_(outbox.c.part.is_(None), outbox.c.part == key)
        telling.finish(connection, merchant, report.order, outbox.c.what == "cancel", here, whole)
