"""A batch of messages from boxes, in one transaction: stored, judged, answered.

Takes   what the broker delivered, in any order, any of it twice, any of it damaged.
Gives   what to acknowledge to each box, to be sent only after the commit; never anything that was not stored.
Raises  nothing for a bad message: that is set aside with its reason and the others go on. Only a database that does not
        work stops a batch (sqlalchemy errors), and then nothing of it happened.

Identity comes from the topic alone. The raw job is stored as it came; reading it is cloud/reading.py's work, later.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import sqlalchemy as sa

from cloud import boxes as box_table
from cloud import events, orders
from cloud.holes import fill, runs
from cloud.mqtt import Publish
from cloud.store.database import Plain, Store
from cloud.store.schema import boxes, conflicts, epochs, holes, jobs, outbox, papers, parts, set_aside, tombstones
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
    uuid7,
)

log = logging.getLogger("cloud.batch")
EPOCH = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
MAX_SEQ = 1 << 53
MAX_PARTS = 128
MAX_RUN = 1 << 32
KEEP_ASIDE = 5000
REGRESS = 2  # live statuses in a row that count below what we hold, before a box is told to start a new epoch
JOB_COLUMNS = tuple(
    c.name for c in jobs.columns if c.name not in ("tries", "raster_only", "unknown", "rules_version", "lines")
)
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
class _Sorted:
    """A batch, decoded."""

    jobs: list[_Job] = field(default_factory=list)
    parts: list[tuple[str, str, Part | Captured, bytes]] = field(default_factory=list)
    tombs: list[tuple[str, str, Tombstone]] = field(default_factory=list)
    reports: list[tuple[str, str, Report | Held]] = field(default_factory=list)
    statuses: dict[str, tuple[str, Status, bool]] = field(default_factory=dict)
    results: list[tuple[str, str, Result]] = field(default_factory=list)
    aside: list[tuple[Publish, str | None, str]] = field(default_factory=list)


class Intake:
    """Ingest without a network: `take(batch)` -> Outcome. One per worker; call it from one thread at a time."""

    def __init__(self, store: Store, config: CloudConfig) -> None:
        self._store, self._config = store, config
        self._owners = box_table.Owners(store)
        self._insert_job = Plain(store.dialect, sa.insert(jobs).values(_job_columns()))
        self._insert_paper = Plain(store.dialect, sa.insert(papers))

    def take(self, batch: list[Publish]) -> Outcome:
        """Raises what sqlalchemy raises when the database is away; the batch may then be given again."""
        sorted_ = self._sort(batch)
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
                return self._commit(_Sorted(aside=[(batch[0], None, f"the database does not take it: {_short(e)}")]))
        whole = Outcome()
        for message in batch:  # one of them is bad, or another worker was quicker: each by itself
            _join(whole, self.take([message]))
        return whole

    def _sort(self, batch: list[Publish]) -> _Sorted:
        out = _Sorted()
        for message in batch:
            owner = None
            try:
                box, leaf = _sender(message.topic)
                owner = self._owners.of(box)
                if owner is None:
                    raise BadMessage(message.topic, "this box is not known, or was revoked")
                value = decode(leaf, message.payload, message.topic)
                _check(value, message.topic)
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

    def _commit(self, batch: _Sorted) -> Outcome:
        out = Outcome()
        with self._store.write() as connection:
            came: dict[tuple[str, str, str], list[tuple[int, int]]] = defaultdict(list)
            if batch.parts:
                self._parts(connection, batch, out)
            if batch.jobs:
                self._jobs(connection, batch, came, out)
            for merchant, box, tomb in batch.tombs:
                self._tomb(connection, merchant, box, tomb, came, batch, out)
            if came:
                _count(connection, came)
            for merchant, box, report in batch.reports:
                if isinstance(report, Held):
                    orders.held(connection, merchant, box, report.orders, self._config.orders)
                else:
                    orders.reported(connection, merchant, box, report)
                out.answers[box].ids.append(report.id)
            for merchant, box, result in batch.results:
                _result(connection, merchant, box, result)
                out.answers[box].ids.append(result.id)
            for box, (merchant, status, retained) in batch.statuses.items():
                _status(connection, merchant, box, status, retained)
            out.aside = _set_aside(connection, batch.aside)
            out.others = len(batch.reports) + len(batch.results) + len(batch.statuses) + len(batch.tombs)
        return out

    def _jobs(
        self,
        connection: sa.Connection,
        batch: _Sorted,
        came: dict[tuple[str, str, str], list[tuple[int, int]]],
        out: Outcome,
    ) -> None:
        keys = {(j.merchant, j.box, j.message.epoch, j.message.seq) for j in batch.jobs}
        known = _known(connection, keys)
        foreign = _foreign(connection, {(j.merchant, j.box, j.message.epoch) for j in batch.jobs})
        rows, sheets, at = [], [], now_ms()
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
                out.duplicates += 1
                out.answers[job.box].acks.append(Ack(m.epoch, m.seq, m.sha256, "duplicate"))
            else:
                out.conflicts += 1
                _conflict(connection, job, at)
        self._insert_job.many(connection, rows)
        self._insert_paper.many(connection, sheets)
        out.stored += len(rows)

    def _parts(self, connection: sa.Connection, batch: _Sorted, out: Outcome) -> None:
        """Keep the pieces; where all are there, the job is put together and goes the way of the others."""
        touched: dict[tuple[str, str, str, int, bytes], int] = {}
        known = _known(connection, {(mer, box, p.epoch, p.seq) for mer, box, p, _ in batch.parts})
        at = now_ms()
        for merchant, box, piece, payload in batch.parts:
            if known.get((box, piece.epoch, piece.seq)) == piece.sha256:
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
                _check(message, topic)
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
        came: dict[tuple[str, str, str], list[tuple[int, int]]],
        batch: _Sorted,
        out: Outcome,
    ) -> None:
        if _foreign(connection, {(merchant, box, tomb.epoch)}):
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
            text = f"Box {box} lost receipts {tomb.first}-{tomb.last}: {tomb.reason[:64]}"
            events.raise_alarm(connection, merchant, "lost", box, text)
        else:
            out.duplicates += 1
        out.answers[box].acks.append(Ack(tomb.epoch, tomb.first, b"", "stored" if new else "duplicate"))


def _sender(topic: str) -> tuple[str, str]:
    try:
        box, direction, leaf = topics.parse(topic)
    except ValueError as error:
        raise BadMessage(topic, str(error)) from error
    if direction != "up":
        raise BadMessage(topic, "a box does not speak on this topic")
    return box, leaf


def _check(message: Any, topic: str) -> None:
    """What the types do not say. Raises BadMessage."""
    if isinstance(message, (Captured, Part, Tombstone)):
        if not EPOCH.fullmatch(message.epoch):
            raise BadMessage(topic, "the epoch is not a UUID")
        if isinstance(message, Tombstone):
            if not 1 <= message.first <= message.last < MAX_SEQ or message.last - message.first > MAX_RUN:
                raise BadMessage(topic, f"tombstone {message.first}-{message.last} is no range")
            _printable(topic, message.reason)
            return
        if not 1 <= message.seq < MAX_SEQ:
            raise BadMessage(topic, f"seq {message.seq} is no number of a job")
        if len(message.sha256) != 32:
            raise BadMessage(topic, "sha256 is not 32 bytes")
        if not 1 <= message.parts <= MAX_PARTS:
            raise BadMessage(topic, f"{message.parts} parts, where 1 to {MAX_PARTS} are allowed")
        if isinstance(message, Part):
            if not 1 <= message.part < message.parts:
                raise BadMessage(topic, f"part {message.part} of {message.parts}")
            return
        _printable(topic, message.pos, message.printer, message.delivered, message.started.boot)
        numbers = (message.size, message.started.wall_ms, message.started.mono_ms, message.ended.wall_ms)
        if not all(-MAX_SEQ < n < MAX_SEQ for n in (*numbers, message.continues or 0)):
            raise BadMessage(topic, "a number is out of range")
        if message.was is not None and not (EPOCH.fullmatch(message.was[0]) and 1 <= message.was[1] < MAX_SEQ):
            raise BadMessage(topic, "`was` is no key")
        if message.parts == 1 and message.raw is not None and hashlib.sha256(message.raw).digest() != message.sha256:
            raise BadMessage(topic, "the raw job does not have the hash that it names")
    elif isinstance(message, Report):
        _printable(topic, message.order, message.part, message.reason, message.printer)
        if not (0 <= message.attempt < 1 << 31 and 0 <= message.copy < 1 << 31 and 0 <= message.copy_number < 1 << 31):
            raise BadMessage(topic, "a number is out of range")
    elif isinstance(message, Held):
        _printable(topic, *message.orders)
    elif isinstance(message, Result):
        _printable(topic, message.command, message.text, limit=100_000)
    elif isinstance(message, Status):
        if message.epoch and not EPOCH.fullmatch(message.epoch):
            raise BadMessage(topic, "the epoch is not a UUID")
        if not -1 < message.last_seq < MAX_SEQ or not -1 < (message.first_unacked or 0) < MAX_SEQ:
            raise BadMessage(topic, "a number is out of range")


def _printable(topic: str, *texts: str, limit: int = 2000) -> None:
    for text in texts:
        if "\x00" in text or len(text) > limit:
            raise BadMessage(topic, "a text holds NUL, or is too long")


def _job_columns() -> dict[str, Any]:
    return {name: sa.bindparam(name, type_=jobs.c[name].type) for name in JOB_COLUMNS}


def _job_row(job: _Job, at: int) -> dict[str, Any]:
    m = job.message
    return {
        "merchant_id": job.merchant,
        "id": uuid7(),
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
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    ordered = sorted(keys)
    for start in range(0, len(ordered), 1000):
        some = ordered[start : start + 1000]
        values = ", ".join([f"({mark}, {mark}, {mark}, {mark})"] * len(some))
        sql = (
            f"WITH k (m, b, e, s) AS (VALUES {values}) SELECT j.box, j.epoch, j.seq, j.sha256 FROM k CROSS JOIN jobs j"
            " WHERE j.merchant_id = k.m AND j.box = k.b AND j.epoch = k.e AND j.seq = k.s"
        )
        rows = connection.exec_driver_sql(sql, tuple(value for key in some for value in key))
        out.update({(box, epoch, seq): bytes(sha) for box, epoch, seq, sha in rows})
    return out


def _foreign(connection: sa.Connection, touched: set[tuple[str, str, str]]) -> set[tuple[str, str]]:
    """(box, epoch) that belong to another merchant, for ever."""
    out = set()
    for some in _slices(sorted(touched), 300):
        rows = connection.execute(
            sa.select(epochs.c.box, epochs.c.epoch, epochs.c.merchant_id).where(
                epochs.c.box.in_([t[1] for t in some]), epochs.c.epoch.in_([t[2] for t in some])
            )
        )
        out |= {(r.box, r.epoch) for r in rows if (r.merchant_id, r.box, r.epoch) not in touched}
    return out


def _count(connection: sa.Connection, came: dict[tuple[str, str, str], list[tuple[int, int]]]) -> None:
    """Move `highest` on and keep the holes: one row read and one written for each journal of the batch."""
    at = now_ms()
    highest: dict[tuple[str, str], int] = {}
    for some in _slices(sorted(came), 300):
        rows = connection.execute(
            sa.select(epochs.c.box, epochs.c.epoch, epochs.c.highest)
            .where(epochs.c.box.in_([k[1] for k in some]), epochs.c.epoch.in_([k[2] for k in some]))
            .with_for_update()
        )
        highest |= {(r.box, r.epoch): r.highest for r in rows}
    moved, fresh = [], []
    for (merchant, box, epoch), spans in came.items():
        single = [first for first, last in spans if first == last]
        pieces = sorted([*runs(single), *(span for span in spans if span[0] != span[1])])
        top = highest.get((box, epoch))
        if top is None:
            fresh.append(
                {"box": box, "epoch": epoch, "merchant_id": merchant, "highest": 0, "first_at": at, "last_at": at}
            )
            top = 0
        new_top = top
        if pieces[0][0] == top + 1 and len(pieces) == 1:
            new_top = pieces[0][1]
        else:
            new_top = _rework_holes(connection, (merchant, box, epoch), top, pieces, at)
        moved.append({"b_box": box, "b_epoch": epoch, "b_highest": new_top, "b_at": at})
    if fresh:
        connection.execute(sa.insert(epochs), fresh)
    connection.execute(
        sa.update(epochs)
        .where(epochs.c.box == sa.bindparam("b_box"), epochs.c.epoch == sa.bindparam("b_epoch"))
        .values(highest=sa.bindparam("b_highest"), last_at=sa.bindparam("b_at")),
        moved,
    )


def _rework_holes(
    connection: sa.Connection, journal: tuple[str, str, str], top: int, pieces: list[tuple[int, int]], at: int
) -> int:
    merchant, box, epoch = journal
    mine = (holes.c.merchant_id == merchant, holes.c.box == box, holes.c.epoch == epoch)
    rows = connection.execute(
        sa.select(holes.c.first, holes.c.last, holes.c.since, holes.c.asked_at, holes.c.asked)
        .where(*mine)
        .order_by(holes.c.first)
    ).all()
    before = [(r.first, r.last) for r in rows]
    after = before
    for piece in pieces:
        top, after = fill(top, after, piece)
    gone, made = set(before) - set(after), set(after) - set(before)
    for first, _ in gone:
        connection.execute(sa.delete(holes).where(*mine, holes.c.first == first))
    for first, last in sorted(made):
        old = next(
            (r for r in rows if r.first <= first and last <= r.last), None
        )  # what is left of an old one is as old
        connection.execute(
            sa.insert(holes).values(
                merchant_id=merchant,
                box=box,
                epoch=epoch,
                first=first,
                last=last,
                since=old.since if old else at,
                asked_at=old.asked_at if old else None,
                asked=old.asked if old else 0,
            )
        )
    return top


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


def _status(connection: sa.Connection, merchant: str, box: str, status: Status, retained: bool) -> None:
    at = now_ms()
    old = connection.execute(sa.select(boxes.c.online, boxes.c.status, boxes.c.regress).where(boxes.c.id == box)).one()
    text = events.to_json(status)
    values: dict[str, Any] = {"online": status.online, "status_at": at}
    if status.online or old.status is None:  # a will knows nothing but that the box is gone
        values["status"] = text
    regress = 0
    if status.online and not retained and status.epoch:
        row = connection.execute(
            sa.select(epochs.c.highest).where(epochs.c.box == box, epochs.c.epoch == status.epoch)
        ).first()
        top = row.highest if row else 0
        if status.last_seq < top:
            regress = old.regress + 1
            if regress >= REGRESS:
                what = f"Box {box} counts to {status.last_seq}, where {top} was received: a restored memory card?"
                events.raise_alarm(connection, merchant, "clone", box, what)
                box_table.renew_epoch(connection, merchant, box, status.epoch)
        acked = (status.first_unacked or status.last_seq + 1) - 1
        if acked > top:  # acknowledged once, and not here: this database was restored from a backup
            _missing(connection, merchant, box, status.epoch, top, acked, at)
    values["regress"] = regress
    connection.execute(sa.update(boxes).where(boxes.c.id == box).values(**values))
    if old.online != status.online or _shown(old.status) != _shown(text):
        events.add(connection, merchant, "box.changed", box, {"online": status.online})
    if status.online and old.online is not True:  # it may have missed what we told it
        connection.execute(
            sa.update(outbox)
            .where(outbox.c.merchant_id == merchant, outbox.c.box == box, outbox.c.done_at.is_(None))
            .values(next_at=at)
        )


def _missing(connection: sa.Connection, merchant: str, box: str, epoch: str, top: int, last: int, at: int) -> None:
    if not connection.execute(sa.select(epochs.c.box).where(epochs.c.box == box, epochs.c.epoch == epoch)).first():
        connection.execute(
            sa.insert(epochs).values(box=box, epoch=epoch, merchant_id=merchant, highest=0, first_at=at, last_at=at)
        )
    connection.execute(
        sa.insert(holes).values(merchant_id=merchant, box=box, epoch=epoch, first=top + 1, last=last, since=at, asked=0)
    )
    connection.execute(
        sa.update(epochs).where(epochs.c.box == box, epochs.c.epoch == epoch).values(highest=last, last_at=at)
    )


def _shown(status: str | None) -> Any:
    """The part of a status whose change is news."""
    if not status:
        return None
    value = msgspec.json.decode(status)
    return [value.get("printers"), value.get("alerts"), value.get("version"), value.get("epoch")]


def _result(connection: sa.Connection, merchant: str, box: str, result: Result) -> None:
    done = connection.execute(
        sa.update(outbox)
        .where(
            outbox.c.merchant_id == merchant,
            outbox.c.box == box,
            outbox.c.id == result.command,
            outbox.c.done_at.is_(None),
        )
        .values(done_at=now_ms())
    )
    if done.rowcount:
        data = {"command": result.command, "ok": result.ok, "text": result.text[:2000]}
        events.add(connection, merchant, "command.done", box, data)


def _set_aside(connection: sa.Connection, aside: list[tuple[Publish, str | None, str]]) -> int:
    for message, _, problem in aside:
        log.warning("set aside topic=%s bytes=%d: %s", message.topic[:120], len(message.payload), problem)
    if aside:
        at = now_ms()
        connection.execute(
            sa.insert(set_aside),
            [
                {
                    "at": at,
                    "topic": message.topic[:200].replace("\x00", "?"),
                    "merchant_id": merchant,
                    "problem": problem[:500].replace("\x00", "?"),
                    "payload": message.payload,
                }
                for message, merchant, problem in aside
            ],
        )
        newest = connection.execute(sa.select(sa.func.max(set_aside.c.n))).scalar() or 0
        connection.execute(sa.delete(set_aside).where(set_aside.c.n <= newest - KEEP_ASIDE))
    return len(aside)


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
