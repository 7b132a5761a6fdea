"""A slip moves to another printer of the shop, because the box that has it cannot print it.

The box is asked to give it back first, and only what it gave back (`cancelled`, nothing on paper) is printed elsewhere
without a mark. A box that cannot be asked is not waited for longer than ASK_S: then the slip moves headed COPY, since
the first one may turn up. Printers of the same box stand in for each other without the cloud (agent/orders.py).
"""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from cloud import rules, telling
from cloud.rules import Routing
from cloud.steps import S, add_history, follow, locked, move, set_slip, slips_of
from cloud.store.schema import boxes, orders, slips
from config.cloud import Orders as Settings
from wire.messages import CancelOrder, OrderState, Report, new, now_ms

ASK_S = 10
STUCK = (S.QUEUED, S.SENT, S.RECEIVED, S.FAILED, S.REPRINTING)
SOONEST_S = 5


def move_stuck(connection: sa.Connection, settings: Settings) -> int:
    """Called each second. -> how many slips were asked back or moved."""
    at, changed = now_ms(), 0
    found = connection.execute(
        sa.select(slips, orders.c.shop_id)
        .join(orders, sa.and_(orders.c.merchant_id == slips.c.merchant_id, orders.c.id == slips.c.order_id))
        .where(
            orders.c.state.in_(STUCK),
            slips.c.state.in_(STUCK),
            slips.c.places != "[]",
            slips.c.changed_at < at - SOONEST_S * 1000,
        )
        .limit(200)
    ).all()
    for slip in found:
        row = locked(connection, slip.merchant_id, slip.order_id)
        if row.state not in STUCK:
            continue
        if slip.moving:
            if slip.moving_at < at - ASK_S * 1000:
                _go(connection, row, slip, settings.max_print_age_s, marked=True)
                changed += 1
            continue
        wait = rules.load(connection, slip.merchant_id, Routing, slip.shop_id).move_after_s
        if slip.changed_at > at - wait * 1000:
            continue
        target = _target(connection, slip)
        if target is None:
            continue
        changed += 1
        moving = "/".join(target)
        if slip.state == S.QUEUED:  # it never left: nobody else can have it
            set_slip(connection, slip, moving=moving, moving_at=at)
            _go(connection, row, _again(connection, slip), settings.max_print_age_s, marked=False)
            continue
        why = f"box {slip.box} is asked to give it back: {target[0]} can print it"
        set_slip(connection, slip, moving=moving, moving_at=at)
        add_history(connection, slip.merchant_id, slip.order_id, OrderState(row.state), "cloud", why, part=slip.part)
        message = new(
            CancelOrder, order=slip.order_id, reason=f"moves to {target[0]}", part=slip.part,
            copy_number=slip.copy_number, attempt=slip.attempt,
        )  # fmt: skip
        telling.tell(
            connection, slip.merchant_id, slip.box, message, telling.part_key(slip.part, slip.copy_number),
            at + 7 * 86_400_000,
        )  # fmt: skip
    return changed


def given_back(connection: sa.Connection, slip: sa.Row[Any], report: Report) -> bool:
    """Its box withdrew it: no byte of it was printed."""
    row = locked(connection, slip.merchant_id, slip.order_id)
    if row.state in (S.CANCELLING, S.CANCELLED, S.CLOSED, S.EXPIRED):  # it is not wanted anywhere any more
        set_slip(connection, slip, state=S.CANCELLED, moving="", moving_at=None)
        follow(connection, slip.merchant_id, report, f"box {slip.box}")
        return True
    _go(connection, row, slip, max(1, ((row.expires_at or now_ms() + 600_000) - now_ms()) // 1000), marked=False)
    return True


def late(connection: sa.Connection, slip: sa.Row[Any], report: Report) -> bool:
    """The box that could not be asked has printed it after all: both slips are on paper, the other one headed COPY; or
    the other one is not begun, and is taken back."""
    if slip.state == S.PRINTED:
        return False
    key = telling.part_key(slip.part, slip.copy_number)
    telling.stop_sending(connection, slip.merchant_id, slip.order_id, key)
    reason = f"box {slip.was_box} has printed it, and said so late"
    message = new(
        CancelOrder, order=slip.order_id, reason=reason, part=slip.part, copy_number=slip.copy_number,
        attempt=slip.attempt,
    )  # fmt: skip
    telling.tell(connection, slip.merchant_id, slip.box, message, key)
    set_slip(
        connection, slip, state=S.PRINTED, proof=report.proof, reason=reason, proven=slip.attempt, box=slip.was_box,
        was_box=slip.box, printer=report.printer[:64] or slip.printer, moving="",
    )  # fmt: skip
    follow(connection, slip.merchant_id, report, f"box {slip.was_box}")
    return True


def _go(connection: sa.Connection, row: sa.Row[Any], slip: sa.Row[Any], max_age_s: int, *, marked: bool) -> None:
    box, _, printer = slip.moving.partition("/")
    telling.stop_sending(connection, row.merchant_id, row.id, telling.part_key(slip.part, slip.copy_number))
    set_slip(
        connection, slip, box=box, printer=printer, attempt=slip.attempt + 1, tries=0, state=S.QUEUED, reason="",
        copy=slip.copy + 1 if marked else slip.copy, was_box=slip.box if marked else slip.was_box, moving="",
        moving_at=None,
    )  # fmt: skip
    moved = _again(connection, slip)
    expires = max(row.expires_at or 0, now_ms() + max_age_s * 1000)
    telling.print_slip(connection, row, moved, max_age_s, expires)
    how = f"headed COPY {moved.copy}: box {slip.box} does not answer" if marked else f"box {slip.box} gave it back"
    state = OrderState(row.state) if row.state != S.FAILED else S.QUEUED
    why = f"moved to {box} {printer}".strip() + f", {how}"
    move(connection, row.merchant_id, row.id, state, "cloud", why, part=slip.part, expires_at=expires)


def _again(connection: sa.Connection, slip: sa.Row[Any]) -> sa.Row[Any]:
    return next(
        s
        for s in slips_of(connection, slip.merchant_id, slip.order_id)
        if (s.part, s.copy_number) == (slip.part, slip.copy_number)
    )


def _target(connection: sa.Connection, slip: sa.Row[Any]) -> tuple[str, str] | None:
    """The first of its places whose box is another one and connected."""
    for box, printer in msgspec.json.decode(slip.places, type=list[tuple[str, str]]):
        if box == slip.box:
            continue
        online = sa.select(boxes.c.online).where(
            boxes.c.merchant_id == slip.merchant_id, boxes.c.id == box, boxes.c.revoked_at.is_(None)
        )
        if connection.execute(online).scalar():
            return box, printer
    return None
