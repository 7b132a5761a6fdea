"""Messages that cannot be used: kept with the reason, the last few thousand, for whoever looks into it."""

from __future__ import annotations

import logging

import sqlalchemy as sa

from cloud.mqtt import Publish
from cloud.store.schema import set_aside
from wire.messages import now_ms

log = logging.getLogger("cloud.batch")
KEEP = 5000


def put(connection: sa.Connection, aside: list[tuple[Publish, str | None, str]]) -> int:
    """(message, merchant or None, what is wrong with it) -> how many."""
    for message, _, problem in aside:
        log.warning("set aside topic=%s bytes=%d: %s", message.topic[:120], len(message.payload), problem)
    if aside:
        at = now_ms()
        connection.execute(
            sa.insert(set_aside),
            [
                {
                    "at": at,
                    "topic": message.topic[:200].replace("\x00", "?"),
                    "merchant_id": merchant,
                    "problem": problem[:500].replace("\x00", "?"),
                    "payload": message.payload,
                }
                for message, merchant, problem in aside
            ],
        )
        newest = connection.execute(sa.select(sa.func.max(set_aside.c.n))).scalar() or 0
        connection.execute(sa.delete(set_aside).where(set_aside.c.n <= newest - KEEP))
    return len(aside)
