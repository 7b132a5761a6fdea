"""What stored jobs mean: rows that can be searched, made after the ack, in the order the jobs came.

The box's own reading is taken where it was made with the rules we have, or where the raw job stayed on the box; else
the raw job is read again, in a child process (cloud/reader.py). A job that kills the reader three times is `failed`,
shown as such, and the others go on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from cloud import events, facts, figures, metrics
from cloud.events import Bell, to_json
from cloud.leases import Leases
from cloud.reader_door import Reader, ReaderDied
from cloud.store.database import Store
from cloud.store.rows import among, insert, update
from cloud.store.schema import boxes, jobs, papers, receipts
from config.cloud import CloudConfig
from receipt.model import Receipt
from wire.messages import BadMessage, Reading, Trust, unpack_reading

log = logging.getLogger("cloud.reading")
TRIES = 3
AT_ONCE = 100
GIVE_WAY_S = 1.0  # longest wait before a piece of work, while boxes bring much; a tenth where more is waiting
MAX_MONEY = 1 << 53
LAST_MS = 4_102_444_800_000  # 2100
UNKEPT = (  # what a reading can do to its figures or to the database
    sa.exc.DataError, sa.exc.IntegrityError, sa.exc.ProgrammingError,
    ArithmeticError, LookupError, TypeError, ValueError,
)  # fmt: skip
Done = tuple[Any, Reading | None, str]  # a job's row, what was read, its state now


class Readings:
    """`run()` is a thread's work, until `stopping` is set."""

    def __init__(
        self,
        store: Store,
        config: CloudConfig,
        bell: Bell,
        stopping: threading.Event,
        leases: Leases | None = None,
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        """`busy()`: much is being stored just now."""
        self._store, self._config, self._bell, self._stopping = store, config, bell, stopping
        self._leases, self._busy = leases, busy
        self._reader = Reader()
        self._next_start = self._next_places = 0.0
        self._places: dict[str, facts.Places] = {}

    def run(self) -> None:
        try:
            with self._bell.thread_ear() as ear:
                while not self._stopping.is_set():
                    ear.clear()
                    try:
                        self._give_way(GIVE_WAY_S)
                        while not self._stopping.is_set() and (count := self.some()):
                            self._bell.ring()
                            ear.clear()
                            self._give_way(GIVE_WAY_S if count < AT_ONCE else GIVE_WAY_S / 10)
                    except sa.exc.SQLAlchemyError as error:
                        log.error("readings wait for the store: %s", str(error).splitlines()[0])
                        self._stopping.wait(1)
                    ear.wait(1)
        finally:
            self._reader.stop()

    def _give_way(self, longest_s: float) -> None:
        """While boxes bring much, storing and acknowledging go before reading; but reading never stands still."""
        end = time.monotonic() + longest_s
        while self._busy() and time.monotonic() < end and not self._stopping.wait(0.05):
            pass

    def some(self) -> int:
        """Read some jobs -> how many there were. What just came goes before what is to be read again."""
        return self._some("stored", AT_ONCE) or self._some("again", AT_ONCE // 10) or figures.some_again(self._store)

    def _some(self, state: str, limit: int) -> int:
        query = (
            sa.select(*facts.JOB, jobs.c.printer, jobs.c.tries, papers.c.raw, papers.c.reading)
            .join(papers, sa.and_(papers.c.merchant_id == jobs.c.merchant_id, papers.c.job_id == jobs.c.id))
            .where(sa.text(f"jobs.state = '{state}'"))  # spelled out: so that the partial index serves
            .order_by(jobs.c.merchant_id, jobs.c.id)
            .limit(limit)
        )
        if self._leases is not None:
            query = query.join(boxes, boxes.c.id == jobs.c.box).where(boxes.c.shard.in_(self._leases.held))
        with self._store.read() as connection:
            rows = connection.execute(query).all()
        done: list[Done] = []
        killers = []
        for row in rows:
            if self._stopping.is_set():
                break
            try:
                done.append((row, *(self._first(row) if state == "stored" else self._again(row))))
            except ReaderDied as error:
                log.error("reader died job=%s try=%d: %s", row.id, row.tries + 1, error)
                killers.append({"b_merchant": row.merchant_id, "b_id": row.id})
                break  # write down at once who killed it
        if killers:
            with self._store.write() as connection:
                connection.execute(
                    sa.update(jobs)
                    .where(jobs.c.merchant_id == sa.bindparam("b_merchant"), jobs.c.id == sa.bindparam("b_id"))
                    .values(tries=jobs.c.tries + 1),
                    killers,
                )
        self._keep(done, state)
        return len(rows)

    def _keep(self, done: list[Done], state: str) -> None:
        """All of them in one transaction; where one cannot be kept, whatever a box read there, each by itself. That one
        is read again here, or `failed`: it stops no others."""
        if not done:
            return
        try:
            with self._store.write() as connection:
                still = done if self._leases is None else _still(connection, done, state)
                self._write(connection, still, again=state == "again")
            return
        except UNKEPT as error:
            if len(done) == 1 and done[0][1] is None:
                raise
            row = done[0][0]
            if len(done) == 1:
                log.error("job=%s what was read cannot be kept: %s", row.id, str(error).splitlines()[0])
                done = [(row, None, "again" if state == "stored" and row.raw is not None else "failed")]
        for one in done:
            self._keep([one], state)

    def _first(self, row: Any) -> tuple[Reading | None, str]:
        """What the box read is shown at once, and read again afterwards where our rules are newer."""
        found = _of_box(row)
        if row.raw is None or (found is not None and not self._config.ingest.reread):
            return found, "read" if found else "failed"
        if found is not None:
            return found, "again" if self._starts() and newer(
                self._reader.rules_version, found.rules_version
            ) else "read"
        if row.tries >= TRIES:
            return None, "failed"
        return self._reader.read(row.raw, known_of(row, self._shop_of(row))), "read"

    def _again(self, row: Any) -> tuple[Reading | None, str]:
        if row.raw is None or row.tries >= TRIES:
            found = _of_box(row)
            return found, "read" if found else "failed"
        return self._reader.read(row.raw, known_of(row, self._shop_of(row))), "read"

    def _shop_of(self, row: Any) -> facts.Shop:
        """Where the box stands; asked again each minute."""
        if time.monotonic() >= self._next_places:
            self._places, self._next_places = {}, time.monotonic() + 60
        places = self._places.get(row.merchant_id)
        if places is None:
            with self._store.read() as connection:
                places = self._places[row.merchant_id] = facts.Places(connection, [row.merchant_id])
        return places.shop(row.merchant_id, row.box)

    def _starts(self) -> bool:
        """Whether there is a reader; asked at most twice a minute while there is none."""
        if time.monotonic() < self._next_start:
            return False
        try:
            self._reader.start()
            return True
        except ReaderDied as error:
            self._next_start = time.monotonic() + 30
            log.error("the reader does not start, what boxes read is taken: %s", error)
            return False

    def _write(self, connection: sa.Connection, done: list[Done], again: bool = False) -> None:
        """`again`: only what is read otherwise than before is news."""
        if not done:
            return
        keys = [(row.merchant_id, row.id) for row, _, _ in done]
        before = _receipts_of(connection, keys) if again else {}
        updates, rows, news, fresh = [], [], [], []
        for row, reading, state in done:
            metrics.READ.labels(state).inc()
            found = reading or Reading(rules_version="")
            lines = "\n".join(found.lines).replace("\x00", "")
            updates.append(
                {
                    "merchant_id": row.merchant_id,
                    "id": row.id,
                    "state": state,
                    "rules_version": _clean(found.rules_version),
                    "lines": lines,
                    "unknown": found.unknown,
                    "raster_only": found.raster_only,
                }
            )
            fresh.append(figures.Fresh(row, found.receipts, lines))
            said = [receipt_row(row.merchant_id, row.id, n, r) for n, r in enumerate(found.receipts)]
            rows += said
            if again and before.get((row.merchant_id, row.id), []) == said:
                continue
            first = found.receipts[0] if found.receipts else Receipt()
            data = {
                "box": row.box,
                "kind": first.kind,
                "number": first.number,
                "total": first.total,
                "currency": first.currency,
                "issued_at": first.issued_at,
                "state": state,
            }
            news.append((row.merchant_id, "receipt.read", row.id, data))
        mine = among(connection, (receipts.c.merchant_id, receipts.c.job_id), keys)
        connection.execute(sa.delete(receipts).where(mine))
        insert(connection, receipts, rows)
        update(connection, jobs, ("merchant_id", "id"), updates)
        if again:
            figures.apply(connection, keys)
        else:
            figures.first(connection, fresh)
        events.add_many(connection, news)


def _receipts_of(connection: sa.Connection, keys: list[tuple[str, str]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    out: dict[tuple[str, str], list[dict[str, Any]]] = {}
    query = sa.select(receipts).where(among(connection, (receipts.c.merchant_id, receipts.c.job_id), keys))
    for row in connection.execute(query.order_by(receipts.c.job_id, receipts.c.n)):
        out.setdefault((row.merchant_id, row.job_id), []).append(dict(row._mapping))
    return out


def _still(connection: sa.Connection, done: list[Any], state: str) -> list[Any]:
    """Those that no other worker was quicker with, when a shard changed hands; locked until the transaction ends."""
    ids = [(row.merchant_id, row.id) for row, _, _ in done]
    query = sa.select(jobs.c.merchant_id, jobs.c.id).where(
        among(connection, (jobs.c.merchant_id, jobs.c.id), ids), jobs.c.state == state
    )
    rows = connection.execute(query.order_by(jobs.c.merchant_id, jobs.c.id).with_for_update())
    mine = {(row.merchant_id, row.id) for row in rows}
    return [one for one in done if (one[0].merchant_id, one[0].id) in mine]


def newer(ours: str | None, theirs: str) -> bool:
    """Whether our rules are to be preferred. Versions are numbers with dots; others differ or do not.

    >>> newer("2", "1.9"), newer("1", "1"), newer("1", "2"), newer("1", "simulated")
    (True, False, False, True)
    """
    if ours is None:
        return False
    try:
        return [int(n) for n in ours.split(".")] > [int(n) for n in theirs.split(".")]
    except ValueError:
        return ours != theirs


def known_of(job: Any, shop: facts.Shop) -> dict[str, str | None]:
    """What the reader is told of a job: whose paper it is, where that is, and the day (UTC) where the box's clock was
    right."""
    sure = job.trust in (Trust.NTP, Trust.CLOUD) and 0 < job.started_ms < LAST_MS
    day = datetime.fromtimestamp(job.started_ms / 1000, UTC).date().isoformat() if sure else None
    paper = f"{job.merchant_id}/{job.box}/{job.printer}"
    return {"printer": paper, "day": day, "country": shop.dials_from or None, "currency": shop.currency or None}


def _of_box(row: Any) -> Reading | None:
    if not row.reading:
        return None
    try:
        return unpack_reading(msgspec.Raw(row.reading))
    except BadMessage as error:
        log.warning("job=%s the box's reading is damaged: %s", row.id, error.problem)
        return None


def receipt_row(merchant: str, job: str, n: int, receipt: Receipt) -> dict[str, Any]:
    return {
        "merchant_id": merchant,
        "job_id": job,
        "n": n,
        "kind": receipt.kind.value,
        "number": _clean(receipt.number),
        "issued_at": _clean(receipt.issued_at),
        "currency": _clean(receipt.currency),
        "total": receipt.total if receipt.total is not None and abs(receipt.total) < MAX_MONEY else None,
        "shop": _clean(receipt.merchant or receipt.shop),
        "items": to_json(receipt.items),
        "fields": to_json(receipt),
    }


def _clean(text: str | None) -> str | None:
    return None if text is None else text.replace("\x00", "")[:200]
