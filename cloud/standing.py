"""What stands in the database, as figures: for /metrics, looked at when they are asked for, at most each LOOK_S.

Each is a count over a small index or table; none grows with the receipts that are stored.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import sqlalchemy as sa
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from cloud.store.database import Store
from cloud.store.schema import alarms, boxes, deliveries, holes, jobs, outbox, set_aside, shards, workers

LOOK_S = 10.0
AHEAD = 100_000  # nobody counts further

GAUGES = {
    "boxes_online": "Boxes that are connected.",
    "boxes_known": "Boxes that may connect.",
    "receipts_unread": "Receipts that are stored and not read yet (counted up to 100,000).",
    "holes": "Gaps in the numbers of boxes: receipts that are asked for.",
    "outbox_due": "Messages to boxes that nobody confirmed yet.",
    "deliveries_due": "Webhook deliveries that wait.",
    "alarms": "Alarms that stand.",
    "set_aside": "Messages of boxes that could not be used, of the last thousands.",
    "workers_alive": "Ingest workers (PostgreSQL).",
    "shards_orphaned": "Shards without a living worker (PostgreSQL): their boxes wait.",
}


class Standing(Collector):
    """Registered once for each process that has the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turn = threading.Lock()
        self._seen: dict[str, int] = {}
        self._at = -LOOK_S

    def describe(self) -> list[GaugeMetricFamily]:
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        with self._turn:
            if time.monotonic() - self._at >= LOOK_S:
                try:
                    self._seen = self._look()
                except sa.exc.SQLAlchemyError:
                    self._seen = {}
                self._at = time.monotonic()
            seen = self._seen
        yield GaugeMetricFamily("tillwire_cloud_store_up", "1: the database answers.", value=int(bool(seen)))
        for name, value in seen.items():
            yield GaugeMetricFamily(f"tillwire_cloud_{name}", GAUGES[name], value=value)

    def _look(self) -> dict[str, int]:
        def count(table: sa.Table, *where: sa.ColumnElement[bool] | sa.TextClause) -> sa.ScalarSelect[int]:
            some = sa.select(sa.literal(1)).select_from(table).where(*where).limit(AHEAD).subquery()
            return sa.select(sa.func.count()).select_from(some).scalar_subquery()

        wanted = {
            "boxes_online": count(boxes, boxes.c.online.is_(True), boxes.c.revoked_at.is_(None)),
            "boxes_known": count(boxes, boxes.c.revoked_at.is_(None)),
            "receipts_unread": count(jobs, sa.text("jobs.state = 'stored'")),
            "holes": count(holes),
            "outbox_due": count(outbox, outbox.c.done_at.is_(None)),
            "deliveries_due": count(deliveries, sa.text("deliveries.state = 'due'")),
            "alarms": count(alarms, alarms.c.cleared_at.is_(None)),
            "set_aside": count(set_aside),
        }
        if not self._store.sqlite:
            now = sa.cast(sa.extract("epoch", sa.func.clock_timestamp()) * 1000, sa.BigInteger)
            alive = sa.select(workers.c.id).where(workers.c.until >= now)
            wanted["workers_alive"] = count(workers, workers.c.until >= now)
            wanted["shards_orphaned"] = count(shards, shards.c.owner.not_in(alive))
        with self._store.read() as connection:
            row = connection.execute(sa.select(*(query.label(name) for name, query in wanted.items()))).one()
        return {name: int(value or 0) for name, value in row._mapping.items()}
