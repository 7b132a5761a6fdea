"""Tells boxes what the outbox holds: orders, cancels, commands. And keeps the time of orders.

An outbox row is sent again, after `resend_s` and then twice as long each time (up to a minute), until the box says that
it knows (a report, a result). Boxes take the same message twice without harm. A box that is offline is not written to;
everything due goes out at once when it comes back. Of several workers each writes to the boxes of its shards.
"""

from __future__ import annotations

import logging
import time

import sqlalchemy as sa

from cloud import anchors, keeping, metrics, orders, overdue
from cloud.leases import HOUSE, Stale
from cloud.line import Line
from cloud.mqtt import Mqtt
from cloud.store.schema import boxes, deliveries, events, outbox, parts, sessions
from wire import topics
from wire.messages import now_ms

log = logging.getLogger("cloud.dispatch")
SLOWEST_MS = 60_000
SWEEP_S = 600
KEEP_OUTBOX_MS = 7 * 86_400_000
KEEP_PARTS_MS = 30 * 86_400_000  # pieces whose rest never came; the box still has the job


class Dispatch(Line):
    """`run()` is a thread's work, until `stopping` is set."""

    name = "dispatch"

    def _work(self, mqtt: Mqtt) -> None:
        self._works(mqtt)
        next_tick, next_sweep = 0.0, time.monotonic() + 10
        with self._bell.thread_ear() as ear:
            while not self._stopping.is_set():
                ear.clear()
                mqtt.receive(0)
                try:
                    keeps_house = self._leases is None or HOUSE in self._leases.held
                    if keeps_house and time.monotonic() >= next_tick:
                        next_tick = time.monotonic() + 1
                        self._tick()
                    if keeps_house and time.monotonic() >= next_sweep:
                        next_sweep = time.monotonic() + SWEEP_S
                        self._sweep()
                    while self.send_due(mqtt) and not self._stopping.is_set():
                        pass
                except Stale as error:
                    log.warning("rolled back: %s", error)
                ear.wait(0.5)

    def _tick(self) -> None:
        with self._store.write() as connection:
            if self._leases is not None:
                self._leases.check(connection, [HOUSE])
            changed = overdue.expire(connection, self._config.orders)
            connection.execute(
                sa.update(outbox)
                .where(outbox.c.done_at.is_(None), outbox.c.expires_at < now_ms())
                .values(done_at=now_ms())
            )
        if changed:
            self._bell.ring()

    def _sweep(self) -> None:
        """Rows whose time is over; a few thousand at a time, so that nobody waits."""
        at = now_ms()
        old = at - self._config.keep.events_days * 86_400_000
        with self._store.write() as connection:
            if self._leases is not None:
                self._leases.check(connection, [HOUSE])
            some = sa.select(events.c.n).where(events.c.at < old).limit(5000)
            connection.execute(sa.delete(events).where(events.c.n.in_(some)))
            connection.execute(sa.delete(deliveries).where(deliveries.c.created_at < old))
            connection.execute(sa.delete(outbox).where(outbox.c.done_at < at - KEEP_OUTBOX_MS))
            connection.execute(sa.delete(parts).where(parts.c.received_at < at - KEEP_PARTS_MS))
            connection.execute(sa.delete(sessions).where(sessions.c.expires_at < at))

        anchors.daily(self._store, self._config.audit_anchors)
        while not self._stopping.is_set():
            with self._store.write() as connection:
                if self._leases is not None:
                    self._leases.check(connection, [HOUSE])
                if not keeping.forget(connection, self._config.keep, at):
                    return

    def send_due(self, mqtt: Mqtt) -> int:
        """-> how many messages were sent. What is sent is marked first: a crash between the two costs one wait.
        Raises Stale."""
        at, first = now_ms(), self._config.orders.resend_s * 1000
        due_now = (
            sa.select(outbox, boxes.c.shard)
            .join(boxes, boxes.c.id == outbox.c.box)
            .where(
                outbox.c.done_at.is_(None),
                outbox.c.next_at <= at,
                boxes.c.revoked_at.is_(None),
                boxes.c.online.is_not(False),
            )
            .order_by(
                sa.case((outbox.c.what == "cancel", 0), else_=1), outbox.c.next_at, outbox.c.id
            )  # never print first
            .limit(200)
        )
        if self._leases is not None:
            due_now = due_now.where(boxes.c.shard.in_(self._leases.held))
        with self._store.read() as connection:
            if connection.execute(due_now.limit(1)).first() is None:
                return 0
        with self._store.write() as connection:
            due = connection.execute(due_now.with_for_update(skip_locked=True, of=outbox)).all()
            if self._leases is not None:
                self._leases.check(connection, {row.shard for row in due})
            for row in due:
                wait = min(first << min(row.tries, 10), SLOWEST_MS)
                values = {"tries": row.tries + 1, "next_at": at + wait}
                if row.what == "go":  # the box asks again where it missed the answer
                    values["done_at"] = at
                connection.execute(
                    sa.update(outbox)
                    .where(outbox.c.merchant_id == row.merchant_id, outbox.c.id == row.id)
                    .values(**values)
                )
                if row.what == "print" and row.tries == 0 and row.order_id:
                    orders.sent(connection, row.merchant_id, row.order_id, row.part or "")
        for row in due:
            mqtt.publish(topics.down(row.box, row.leaf), row.payload, qos=1)
            metrics.SENT.labels(row.what).inc()
            log.info("sent what=%s box=%s order=%s try=%d", row.what, row.box, row.order_id or "-", row.tries + 1)
        if due:
            self._bell.ring()
        return len(due)
