"""An ingest worker: takes what boxes publish, has it stored, and only then acknowledges.

One broker connection with a clean session, and one thread that speaks there. Whatever has arrived is one transaction;
when it is busy, it waits `batch_ms` for more, and decodes the next batch while a second thread commits this one: nobody
waits for the disk's sync. After the commit go, in one write, the PUBACKs to the broker and the acks to the boxes. Acks
travel with QoS 0: a lost one costs a re-send that is answered `duplicate`, and a broker need not keep them.
Where there are several workers (PostgreSQL) each takes the messages of the shards it owns (cloud/leases.py), and lets
those of others go: their boxes send again what nobody acknowledged.
While the database is away nothing is acknowledged, and boxes and broker keep what they have.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import sqlalchemy as sa

from cloud import journals, metrics
from cloud.auth import Buckets
from cloud.batch import Answer, Intake, Outcome, Sorted, shard_in
from cloud.leases import Stale
from cloud.line import FIRST_S, Line
from cloud.mqtt import Mqtt, Publish
from wire import topics
from wire.messages import Acks, Want, encode, new

log = logging.getLogger("cloud.ingest")
BUSY, BUSY_S = 16, 0.2  # so many messages in so long make us wait for more, and for so long afterwards
ACKS_IN_ONE = 500
QUOTA_BURST_S = 4  # a box may send so many seconds' worth at once
QUOTA_BYTES = 16_384  # of a message: each so many more count as another one


class Storing(NamedTuple):
    """A batch on its way into the database."""

    batch: list[Publish]  # all that came, also what is let go
    outcome: Future[Outcome | None]  # None: we were told to stop before the database came back


class Ingest(Line):
    """`run()` is a thread's work, until `stopping` is set; it finishes the batches it has."""

    name = "ingest"

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.stuck = False  # what boxes bring cannot be stored now, and nothing is acknowledged
        self._intake = Intake(self._store, self._config, self._leases)
        self._heard: set[str] = set()  # the topic filters that the broker has of us
        self._next_want = self._next_told = self._busy_until = 0.0
        self._lately = self._counted = 0.0
        rate = self._config.ingest.box_rate
        self._quota = Buckets(rate, rate * QUOTA_BURST_S)

    def _listen(self, mqtt: Mqtt) -> None:
        """Subscribe to what is ours: all boxes, or the shards that we own now."""
        held = self._leases.held if self._leases is not None else topics.SHARDS
        wished = set(topics.all_up()) if len(held) == len(topics.SHARDS) else {of_shard(s) for s in held}
        if new := sorted(wished - self._heard):
            mqtt.subscribe(new)
        if gone := sorted(self._heard - wished):
            mqtt.unsubscribe(gone)
        self._heard = wished

    def _work(self, mqtt: Mqtt) -> None:
        self._heard = set()
        self._listen(mqtt)
        self._works(mqtt)
        with ThreadPoolExecutor(1, "ingest-store") as storer:
            storing: Storing | None = None
            while not self._stopping.is_set():
                if self._leases is not None:
                    self._listen(mqtt)
                batch = self._gather(mqtt, 0 if storing else 0.25)
                next_one = self._begin(storer, batch) if batch else None
                if storing is not None and not self._finish(mqtt, storing):
                    return
                storing = next_one
                if storing is not None and not self.busy():
                    if not self._finish(mqtt, storing):
                        return
                    storing = None
                if time.monotonic() >= self._next_want:
                    self._next_want = time.monotonic() + 1
                    self._want(mqtt)
            if storing is not None:
                self._finish(mqtt, storing)

    def _gather(self, mqtt: Mqtt, wait_s: float) -> list[Publish]:
        """What has arrived; when that is much, what comes in the next `batch_ms` too."""
        size, window = self._config.ingest.batch, self._config.ingest.batch_ms / 1000
        batch = mqtt.receive(wait_s)
        if self._came_lately(len(batch)) >= BUSY:
            self._busy_until = time.monotonic() + BUSY_S
            end = time.monotonic() + window
            while len(batch) < size and (left := end - time.monotonic()) > 0:
                more = mqtt.receive(left)
                self._came_lately(len(more))
                batch += more
        return batch

    def _came_lately(self, count: int) -> float:
        """Messages of the last BUSY_S, about: what came before fades."""
        now = time.monotonic()
        self._lately = self._lately * max(0.0, 1 - (now - self._counted) / BUSY_S) + count
        self._counted = now
        return self._lately

    def _begin(self, storer: ThreadPoolExecutor, batch: list[Publish]) -> Storing:
        """Storing it; decoding is done here, while the batch before may still be committed."""
        mine = self._ours(self._within_quota(batch))
        try:
            ready = self._intake.sort(mine)
        except sa.exc.SQLAlchemyError:  # whose boxes they are cannot be asked now: storing says it, and tries again
            ready = None
        return Storing(batch, storer.submit(self._store_it, mine, ready))

    def _finish(self, mqtt: Mqtt, storing: Storing) -> bool:
        """Wait for the commit, then acknowledge. False: we stop, and it was not stored."""
        outcome = storing.outcome.result()
        if outcome is None:
            return False
        mqtt.ack(storing.batch)
        _answer(mqtt, outcome.answers)
        self._bell.ring()
        return True

    def busy(self) -> bool:
        """Boxes bring much just now: what can wait may wait."""
        return time.monotonic() < self._busy_until

    def _within_quota(self, batch: list[Publish]) -> list[Publish]:
        """Without what a box sends beyond its share (`box_rate`): nobody else waits for it, and it is not acknowledged,
        so that the box sends it again later. A large message counts for several."""
        kept = [m for m in batch if not self._quota.take(m.topic, 1 + len(m.payload) // QUOTA_BYTES)]
        if beyond := len(batch) - len(kept):
            metrics.MESSAGES.labels("beyond_quota").inc(beyond)
            if time.monotonic() >= self._next_told:
                self._next_told = time.monotonic() + 60
                over = Counter(m.topic for m in batch) - Counter(m.topic for m in kept)
                self._log.warning("beyond quota messages=%d topic=%s", beyond, over.most_common(1)[0][0])
        return kept

    def _ours(self, batch: list[Publish]) -> list[Publish]:
        """Those of the shards that we own now."""
        if self._leases is None:
            return batch
        held = self._leases.held
        return [message for message in batch if shard_in(message) in held]

    def _store_it(self, batch: list[Publish], ready: Sorted | None) -> Outcome | None:
        """`ready`: the batch decoded. None: we were told to stop before the database came back."""
        pause = FIRST_S
        while batch:
            try:
                began = time.perf_counter()
                outcome = self._intake.take(batch, ready)
                self._tell_stuck(False)
                metrics.batch(outcome, len(batch), time.perf_counter() - began)
                return outcome
            except Stale as error:
                log.warning("rolled back messages=%d: %s", len(batch), error)
            except sa.exc.SQLAlchemyError as error:
                log.error("store away retry_s=%.1f messages=%d: %s", pause, len(batch), str(error).splitlines()[0])
                metrics.STORE_ERRORS.inc()
                self._tell_stuck(True)
                if self._stopping.wait(pause):
                    return None
                pause = min(pause * 2, 5)
            batch, ready = self._ours(batch), None
        self._tell_stuck(False)
        return Outcome()

    def _tell_stuck(self, stuck: bool) -> None:
        """For /healthz and /metrics: a full disk, say, from which can still be read."""
        self.stuck = stuck
        metrics.INGEST_STUCK.set(stuck)

    def _want(self, mqtt: Mqtt) -> None:
        """Ask boxes for numbers that are missing longer than `want_after_s`; again after twice that, up to an hour."""
        try:
            with self._store.read() as connection:
                due = journals.due(connection, self._config.ingest.want_after_s * 1000, self._leases)
            if not due:
                return
            with self._store.write() as connection:
                journals.asked(connection, due)
        except sa.exc.SQLAlchemyError as error:
            log.error("holes not read: %s", str(error).splitlines()[0])
            return
        wanted: dict[str, list[Want]] = {}
        for h in due:
            wanted.setdefault(h.box, []).append(Want(h.epoch, h.first, h.last))
        for box, want in wanted.items():
            log.info("want box=%s holes=%d", box, len(want))
            mqtt.publish(topics.down(box, "acks"), encode(new(Acks, want=want)), qos=0)


def of_shard(shard: str) -> str:
    """One filter for each shard: brokers pay for each."""
    return f"tillwire/1/{shard}/+/up/+"


def _answer(mqtt: Mqtt, answers: dict[str, Answer]) -> None:
    packets = []
    for box, answer in answers.items():
        topic = topics.down(box, "acks")
        for start in range(0, max(len(answer.acks), len(answer.ids)), ACKS_IN_ONE):
            end = start + ACKS_IN_ONE
            message = new(Acks, acks=answer.acks[start:end], ids=answer.ids[start:end])
            packets.append(mqtt.packet(topic, encode(message), qos=0)[1])
    mqtt.send(b"".join(packets))
