"""What time does to orders: they expire, and whoever waits too long is told. Called each second by one worker."""

from __future__ import annotations

import sqlalchemy as sa

from cloud import events, moves, telling
from cloud.orders import boxes_of, hush
from cloud.steps import STOPPED, S, locked, move, slips_of
from cloud.store.schema import alarms, orders
from config.cloud import Orders as Settings
from wire.messages import CancelOrder, new, now_ms

WAITING = (S.REVIEW, S.ACCEPTED, S.QUEUED, S.SENT, S.CANCELLING)
AT_THE_BOX = (S.RECEIVED, S.PRINTING, S.REPRINTING)
GRACE_MS = 120_000  # a box that has it says by itself that it expired; so long we wait for that
UNDERWAY = (S.ACCEPTED, S.QUEUED, S.SENT, S.RECEIVED, S.PRINTING, S.REPRINTING)


def expire(connection: sa.Connection, settings: Settings) -> int:
    """Orders whose time is over, slips that move on, and alarms for what should be on paper by now. -> how many."""
    at, changed = now_ms(), moves.move_stuck(connection, settings)
    over = connection.execute(
        sa.select(orders.c.merchant_id, orders.c.id)
        .where(
            sa.or_(
                sa.and_(orders.c.state.in_(WAITING), orders.c.expires_at < at),
                sa.and_(orders.c.state.in_(AT_THE_BOX), orders.c.expires_at < at - GRACE_MS),
            )
        )
        .limit(500)
    ).all()
    for found in over:
        row = locked(connection, found.merchant_id, found.id)
        if row.state not in (*WAITING, *AT_THE_BOX):
            continue
        changed += 1
        if row.state == S.CANCELLING and all(
            s.state == S.PRINTED for s in slips_of(connection, row.merchant_id, row.id)
        ):
            move(connection, row.merchant_id, row.id, S.PRINTED, "cloud", row.reason, reason_code=STOPPED)
            text = f"Order {row.number} was cancelled after it was printed; box {row.box} is silent: tell the kitchen"
            events.raise_alarm(connection, row.merchant_id, "order_stop", row.id, text)
            continue
        if row.state == S.CANCELLING or row.state in AT_THE_BOX:
            what = "it was cancelled" if row.state == S.CANCELLING else "it has the order"
            silent = f"{what}, and box {row.box} did not say whether it is on paper"
            move(connection, row.merchant_id, row.id, S.UNCONFIRMED, "cloud", silent)
            continue
        nobody = "nobody accepted it in time" if row.state == S.REVIEW else f"box {row.box} did not take it in time"
        if row.state == S.SENT:  # it may have arrived all the same
            for box in boxes_of(connection, row):
                telling.tell(connection, row.merchant_id, box, new(CancelOrder, order=row.id, reason=nobody))
        telling.stop_sending(connection, row.merchant_id, row.id)
        move(connection, row.merchant_id, row.id, S.EXPIRED, "cloud", nobody)
        hush(connection, row)
    return changed + _late(connection, settings, at)


def _late(connection: sa.Connection, settings: Settings, at: int) -> int:
    stands = sa.exists().where(
        alarms.c.merchant_id == orders.c.merchant_id,
        alarms.c.kind == "order_waiting",
        alarms.c.object == orders.c.id,
        alarms.c.cleared_at.is_(None),
    )
    began = sa.case((orders.c.state == S.REPRINTING, orders.c.changed_at), else_=orders.c.accepted_at)
    late = connection.execute(
        sa.select(orders.c.merchant_id, orders.c.id, orders.c.number, orders.c.box, orders.c.state)
        .where(orders.c.state.in_(UNDERWAY), began < at - settings.alert_s * 1000, ~stands)
        .limit(500)
    ).all()
    for order in late:
        text = (
            f"Order {order.number} has been '{order.state}' for more than {settings.alert_s} s: look at box {order.box}"
        )
        events.raise_alarm(connection, order.merchant_id, "order_waiting", order.id, text)
    return len(late)
