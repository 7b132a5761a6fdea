"""The table of jobs, and the papers beside it: which are there, new ones, and two that claim one number.

A key (box, epoch, seq) above what its journal has reached cannot be there: only the others are looked for.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from cloud import boxes as box_table
from cloud import events
from cloud.ids import ordered
from cloud.store.rows import insert_tuples
from cloud.store.schema import conflicts, jobs, papers
from wire.messages import Captured, Part, Tombstone, now_ms

log = logging.getLogger("cloud.batch")
Key = tuple[str, str, int]  # box, epoch, seq
COLUMNS = (
    "merchant_id", "id", "box", "epoch", "seq", "sha256", "size", "boundary", "continues", "delivered", "pos",
    "printer", "started_ms", "ended_ms", "trust", "boot", "mono_ms", "was", "received_at", "state",
)  # fmt: skip
PAPER = ("merchant_id", "job_id", "raw", "reading")


@dataclass(slots=True)
class Job:
    """One that came."""

    merchant: str
    box: str
    message: Captured
    payload: bytes


def add(connection: sa.Connection, new: Sequence[Job]) -> None:
    """Raises IntegrityError where one is there already."""
    at, rows, sheets = now_ms(), [], []
    for job in new:
        m, id_ = job.message, ordered()
        start = m.started
        was = f"{m.was[0]}/{m.was[1]}" if m.was else None
        rows.append(
            (job.merchant, id_, job.box, m.epoch, m.seq, m.sha256, m.size, m.boundary.value, m.continues,
             m.delivered[:8], m.pos[:64], m.printer[:64], start.wall_ms, m.ended.wall_ms, start.trust.value,
             start.boot[:64], start.mono_ms, was, at, "stored")
        )  # fmt: skip
        sheets.append((job.merchant, id_, m.raw, bytes(m.reading) or None))
    insert_tuples(connection, jobs, COLUMNS, rows)
    insert_tuples(connection, papers, PAPER, sheets)


def known(connection: sa.Connection, keys: set[tuple[str, str, str, int]]) -> dict[Key, bytes]:
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


def bare(connection: sa.Connection, merchant: str, box: str, of: Captured | Part) -> str | None:
    """The id of a stored job whose bytes are not here; None where they are."""
    query = (
        sa.select(jobs.c.id)
        .join(papers, sa.and_(papers.c.merchant_id == jobs.c.merchant_id, papers.c.job_id == jobs.c.id))
        .where(jobs.c.merchant_id == merchant, jobs.c.box == box, jobs.c.epoch == of.epoch, jobs.c.seq == of.seq)
        .where(jobs.c.sha256 == of.sha256, papers.c.raw.is_(None))
    )
    return connection.execute(query).scalar()


def fill_in(connection: sa.Connection, job: Job) -> None:
    """A job that came without its bytes comes again with them: what is acknowledged now is stored, and read."""
    id_ = bare(connection, job.merchant, job.box, job.message)
    if id_ is not None:
        where = papers.c.merchant_id == job.merchant, papers.c.job_id == id_
        connection.execute(sa.update(papers).where(*where).values(raw=job.message.raw))
        connection.execute(
            sa.update(jobs).where(jobs.c.merchant_id == job.merchant, jobs.c.id == id_).values(state="stored", tries=0)
        )


def conflict(connection: sa.Connection, job: Job, at: int) -> None:
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


def stored_in(connection: sa.Connection, merchant: str, box: str, tomb: Tombstone) -> int:
    """How many jobs of a tombstone's range are stored."""
    mine = (jobs.c.merchant_id == merchant, jobs.c.box == box, jobs.c.epoch == tomb.epoch)
    query = sa.select(sa.func.count()).select_from(jobs).where(*mine, jobs.c.seq.between(tomb.first, tomb.last))
    return int(connection.execute(query).scalar_one())


def _slices(values: list[Any], size: int) -> Iterable[list[Any]]:
    return (values[start : start + size] for start in range(0, len(values), size))
