"""A batch of messages from boxes, in one transaction: stored, judged, answered.

Takes   what the broker delivered, in any order, any of it twice, any of it damaged.
Gives   what to acknowledge to each box, to be sent only after the commit; never anything that was not stored.
Raises  nothing for a bad message, nor for one on which our own code fails: that is set aside with its reason and the
        others go on. Only a database that does not work stops a batch (sqlalchemy errors), or a shard that is another
        worker's by now (Stale); then nothing of it happened.

Identity comes from the topic alone. The raw job is stored as it came; reading it is cloud/reading.py's work, later.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, field

import sqlalchemy as sa

from cloud import aside, events, journals, parts, reports
from cloud import boxes as box_table
from cloud import jobs as job_table
from cloud.checks import check, sender_of
from cloud.holes import Run
from cloud.jobs import Job
from cloud.leases import Leases
from cloud.mqtt import Publish
from cloud.parts import Piece
from cloud.statuses import result_of, status_of
from cloud.store.database import Store
from cloud.store.schema import tombstones
from config.cloud import CloudConfig
from wire import topics
from wire.messages import (
    Ack,
    BadMessage,
    Captured,
    Held,
    Part,
    Report,
    Result,
    Status,
    Tombstone,
    decode,
    now_ms,
)

log = logging.getLogger("cloud.batch")
FOREIGN = "this epoch belongs to another merchant"
REFUSED = (sa.exc.DataError, sa.exc.IntegrityError, sa.exc.ProgrammingError, UnicodeEncodeError, OverflowError)
OURS = (TypeError, ValueError, LookupError, OverflowError, RecursionError)
LIMIT = "54"  # SQLSTATE class "program limit exceeded": too much for an index, say


@dataclass
class Answer:
    """What to tell one box."""

    acks: list[Ack] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)


@dataclass
class Outcome:
    answers: dict[str, Answer] = field(default_factory=lambda: defaultdict(Answer))
    stored: int = 0
    duplicates: int = 0
    conflicts: int = 0
    aside: int = 0
    others: int = 0


@dataclass(slots=True)
class Sorted:
    """A batch, decoded."""

    jobs: list[Job] = field(default_factory=list)
    parts: list[Piece] = field(default_factory=list)
    tombs: list[tuple[str, str, Tombstone]] = field(default_factory=list)
    reports: list[tuple[str, str, Report | Held]] = field(default_factory=list)
    statuses: dict[str, tuple[str, Status, bool]] = field(default_factory=dict)
    results: list[tuple[str, str, Result]] = field(default_factory=list)
    aside: list[tuple[Publish, str | None, str]] = field(default_factory=list)
    shards: set[str] = field(default_factory=set)  # of the boxes in it


class Intake:
    """Ingest without a network: `take(batch)` -> Outcome. One per worker; one take() at a time."""

    def __init__(self, store: Store, config: CloudConfig, leases: Leases | None = None) -> None:
        self._store, self._config, self._leases = store, config, leases
        self._owners = box_table.Owners(store)

    def take(self, batch: list[Publish], ready: Sorted | None = None) -> Outcome:
        """`ready`: what sort() made of it, good for one try. Raises what sqlalchemy raises when the database is away;
        the batch may then be given again. Raises Stale."""
        sorted_ = self.sort(batch) if ready is None else ready
        try:
            return self._commit(sorted_)
        except (sa.exc.DBAPIError, *OURS) as error:
            why = _why(error)
            if not why:
                raise
            if len(batch) == 1:
                log.error("set aside topic=%s: %s", batch[0].topic[:120], why)
                return self._commit(Sorted(aside=[(batch[0], None, why)]))
        whole = Outcome()
        for message in batch:  # one of them is bad, or another worker was quicker: each by itself
            _join(whole, self.take([message]))
        return whole

    def sort(self, batch: list[Publish]) -> Sorted:
        """Decoded and judged; may be called beside a take(). Raises what sqlalchemy raises."""
        out, known = Sorted(), []
        for message in batch:
            try:
                known.append((message, *sender_of(message.topic)))
            except BadMessage as error:
                out.aside.append((message, None, error.problem))
        owners = self._owners.of({box for _, box, _ in known})
        for message, box, leaf in known:
            owner = owners.get(box)
            try:
                if owner is None:
                    raise BadMessage(message.topic, "this box is not known, or was revoked")
                value = decode(leaf, message.payload, message.topic)
                check(value, message.topic)
                out.shards.add(shard_in(message))
            except BadMessage as error:
                out.aside.append((message, owner, error.problem))
                continue
            except OURS as error:
                out.aside.append((message, owner, _why(error)))
                continue
            if isinstance(value, Captured):
                if value.parts == 1:
                    out.jobs.append(Job(owner, box, value, message.payload))
                else:
                    out.parts.append(Piece(owner, box, value, message.payload))
            elif isinstance(value, Part):
                out.parts.append(Piece(owner, box, value, message.payload))
            elif isinstance(value, Tombstone):
                out.tombs.append((owner, box, value))
            elif isinstance(value, Status):
                out.statuses[box] = (owner, value, message.retain)
            elif isinstance(value, Result):
                out.results.append((owner, box, value))
            else:
                out.reports.append((owner, box, value))
        return out

    def _commit(self, batch: Sorted) -> Outcome:
        out = Outcome()
        with self._store.write() as connection:
            if self._leases is not None:
                self._leases.check(connection, batch.shards)
            # before the jobs: a box that sends many has sent some of them after its status, and counts not backwards
            for box, (merchant, status, retained) in batch.statuses.items():
                status_of(connection, merchant, box, status, retained)
            if batch.parts:
                _parts(connection, batch, out)
            named = {(job.merchant, job.box, job.message.epoch) for job in batch.jobs}
            named |= {(merchant, box, tomb.epoch) for merchant, box, tomb in batch.tombs}
            if named:
                stands = journals.standing(connection, named)
                came: dict[journals.Journal, list[Run]] = defaultdict(list)
                _jobs(connection, batch, stands, came, out)
                for merchant, box, tomb in batch.tombs:
                    _tomb(connection, merchant, box, tomb, stands, came, batch, out)
                journals.count(connection, came, stands)
            for merchant, box, report in batch.reports:
                if isinstance(report, Held):
                    reports.held(connection, merchant, box, report.orders, self._config.orders)
                else:
                    reports.reported(connection, merchant, box, report)
                out.answers[box].ids.append(report.id)
            for merchant, box, result in batch.results:
                result_of(connection, merchant, box, result)
                out.answers[box].ids.append(result.id)
            out.aside = aside.put(connection, batch.aside)
            out.others = len(batch.reports) + len(batch.results) + len(batch.statuses) + len(batch.tombs)
        return out


def _parts(connection: sa.Connection, batch: Sorted, out: Outcome) -> None:
    """What the pieces make whole goes the way of the other jobs."""
    whole = parts.take(connection, batch.parts)
    batch.jobs += whole.jobs
    for _, box, m, _ in whole.duplicates:
        out.duplicates += 1
        out.answers[box].acks.append(Ack(m.epoch, m.seq, m.sha256, "duplicate"))
    for merchant, box, first, problem in whole.bad:
        batch.aside.append((_receipts(box, first), merchant, f"in parts: {problem}"))


def _jobs(
    connection: sa.Connection,
    batch: Sorted,
    stands: journals.Stands,
    came: dict[journals.Journal, list[Run]],
    out: Outcome,
) -> None:
    doubtful = set()
    for job in batch.jobs:
        stand = stands.get((job.box, job.message.epoch))
        if stand is None or job.message.seq <= stand.highest:
            doubtful.add((job.merchant, job.box, job.message.epoch, job.message.seq))
    known = job_table.known(connection, doubtful)
    new, again, at = list[Job](), list[Job](), now_ms()
    for job in batch.jobs:
        m = job.message
        key = (job.box, m.epoch, m.seq)
        there = known.get(key)
        if there is None:
            stand = stands.get((job.box, m.epoch))
            if stand is not None and stand.merchant != job.merchant:
                batch.aside.append((_receipts(job.box, job.payload), job.merchant, FOREIGN))
                box_table.renew_epoch(connection, job.merchant, job.box, m.epoch)
                continue
            known[key] = m.sha256
            new.append(job)
            came[job.merchant, job.box, m.epoch].append((m.seq, m.seq))
            out.answers[job.box].acks.append(Ack(m.epoch, m.seq, m.sha256, "stored"))
        elif there == m.sha256:
            if m.raw is not None:
                again.append(job)
            out.duplicates += 1
            out.answers[job.box].acks.append(Ack(m.epoch, m.seq, m.sha256, "duplicate"))
        else:
            out.conflicts += 1
            job_table.conflict(connection, job, at)
    job_table.add(connection, new)
    for job in again:
        job_table.fill_in(connection, job)
    out.stored += len(new)


def _tomb(
    connection: sa.Connection,
    merchant: str,
    box: str,
    tomb: Tombstone,
    stands: journals.Stands,
    came: dict[journals.Journal, list[Run]],
    batch: Sorted,
    out: Outcome,
) -> None:
    stand = stands.get((box, tomb.epoch))
    if stand is not None and stand.merchant != merchant:
        batch.aside.append((_receipts(box, b""), merchant, FOREIGN))
        return
    values = {
        "merchant_id": merchant,
        "box": box,
        "epoch": tomb.epoch,
        "first": tomb.first,
        "last": tomb.last,
        "reason": tomb.reason[:64],
        "received_at": now_ms(),
    }
    same = [tombstones.c[name] == values[name] for name in ("merchant_id", "box", "epoch", "first", "last")]
    new = connection.execute(sa.select(tombstones.c.first).where(*same)).first() is None
    if new:
        connection.execute(sa.insert(tombstones).values(**values))
        came[merchant, box, tomb.epoch].append((tomb.first, tomb.last))
        here = job_table.stored_in(connection, merchant, box, tomb)
        if here <= tomb.last - tomb.first:  # else the box lost its copies of what is safe here
            text = f"Box {box} lost receipts {tomb.first}-{tomb.last}: {tomb.reason[:64]}"
            text += f" ({here} of them had come)" if here else ""
            events.raise_alarm(connection, merchant, "lost", box, text)
    else:
        out.duplicates += 1
    out.answers[box].acks.append(Ack(tomb.epoch, tomb.first, b"", "stored" if new else "duplicate"))


def _receipts(box: str, payload: bytes) -> Publish:
    """A message of a box, to be set aside."""
    return Publish(topics.up(box, "receipts"), payload, 1, False, 0)


def shard_in(message: Publish) -> str:
    """The shard that a topic names; it may be anything where the topic is not one of ours."""
    return "".join(message.topic.split("/", 3)[2:3])


def _join(whole: Outcome, one: Outcome) -> None:
    for box, answer in one.answers.items():
        whole.answers[box].acks += answer.acks
        whole.answers[box].ids += answer.ids
    for name in ("stored", "duplicates", "conflicts", "aside", "others"):
        setattr(whole, name, getattr(whole, name) + getattr(one, name))


def _why(error: Exception) -> str:
    """Why a message cannot be stored; empty: it is not the message, and the batch may be given again."""
    said = str(getattr(error, "orig", error)).partition("\n")[0][:200]
    limit = str(getattr(getattr(error, "orig", None), "sqlstate", None)).startswith(LIMIT)
    if limit or isinstance(error, REFUSED):
        return f"the database does not take it: {said}"
    return f"our own code fails on it: {type(error).__name__}: {said}" if isinstance(error, OURS) else ""
