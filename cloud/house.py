"""What time does in the cloud: orders expire and whoever waits too long is told, each second; old rows go.

Of several workers the one that owns the shard HOUSE does it. It needs no broker: an order that waits because the broker
is away is just what somebody has to be told.
"""

from __future__ import annotations

import logging
import threading
import time

import sqlalchemy as sa

from cloud import anchors, keeping, overdue
from cloud.events import Bell
from cloud.leases import HOUSE, Leases, Stale
from cloud.store.database import Store
from cloud.store.schema import deliveries, events, outbox, parts, sessions
from config.cloud import CloudConfig
from wire.messages import now_ms

log = logging.getLogger("cloud.house")
TICK_S = 1.0
SWEEP_S = 600
KEEP_OUTBOX_MS = 7 * 86_400_000
KEEP_PARTS_MS = 30 * 86_400_000  # pieces whose rest never came; the box still has the job


class House:
    """`run()` is a thread's work, until `stopping` is set."""

    def __init__(
        self, store: Store, config: CloudConfig, bell: Bell, stopping: threading.Event, leases: Leases | None = None
    ) -> None:
        self._store, self._config, self._bell, self._stopping, self._leases = store, config, bell, stopping, leases

    def run(self) -> None:
        next_sweep = time.monotonic() + 10
        while not self._stopping.is_set():
            try:
                if self._leases is None or HOUSE in self._leases.held:
                    self.tick()
                    if time.monotonic() >= next_sweep:
                        next_sweep = time.monotonic() + SWEEP_S
                        self.sweep()
            except Stale as error:
                log.warning("rolled back: %s", error)
            except (OSError, sa.exc.SQLAlchemyError) as error:  # OSError: the file of anchors
                log.warning("retry_s=%.0f: %s", TICK_S, str(error).splitlines()[0])
            self._stopping.wait(TICK_S)

    def tick(self) -> None:
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

    def sweep(self) -> None:
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
