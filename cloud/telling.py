"""What boxes are to be told of orders: rows of the outbox, which cloud/dispatch.py sends until the box says that it
knows. Functions of a connection in a transaction."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from cloud import rules
from cloud.store.schema import outbox
from wire.messages import CancelOrder, CloseOrder, GoOrder, OrderContent, PrintOrder, SlipStyle, encode, new, now_ms

HOUR_MS = 3_600_000
SLOWEST_MS = 60_000  # between two tries to tell a box
JUST_NOW_MS = 1000  # what was said so lately may be on its way
About = PrintOrder | CancelOrder | GoOrder | CloseOrder
WHAT = {PrintOrder: "print", CancelOrder: "cancel", GoOrder: "go", CloseOrder: "close"}


def tell(
    connection: sa.Connection, merchant: str, box: str, message: About, part: str | None = None, expires: int = 0
) -> None:
    at = now_ms()
    connection.execute(
        sa.insert(outbox).values(
            merchant_id=merchant,
            id=message.id,
            box=box,
            leaf="orders",
            what=WHAT[type(message)],
            order_id=message.order,
            part=part,
            payload=encode(message),
            created_at=at,
            next_at=at,
            expires_at=expires or at + HOUR_MS,
        )
    )


def print_slip(connection: sa.Connection, order: sa.Row[Any], slip: Any, max_age_s: int, expires: int) -> None:
    """`slip`: a row of slips as it is now, or its values."""
    content = msgspec.json.decode(slip.content or order.content, type=OrderContent)
    if not content.link:
        content.link = order.external_id or order.id
    here = [p for box, p in msgspec.json.decode(slip.places, type=list[tuple[str, str]]) if box == slip.box]
    message = new(
        PrintOrder,
        order=order.id,
        content=content,
        part=slip.part,
        copy_number=slip.copy_number,
        copies=slip.copies,
        printer=slip.printer,
        attempt=slip.attempt,
        max_age_s=max_age_s,
        copy=slip.copy,
        label=slip.label,
        style=rules.load(connection, order.merchant_id, SlipStyle, order.shop_id),
        instead=[p for p in here if p and p != slip.printer],
    )
    tell(connection, order.merchant_id, slip.box, message, part_key(slip.part, slip.copy_number), expires)


def pause_ms(tries: int, resend_s: int) -> int:
    """How long to wait for the box after having told it `tries` times."""
    return min(resend_s * 1000 << min(tries - 1, 10), SLOWEST_MS)


def tell_again(connection: sa.Connection, merchant: str, box: str, resend_s: int) -> None:
    """All that the box has not confirmed is due now, but for what it was told just now."""
    at = now_ms()
    waits = (outbox.c.merchant_id == merchant, outbox.c.box == box, outbox.c.done_at.is_(None), outbox.c.tries > 0)
    for row in connection.execute(sa.select(outbox.c.id, outbox.c.tries, outbox.c.next_at).where(*waits)).all():
        told_at = row.next_at - pause_ms(row.tries, resend_s)
        if at - told_at > JUST_NOW_MS:
            connection.execute(sa.update(outbox).where(*waits, outbox.c.id == row.id).values(next_at=at))


def part_key(part: str, copy_number: int) -> str:
    return part if copy_number == 1 else f"{part}/{copy_number}"


def stop_sending(connection: sa.Connection, merchant: str, order_id: str, part: str | None = None) -> None:
    """The prints that are not confirmed yet: of the order, or of one slip of it."""
    which = [outbox.c.what == "print", *([outbox.c.part == part] if part is not None else [])]
    finish(connection, merchant, order_id, *which)


def finish(connection: sa.Connection, merchant: str, order_id: str, *which: sa.ColumnElement[bool]) -> None:
    connection.execute(
        sa.update(outbox)
        .where(outbox.c.merchant_id == merchant, outbox.c.order_id == order_id, outbox.c.done_at.is_(None), *which)
        .values(done_at=now_ms())
    )
