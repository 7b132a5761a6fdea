"""Which worker works for which boxes: 256 shards in the database, each owned by one worker at a time, with a term.

A worker is a row of `workers`, alive until `until` by the database's clock; it renews that every RENEW_S. A shard whose
owner is not alive any more, or that nobody owns, may be taken, and taking raises its term. Each worker takes its fair
share and gives back what is more, so workers are simply added, die and are replaced.

Each transaction of a worker calls `check()`: it locks the rows of its shards against being taken (FOR KEY SHARE) until
it ends, and raises Stale where the term is not the worker's any more. Taking skips rows that are locked, so the two
never wait for each other. A worker that was stopped and goes on later so writes nothing and acknowledges nothing.

Only PostgreSQL has several workers. On SQLite there is one process, and None in place of Leases.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Iterable

import sqlalchemy as sa

from cloud.events import Bell
from cloud.store.database import Store
from cloud.store.schema import shards, workers
from wire.topics import SHARDS

log = logging.getLogger("cloud.leases")
LEASE_S = 6.0
RENEW_S = 1.5
HOUSE = SHARDS[0]  # whoever owns this one does what is to be done once: orders' time, old rows
_now = sa.cast(sa.extract("epoch", sa.func.clock_timestamp()) * 1000, sa.BigInteger)


class Stale(Exception):
    """These shards belong to another worker by now. Roll back, acknowledge nothing of them, go on with the others."""

    def __init__(self, lost: frozenset[str]) -> None:
        super().__init__(f"shards {', '.join(sorted(lost)[:8])} belong to another worker")
        self.lost = lost


class Leases:
    """`held` is what this worker owns: shard -> term, replaced as a whole, to be read from any thread."""

    def __init__(self, store: Store, bell: Bell, stopping: threading.Event) -> None:
        self._store, self._bell, self._stopping = store, bell, stopping
        self.worker = secrets.token_hex(8)
        self.held: dict[str, int] = {}

    def run(self) -> None:
        """A thread's work, until `stopping` is set."""
        while not self._stopping.is_set():
            before = self.held.keys()
            try:
                self.beat()
            except sa.exc.SQLAlchemyError as error:  # what we hold, the next check() tells
                log.warning("leases not renewed: %s", str(error).splitlines()[0])
            if self.held.keys() != before:
                log.info("shards held=%d worker=%s", len(self.held), self.worker)
                self._bell.ring()
            self._stopping.wait(RENEW_S)

    def beat(self) -> None:
        """Stay alive; take or give back what is fair."""
        with self._store.write() as connection:
            until = {"until": _now + int(LEASE_S * 1000)}
            if not connection.execute(sa.update(workers).where(workers.c.id == self.worker).values(**until)).rowcount:
                connection.execute(sa.insert(workers).values(id=self.worker, **until))
            connection.execute(sa.delete(workers).where(workers.c.until < _now - 3_600_000))
            alive = sorted(connection.execute(sa.select(workers.c.id).where(workers.c.until >= _now)).scalars())
            rank = alive.index(self.worker)
            share = len(SHARDS) // len(alive) + (rank < len(SHARDS) % len(alive))
            mine: dict[str, int] = {}
            free: list[str] = []
            for row in connection.execute(sa.select(shards.c.shard, shards.c.owner, shards.c.term)):
                if row.owner == self.worker:
                    mine[row.shard] = row.term
                elif row.owner not in alive:
                    free.append(row.shard)
            if surplus := sorted(mine)[share:]:
                ours = shards.c.owner == self.worker
                connection.execute(sa.update(shards).where(shards.c.shard.in_(surplus), ours).values(owner=""))
                mine = {shard: term for shard, term in mine.items() if shard not in surplus}
            elif len(mine) < share and free:
                mine |= self._take(connection, sorted(free), share - len(mine), alive)
        self.held = mine

    def _take(self, connection: sa.Connection, free: list[str], count: int, alive: list[str]) -> dict[str, int]:
        got = connection.execute(
            sa.select(shards.c.shard)
            .where(shards.c.shard.in_(free), shards.c.owner.not_in(alive))
            .order_by(shards.c.shard)
            .limit(count)
            .with_for_update(skip_locked=True)
        )
        taken = connection.execute(
            sa.update(shards)
            .where(shards.c.shard.in_(list(got.scalars())))
            .values(owner=self.worker, term=shards.c.term + 1)
            .returning(shards.c.shard, shards.c.term)
        )
        return {row.shard: row.term for row in taken}

    def check(self, connection: sa.Connection, wanted: Iterable[str]) -> None:
        """To be called first in a transaction that works for these shards. Raises Stale."""
        held, wanted = self.held, set(wanted)
        rows = connection.execute(
            sa.select(shards.c.shard, shards.c.term)
            .where(shards.c.shard.in_(sorted(wanted)), shards.c.owner == self.worker)
            .with_for_update(read=True, key_share=True)
        )
        good = {row.shard for row in rows if held.get(row.shard) == row.term}
        if lost := frozenset(wanted - good):
            self.held = {shard: term for shard, term in self.held.items() if shard not in lost}
            raise Stale(lost)

    def release(self) -> None:
        """The others need not wait for our time to run out."""
        self.held = {}
        try:
            with self._store.write() as connection:
                connection.execute(sa.delete(workers).where(workers.c.id == self.worker))
        except sa.exc.SQLAlchemyError as error:
            log.warning("leases not given back: %s", str(error).splitlines()[0])
