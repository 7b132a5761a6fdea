"""What happened, for those who listen: the console's live page, GET /v1/events, webhooks; and alarms, which are states.

Rows are written in the transaction of what they tell about; whoever commits rings the Bell afterwards.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import sqlalchemy as sa

from cloud.store.database import LAST
from cloud.store.rows import insert
from cloud.store.schema import alarms, events
from wire.messages import now_ms

_encoder = msgspec.json.Encoder()
EVENTS_LOCK = 7411734  # pg_advisory_xact_lock(this, hash of the merchant): events commit in the order of their numbers


def to_json(value: Any) -> str:
    return _encoder.encode(value).decode()


def add(connection: sa.Connection, merchant: str, kind: str, about: str, data: dict[str, Any]) -> None:
    add_many(connection, [(merchant, kind, about, data)])


def add_many(connection: sa.Connection, rows: list[tuple[str, str, str, dict[str, Any]]]) -> None:
    """rows = (merchant, kind, object, data)."""
    last = connection.info.get(LAST)
    if last is None:
        _insert(connection, rows)
    else:  # the lock of events is taken last, when all rows are locked: else two transactions may wait for each other
        last.setdefault(_insert, []).extend(rows)


def _insert(connection: sa.Connection, rows: list[tuple[str, str, str, dict[str, Any]]]) -> None:
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        for merchant in sorted({row[0] for row in rows}):
            connection.execute(
                sa.text("SELECT pg_advisory_xact_lock(:a, hashtext(:m))"), {"a": EVENTS_LOCK, "m": merchant}
            )
    at = now_ms()
    insert(
        connection,
        events,
        [
            {"merchant_id": merchant, "at": at, "kind": kind, "object": about, "data": to_json(data)}
            for merchant, kind, about, data in rows
        ],
    )


def raise_alarm(connection: sa.Connection, merchant: str, kind: str, about: str, text: str) -> None:
    """Idempotent: an alarm that stands counts up, one that was cleared stands again."""
    at = now_ms()
    key = (alarms.c.merchant_id == merchant, alarms.c.kind == kind, alarms.c.object == about)
    row = connection.execute(sa.select(alarms.c.cleared_at).where(*key)).first()
    if row is None:
        connection.execute(
            sa.insert(alarms).values(
                merchant_id=merchant, kind=kind, object=about, text=text, first_at=at, last_at=at, count=1
            )
        )
    else:
        values: dict[str, Any] = {"text": text, "last_at": at, "count": alarms.c.count + 1, "cleared_at": None}
        if row.cleared_at is not None:
            values["first_at"] = at
        connection.execute(sa.update(alarms).where(*key).values(values))
        if row.cleared_at is None:
            return
    add(connection, merchant, "alarm.raised", about, {"kind": kind, "text": text})


def clear_alarm(connection: sa.Connection, merchant: str, kind: str, about: str) -> None:
    done = connection.execute(
        sa.update(alarms)
        .where(
            alarms.c.merchant_id == merchant,
            alarms.c.kind == kind,
            alarms.c.object == about,
            alarms.c.cleared_at.is_(None),
        )
        .values(cleared_at=now_ms())
    )
    if done.rowcount:
        add(connection, merchant, "alarm.cleared", about, {"kind": kind})


class Bell:
    """Wakes those who wait for something new in the database. Rung after a commit, from any thread; never blocks."""

    def __init__(self) -> None:
        self._ears: set[Callable[[], object]] = set()

    def ring(self) -> None:
        for ear in tuple(self._ears):
            ear()

    @contextmanager
    def thread_ear(self) -> Iterator[threading.Event]:
        event = threading.Event()
        self._ears.add(event.set)
        try:
            yield event
        finally:
            self._ears.discard(event.set)

    @contextmanager
    def task_ear(self) -> Iterator[asyncio.Event]:
        event, loop = asyncio.Event(), asyncio.get_running_loop()

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(event.set)
            except RuntimeError:  # the loop is closed: we are stopping
                pass

        self._ears.add(wake)
        try:
            yield event
        finally:
            self._ears.discard(wake)
