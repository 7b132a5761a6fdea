"""Jobs that do not fit into one message: their pieces are kept until all are there, and put together."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa

from cloud import jobs as job_table
from cloud.checks import check
from cloud.jobs import Job
from cloud.store.schema import parts
from wire import topics
from wire.messages import BadMessage, Captured, Part, decode, now_ms

KEY = ("merchant_id", "box", "epoch", "seq", "sha256")


class Piece(NamedTuple):
    merchant: str
    box: str
    message: Part | Captured
    payload: bytes  # of the first, which holds all but the other pieces


class Whole(NamedTuple):
    """What came of some pieces."""

    jobs: list[Job]
    duplicates: list[Piece]  # of jobs that are stored
    bad: list[tuple[str, str, bytes, str]]  # merchant, box, the first message, what was wrong with all of them together


def take(connection: sa.Connection, pieces: list[Piece]) -> Whole:
    """Keep the pieces; where all of a job are there, it is taken out whole."""
    out = Whole([], [], [])
    touched: dict[tuple[str, str, str, int, bytes], int] = {}
    keys = {(piece.merchant, piece.box, piece.message.epoch, piece.message.seq) for piece in pieces}
    known, at = job_table.known(connection, keys), now_ms()
    for piece in pieces:
        merchant, box, m, payload = piece
        if known.get((box, m.epoch, m.seq)) == m.sha256 and not job_table.bare(connection, merchant, box, m):
            out.duplicates.append(piece)
            continue
        number, data = (m.part, m.raw) if isinstance(m, Part) else (0, payload)
        key = (merchant, box, m.epoch, m.seq, m.sha256)
        if connection.execute(sa.select(parts.c.part).where(*_is(key), parts.c.part == number)).first() is None:
            row = dict(zip(KEY, key, strict=True))
            connection.execute(
                sa.insert(parts).values(row | {"part": number, "parts": m.parts, "data": data, "received_at": at})
            )
        touched[key] = m.parts
    for key, count in touched.items():
        rows = connection.execute(sa.select(parts.c.part, parts.c.data).where(*_is(key)).order_by(parts.c.part)).all()
        if [row.part for row in rows] != list(range(count)):
            continue
        connection.execute(sa.delete(parts).where(*_is(key)))
        merchant, box, first = key[0], key[1], bytes(rows[0].data)
        topic = topics.up(box, "receipts")
        try:
            message = decode("receipts", first, topic)
            message.raw = b"".join([message.raw or b"", *(row.data for row in rows[1:])])
            message.parts = 1
            check(message, topic)
        except BadMessage as error:
            out.bad.append((merchant, box, first, error.problem))
            continue
        out.jobs.append(Job(merchant, box, message, first))
    return out


def _is(key: tuple[str, str, str, int, bytes]) -> list[sa.ColumnElement[bool]]:
    return [parts.c[name] == value for name, value in zip(KEY, key, strict=True)]
