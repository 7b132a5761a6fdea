"""The audit log: who did what. Each entry's hash covers the one before, so that a change in the past shows."""

from __future__ import annotations

import hashlib

import msgspec
import sqlalchemy as sa

from cloud.store.schema import audit
from wire.messages import now_ms

AUDIT_LOCK = 7411735


def add(connection: sa.Connection, merchant: str | None, who: str, what: str, about: str, detail: str = "") -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": AUDIT_LOCK})
    last = connection.execute(sa.select(audit.c.hash).order_by(audit.c.n.desc()).limit(1)).scalar() or b""
    at = now_ms()
    values = {"merchant_id": merchant, "at": at, "who": who, "what": what, "object": about, "detail": detail}
    connection.execute(
        sa.insert(audit).values(**values, hash=_hash(bytes(last), merchant, at, who, what, about, detail))
    )


def first_broken(connection: sa.Connection) -> int | None:
    """The number of the first entry whose hash is not what it must be; None: all are right."""
    last = b""
    for row in connection.execute(sa.select(audit).order_by(audit.c.n)):
        last = _hash(last, row.merchant_id, row.at, row.who, row.what, row.object, row.detail)
        if last != bytes(row.hash):
            return int(row.n)
    return None


def _hash(before: bytes, *values: str | int | None) -> bytes:
    return hashlib.sha256(before + msgspec.msgpack.encode(values)).digest()
