"""Tells boxes what the outbox holds: orders, cancels, commands.

An outbox row is sent again, after `resend_s` and then twice as long each time (up to a minute), until the box says that
it knows (a report, a result). Boxes take the same message twice without harm. A box that is offline is not written to;
everything due goes out at once when it comes back. Of several workers each writes to the boxes of its shards.
"""

from __future__ import annotations

import logging

import sqlalchemy as sa

from cloud import metrics, orders, telling
from cloud.leases import Stale
from cloud.line import Line
from cloud.mqtt import Mqtt
from cloud.store.schema import boxes, outbox
from wire import topics
from wire.messages import now_ms

log = logging.getLogger("cloud.dispatch")


class Dispatch(Line):
    """`run()` is a thread's work, until `stopping` is set."""

    name = "dispatch"

    def _work(self, mqtt: Mqtt) -> None:
        self._works(mqtt)
        with self._bell.thread_ear() as ear:
            while not self._stopping.is_set():
                ear.clear()
                mqtt.receive(0)
                try:
                    while self.send_due(mqtt) and not self._stopping.is_set():
                        pass
                except Stale as error:
                    log.warning("rolled back: %s", error)
                ear.wait(0.5)

    def send_due(self, mqtt: Mqtt) -> int:
        """-> how many messages were sent. What is sent is marked first: a crash between the two costs one wait.
        Raises Stale."""
        at = now_ms()
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
                tries = row.tries + 1
                values = {"tries": tries, "next_at": at + telling.pause_ms(tries, self._config.orders.resend_s)}
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
