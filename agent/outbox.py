"""The outbox: rows of agent.db that must reach the cloud. SQL and the values it gives; no network.

A row is deleted when the cloud has acknowledged it by id or by key and hash (and the relay has been told), never
because a broker took it. Each function takes the connection, and is called through `Store.run`.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import msgspec

from agent import journals
from wire import messages

_encode = msgspec.msgpack.Encoder().encode
_captured = msgspec.msgpack.Decoder(messages.Captured).decode


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that is due. `epoch` and `seq` are set for jobs and tombstones."""

    id: int
    leaf: str
    kind: str  # job | tomb | message
    message_id: str
    epoch: str
    seq: int
    size: int
    withheld: bool
    body: bytes

    @property
    def payload(self) -> bytes:
        """What to publish, for everything but a job that carries bytes."""
        return messages.pack(self.body)

    def captured(self) -> messages.Captured:
        return _captured(self.body)


COLUMNS = "id, leaf, kind, message_id, coalesce(epoch, ''), coalesce(seq, 0), size, withheld, body"


def _row(values: tuple[object, ...]) -> Row:
    return Row(*values)  # type: ignore[arg-type]


def put_job(connection: sqlite3.Connection, job: messages.Captured, withheld: bool) -> Row | None:
    """The new row; None when the job was here already. It takes the place of a row under the key that it had before."""
    assert job.raw is None
    journals.taken(connection, job.epoch, job.seq, job.seq)
    if job.was is not None:
        journals.taken(connection, job.was[0], job.was[1], job.was[1])
        connection.execute("DELETE FROM outbox WHERE epoch = ? AND seq = ? AND kind = 'job'", job.was)
    return _put(
        connection,
        ("receipts", "job", job.id, job.epoch, job.seq, job.sha256, job.size, int(withheld), _encode(job)),
    )


def put_tomb(connection: sqlite3.Connection, tomb: messages.Tombstone) -> Row | None:
    """As put_job. It takes the place of a shorter one, and of jobs that stood in its range: they will never come."""
    length = tomb.last - tomb.first + 1
    journals.taken(connection, tomb.epoch, tomb.first, tomb.last)
    connection.execute(
        "DELETE FROM outbox WHERE epoch = ? AND seq BETWEEN ? AND ? AND (kind = 'job' OR kind = 'tomb' AND size < ?)",
        (tomb.epoch, tomb.first, tomb.last, length),
    )
    return _put(
        connection,
        ("receipts", "tomb", tomb.id, tomb.epoch, tomb.first, None, length, 0, _encode(tomb)),
    )


def put_message(connection: sqlite3.Connection, leaf: str, message: messages.Message) -> Row:
    row = _put(connection, (leaf, "message", message.id, None, None, None, 0, 0, _encode(message)))
    assert row is not None, "message ids are unique"
    return row


def _put(connection: sqlite3.Connection, values: tuple[object, ...]) -> Row | None:
    made = connection.execute(
        "INSERT INTO outbox (leaf, kind, message_id, epoch, seq, sha256, size, withheld, body)"
        f" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING {COLUMNS}",
        values,
    ).fetchone()
    return _row(made) if made else None


def after(connection: sqlite3.Connection, row_id: int, limit: int) -> list[Row]:
    """The next rows in order, oldest first."""
    found = connection.execute(f"SELECT {COLUMNS} FROM outbox WHERE id > ? ORDER BY id LIMIT ?", (row_id, limit))
    return [_row(values) for values in found]


def by_ids(connection: sqlite3.Connection, ids: list[int]) -> list[Row]:
    marks = ",".join("?" * len(ids))
    return [_row(values) for values in connection.execute(f"SELECT {COLUMNS} FROM outbox WHERE id IN ({marks})", ids)]


def find_key(connection: sqlite3.Connection, epoch: str, seq: int) -> tuple[int, str, bytes] | None:
    """-> (row id, kind, sha256; b"" for a tombstone) of a key, None where it is not here."""
    row = connection.execute(
        "SELECT id, kind, coalesce(sha256, x'') FROM outbox WHERE epoch = ? AND seq = ? AND kind != 'message'",
        (epoch, seq),
    ).fetchone()
    return (row[0], row[1], row[2]) if row else None


def ids_between(connection: sqlite3.Connection, epoch: str, first: int, last: int) -> dict[int, int]:
    """Row ids of the jobs first..last of an epoch, by seq."""
    return dict(
        connection.execute(
            "SELECT seq, id FROM outbox WHERE epoch = ? AND seq BETWEEN ? AND ? AND kind != 'message'",
            (epoch, first, last),
        ).fetchall()
    )


def newest(connection: sqlite3.Connection) -> int:
    """The highest row id, 0 where there is none."""
    return int(connection.execute("SELECT coalesce(max(id), 0) FROM outbox").fetchone()[0])


def jobs_up_to(connection: sqlite3.Connection, row_id: int) -> list[tuple[int, tuple[str, int]]]:
    """-> (row id, key) of the jobs that stand there since that row or longer and whose bytes are to be sent."""
    found = connection.execute(
        "SELECT id, epoch, seq FROM outbox WHERE kind = 'job' AND NOT withheld AND id <= ? ORDER BY id", (row_id,)
    )
    return [(row[0], (row[1], row[2])) for row in found]


def withhold(connection: sqlite3.Connection, ids: list[int]) -> None:
    connection.executemany("UPDATE outbox SET withheld = 1 WHERE id = ?", [(i,) for i in ids])


def delete(connection: sqlite3.Connection, ids: list[int]) -> None:
    connection.executemany("DELETE FROM outbox WHERE id = ?", [(i,) for i in ids])


def has(connection: sqlite3.Connection, row_id: int) -> bool:
    """Is this row still to be acknowledged?"""
    return connection.execute("SELECT 1 FROM outbox WHERE id = ?", (row_id,)).fetchone() is not None


def delete_messages(connection: sqlite3.Connection, message_ids: list[str]) -> list[int]:
    """Acknowledged by id. -> the row ids that went; unknown ones (a second ack) do no harm."""
    gone = []
    for message_id in message_ids:
        row = connection.execute(
            "DELETE FROM outbox WHERE message_id = ? AND kind = 'message' RETURNING id", (message_id,)
        ).fetchone()
        if row:
            gone.append(row[0])
    return gone


@dataclass(frozen=True, slots=True)
class Backlog:
    """What the outbox holds: how many jobs and tombstones, the first un-acked seq of the epoch, how many messages."""

    jobs: int
    first_seq: int | None
    messages: int


def backlog(connection: sqlite3.Connection, epoch: str) -> Backlog:
    jobs = connection.execute("SELECT count(*) FROM outbox WHERE kind != 'message'").fetchone()[0]
    first = connection.execute("SELECT min(seq) FROM outbox WHERE epoch = ? AND kind != 'message'", (epoch,)).fetchone()
    count = connection.execute("SELECT count(*) FROM outbox WHERE kind = 'message'").fetchone()[0]
    return Backlog(jobs, first[0], count)
