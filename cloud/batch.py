"""A batch of messages from boxes, in one transaction: stored, judged, answered.

Takes   what the broker delivered, in any order, any of it twice, any of it damaged.
Gives   what to acknowledge to each box, to be sent only after the commit; never anything that was not stored.
Raises  nothing for a bad message: that is set aside with its reason and the others go on. Only a database that does not
        work stops a batch (sqlalchemy errors), or a shard that is another worker's by now (Stale); then nothing of it
        happened.

Identity comes from the topic alone. The raw job is stored as it came; reading it is cloud/reading.py's work, later.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from cloud import aside, events, journals, reports
from cloud import boxes as box_table
from cloud.checks import check, sender_of
from cloud.holes import Run
from cloud.ids import ordered
from cloud.leases import Leases
from cloud.mqtt import Publish
from cloud.statuses import result_of, status_of
from cloud.store.database import Store
from cloud.store.rows import insert
from cloud.store.schema import conflicts, jobs, papers, parts, tombstones
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
Key = tuple[str, str, int]  # box, epoch, seq


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
class _Job:
    merchant: str
    box: str
    message: Captured
    payload: bytes


@dataclass(slots=True)
class Sorted:
    """A batch, decoded."""

    jobs: list[_Job] = field(default_factory=list)
    parts: list[tuple[str, str, Part | Captured, bytes]] = field(default_factory=list)
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
        except (
            sa.exc.DataError,
            sa.exc.IntegrityError,
            sa.exc.ProgrammingError,
            UnicodeEncodeError,
            OverflowError,
        ) as e:
            if len(batch) == 1:
                log.error("set aside topic=%s: the database does not take it: %s", batch[0].topic, _short(e))
                return self._commit(Sorted(aside=[(batch[0], None, f"the database does not take it: {_short(e)}")]))
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
            if isinstance(value, Captured):
                if value.parts == 1:
                    out.jobs.append(_Job(owner, box, value, message.payload))
                else:
                    out.parts.append((owner, box, value, message.payload))
            elif isinstance(value, Part):
                out.parts.append((owner, box, value, message.payload))
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
            came: dict[journals.Journal, list[Run]] = defaultdict(list)
            if batch.parts:
                self._parts(connection, batch, out)
            if batch.jobs:
                self._jobs(connection, batch, came, out)
            for merchant, box, tomb in batch.tombs:
                self._tomb(connection, merchant, box, tomb, came, batch, out)
            if came:
                journals.count(connection, came)
            for merchant, box, report in batch.reports:
                if isinstance(report, Held):
                    reports.held(connection, merchant, box, report.orders, self._config.orders)
                else:
                    reports.reported(connection, merchant, box, report)
                out.answers[box].ids.append(report.id)
            for merchant, box, result in batch.results:
                result_of(connection, merchant, box, result)
                out.answers[box].ids.append(result.id)
            for box, (merchant, status, retained) in batch.statuses.items():
                status_of(connection, merchant, box, status, retained)
            out.aside = aside.put(connection, batch.aside)
            out.others = len(batch.reports) + len(batch.results) + len(batch.statuses) + len(batch.tombs)
        return out

    def _jobs(
        self,
        connection: sa.Connection,
        batch: Sorted,
        came: dict[journals.Journal, list[Run]],
        out: Outcome,
    ) -> None:
        keys = {(j.merchant, j.box, j.message.epoch, j.message.seq) for j in batch.jobs}
        known = _known(connection, keys)
        foreign = journals.foreign(connection, {(j.merchant, j.box, j.message.epoch) for j in batch.jobs})
        rows, sheets, again, at = [], [], list[_Job](), now_ms()
        for job in batch.jobs:
            m = job.message
            key = (job.box, m.epoch, m.seq)
            if (job.box, m.epoch) in foreign:
                problem = "this epoch belongs to another merchant"
                batch.aside.append(
                    (Publish(topics.up(job.box, "receipts"), job.payload, 1, False, 0), job.merchant, problem)
                )
                box_table.renew_epoch(connection, job.merchant, job.box, m.epoch)
                continue
            there = known.get(key)
            if there is None:
                known[key] = m.sha256
                row = _job_row(job, at)
                rows.append(row)
                reading = bytes(m.reading)
                sheets.append(
                    {"merchant_id": job.merchant, "job_id": row["id"], "raw": m.raw, "reading": reading or None}
                )
                came[job.merchant, job.box, m.epoch].append((m.seq, m.seq))
                out.answers[job.box].acks.append(Ack(m.epoch, m.seq, m.sha256, "stored"))
            elif there == m.sha256:
                if m.raw is not None:
                    again.append(job)
                out.duplicates += 1
                out.answers[job.box].acks.append(Ack(m.epoch, m.seq, m.sha256, "duplicate"))
            else:
                out.conflicts += 1
                _conflict(connection, job, at)
        insert(connection, jobs, rows)
        insert(connection, papers, sheets)
        for job in again:
            _fill_in(connection, job)
        out.stored += len(rows)

    def _parts(self, connection: sa.Connection, batch: Sorted, out: Outcome) -> None:
        """Keep the pieces; where all are there, the job is put together and goes the way of the others."""
        touched: dict[tuple[str, str, str, int, bytes], int] = {}
        known = _known(connection, {(mer, box, p.epoch, p.seq) for mer, box, p, _ in batch.parts})
        at = now_ms()
        for merchant, box, piece, payload in batch.parts:
            if known.get((box, piece.epoch, piece.seq)) == piece.sha256 and not _bare(connection, merchant, box, piece):
                out.duplicates += 1
                out.answers[box].acks.append(Ack(piece.epoch, piece.seq, piece.sha256, "duplicate"))
                continue
            number, data = (piece.part, piece.raw) if isinstance(piece, Part) else (0, payload)
            key = (merchant, box, piece.epoch, piece.seq, piece.sha256)
            there = connection.execute(sa.select(parts.c.part).where(*_part_key(key), parts.c.part == number)).first()
            if there is None:
                columns = ("merchant_id", "box", "epoch", "seq", "sha256")
                connection.execute(
                    sa.insert(parts).values(
                        **dict(zip(columns, key, strict=True)),
                        part=number,
                        parts=piece.parts,
                        data=data,
                        received_at=at,
                    )
                )
            touched[key] = piece.parts
        for key, count in touched.items():
            pieces = connection.execute(
                sa.select(parts.c.part, parts.c.parts, parts.c.data).where(*_part_key(key)).order_by(parts.c.part)
            ).all()
            if [p.part for p in pieces] != list(range(count)):
                continue
            connection.execute(sa.delete(parts).where(*_part_key(key)))
            merchant, box = key[0], key[1]
            topic = topics.up(box, "receipts")
            try:
                message = decode("receipts", pieces[0].data, topic)
                message.raw = b"".join([message.raw or b"", *(p.data for p in pieces[1:])])
                message.parts = 1
                check(message, topic)
            except BadMessage as error:
                batch.aside.append(
                    (Publish(topic, pieces[0].data, 1, False, 0), merchant, f"in parts: {error.problem}")
                )
                continue
            batch.jobs.append(_Job(merchant, box, message, pieces[0].data))

    def _tomb(
        self,
        connection: sa.Connection,
        merchant: str,
        box: str,
        tomb: Tombstone,
        came: dict[journals.Journal, list[Run]],
        batch: Sorted,
        out: Outcome,
    ) -> None:
        if journals.foreign(connection, {(merchant, box, tomb.epoch)}):
            problem = "this epoch belongs to another merchant"
            batch.aside.append((Publish(topics.up(box, "receipts"), b"", 1, False, 0), merchant, problem))
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
            here = _stored_in(connection, merchant, box, tomb)
            if here <= tomb.last - tomb.first:  # else the box lost its copies of what is safe here
                text = f"Box {box} lost receipts {tomb.first}-{tomb.last}: {tomb.reason[:64]}"
                text += f" ({here} of them had come)" if here else ""
                events.raise_alarm(connection, merchant, "lost", box, text)
        else:
            out.duplicates += 1
        out.answers[box].acks.append(Ack(tomb.epoch, tomb.first, b"", "stored" if new else "duplicate"))


def shard_in(message: Publish) -> str:
    """The shard that a topic names; it may be anything where the topic is not one of ours."""
    return "".join(message.topic.split("/", 3)[2:3])


def _job_row(job: _Job, at: int) -> dict[str, Any]:
    m = job.message
    return {
        "merchant_id": job.merchant,
        "id": ordered(),
        "box": job.box,
        "epoch": m.epoch,
        "seq": m.seq,
        "sha256": m.sha256,
        "size": m.size,
        "boundary": m.boundary.value,
        "continues": m.continues,
        "delivered": m.delivered[:8],
        "pos": m.pos[:64],
        "printer": m.printer[:64],
        "started_ms": m.started.wall_ms,
        "ended_ms": m.ended.wall_ms,
        "trust": m.started.trust.value,
        "boot": m.started.boot[:64],
        "mono_ms": m.started.mono_ms,
        "was": f"{m.was[0]}/{m.was[1]}" if m.was else None,
        "received_at": at,
        "state": "stored",
    }


def _known(connection: sa.Connection, keys: set[tuple[str, str, str, int]]) -> dict[Key, bytes]:
    """Which of these jobs are stored -> their hashes."""
    out: dict[Key, bytes] = {}
    for some in _slices(sorted(keys), 1000):
        if connection.dialect.name == "sqlite":
            table = f"VALUES {', '.join(['(?, ?, ?, ?)'] * len(some))}"
            values = tuple(value for key in some for value in key)
        else:
            table = "SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[])"
            values = tuple(list(column) for column in zip(*some, strict=True))
        sql = (
            f"WITH k (m, b, e, s) AS ({table}) SELECT j.box, j.epoch, j.seq, j.sha256 FROM k CROSS JOIN jobs j"
            " WHERE j.merchant_id = k.m AND j.box = k.b AND j.epoch = k.e AND j.seq = k.s"
        )
        rows = connection.exec_driver_sql(sql, values)
        out.update({(box, epoch, seq): bytes(sha) for box, epoch, seq, sha in rows})
    return out


def _bare(connection: sa.Connection, merchant: str, box: str, of: Captured | Part) -> str | None:
    """The id of a stored job whose bytes are not here; None where they are."""
    query = (
        sa.select(jobs.c.id)
        .join(papers, sa.and_(papers.c.merchant_id == jobs.c.merchant_id, papers.c.job_id == jobs.c.id))
        .where(jobs.c.merchant_id == merchant, jobs.c.box == box, jobs.c.epoch == of.epoch, jobs.c.seq == of.seq)
        .where(jobs.c.sha256 == of.sha256, papers.c.raw.is_(None))
    )
    return connection.execute(query).scalar()


def _fill_in(connection: sa.Connection, job: _Job) -> None:
    """A job that came without its bytes comes again with them: what is acknowledged now is stored, and read."""
    id_ = _bare(connection, job.merchant, job.box, job.message)
    if id_ is not None:
        where = papers.c.merchant_id == job.merchant, papers.c.job_id == id_
        connection.execute(sa.update(papers).where(*where).values(raw=job.message.raw))
        connection.execute(
            sa.update(jobs).where(jobs.c.merchant_id == job.merchant, jobs.c.id == id_).values(state="stored", tries=0)
        )


def _conflict(connection: sa.Connection, job: _Job, at: int) -> None:
    """The same key with another hash: a cloned card, a restored journal, or a forgery. Kept, never acknowledged."""
    m = job.message
    key = {"merchant_id": job.merchant, "box": job.box, "epoch": m.epoch, "seq": m.seq, "sha256": m.sha256}
    there = connection.execute(
        sa.select(conflicts.c.seq).where(*(conflicts.c[name] == value for name, value in key.items()))
    ).first()
    if there is None:
        connection.execute(sa.insert(conflicts).values(**key, payload=job.payload, received_at=at))
        text = f"Box {job.box} sent two different receipts with the number {m.seq}: a copied or restored memory card?"
        events.raise_alarm(connection, job.merchant, "conflict", job.box, text)
        log.error("conflict box=%s epoch=%s seq=%d", job.box, m.epoch, m.seq)
    box_table.renew_epoch(connection, job.merchant, job.box, m.epoch)


def _stored_in(connection: sa.Connection, merchant: str, box: str, tomb: Tombstone) -> int:
    """How many jobs of a tombstone's range are stored."""
    mine = (jobs.c.merchant_id == merchant, jobs.c.box == box, jobs.c.epoch == tomb.epoch)
    query = sa.select(sa.func.count()).select_from(jobs).where(*mine, jobs.c.seq.between(tomb.first, tomb.last))
    return int(connection.execute(query).scalar_one())


def _part_key(key: tuple[str, str, str, int, bytes]) -> list[sa.ColumnElement[bool]]:
    columns = (parts.c.merchant_id, parts.c.box, parts.c.epoch, parts.c.seq, parts.c.sha256)
    return [column == value for column, value in zip(columns, key, strict=True)]


def _join(whole: Outcome, one: Outcome) -> None:
    for box, answer in one.answers.items():
        whole.answers[box].acks += answer.acks
        whole.answers[box].ids += answer.ids
    for name in ("stored", "duplicates", "conflicts", "aside", "others"):
        setattr(whole, name, getattr(whole, name) + getattr(one, name))


def _slices(values: list[Any], size: int) -> Iterable[list[Any]]:
    return (values[start : start + size] for start in range(0, len(values), size))


def _short(error: Exception) -> str:
    return str(getattr(error, "orig", error)).splitlines()[0][:200]
