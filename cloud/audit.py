"""The audit log: who did what. Each entry's hash covers the one before, so that a change in the past shows.

Who may write the database could make the whole chain anew. So each day its last number and hash are anchored outside:
a line in a file (`[keep] audit_anchors`) and one in the service's log. A chain that was made anew, or cut off at its
end, does not have the hashes that were anchored.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import sqlalchemy as sa

from cloud.store.schema import audit
from wire.messages import now_ms

AUDIT_LOCK = 7411735
RESTORED = "restored"  # behind an anchor: from here on the database is a backup of before


@dataclass(frozen=True, slots=True)
class Anchor:
    at: str  # UTC, ISO 8601
    n: int
    hash: bytes
    why: str = ""

    def line(self) -> str:
        return f"{self.at} {self.n} {self.hash.hex()} {self.why}".rstrip() + "\n"


def add(connection: sa.Connection, merchant: str | None, who: str, what: str, about: str, detail: str = "") -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": AUDIT_LOCK})
    last = connection.execute(sa.select(audit.c.hash).order_by(audit.c.n.desc()).limit(1)).scalar() or b""
    at = now_ms()
    values = {"merchant_id": merchant, "at": at, "who": who, "what": what, "object": about, "detail": detail}
    connection.execute(
        sa.insert(audit).values(**values, hash=_hash(bytes(last), merchant, at, who, what, about, detail))
    )


def first_broken(connection: sa.Connection, after: Anchor | None = None) -> int | None:
    """The number of the first entry (behind `after`) whose hash is not what it must be; None: all are right."""
    last, query = b"", sa.select(audit).order_by(audit.c.n).execution_options(yield_per=1000)
    if after is not None:
        last, query = after.hash, query.where(audit.c.n > after.n)
    for row in connection.execute(query):
        last = _hash(last, row.merchant_id, row.at, row.who, row.what, row.object, row.detail)
        if last != bytes(row.hash):
            return int(row.n)
    return None


def first_unanchored(connection: sa.Connection, anchors: Iterable[Anchor]) -> Anchor | None:
    """The first anchor whose entry is gone, or is another one than was anchored; None: all hold."""
    for anchor in anchors:
        found = connection.execute(sa.select(audit.c.hash).where(audit.c.n == anchor.n)).scalar()
        if found is None or bytes(found) != anchor.hash:
            return anchor
    return None


def end_of(connection: sa.Connection, why: str = "") -> Anchor | None:
    """The log's end as it is now; None: nothing was ever logged."""
    row = connection.execute(sa.select(audit.c.n, audit.c.hash).order_by(audit.c.n.desc()).limit(1)).first()
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return Anchor(at, row.n, bytes(row.hash), why) if row else None


def anchors_of(path: Path) -> list[Anchor]:
    """What a file holds, if there is one; what a restored backup took back is left out. Raises ValueError, OSError."""
    found: list[Anchor] = []
    for number, line in enumerate(path.read_text().splitlines() if path.exists() else (), 1):
        words = line.split()
        try:
            at, n, digest = words[:3]
            anchor = Anchor(at, int(n), bytes.fromhex(digest), " ".join(words[3:]))
        except ValueError:
            raise ValueError(f"{path}, line {number}: not an anchor (time, number, hash)") from None
        if anchor.why == RESTORED:
            found = [one for one in found if one.n < anchor.n]
        found.append(anchor)
    return found


def write_anchor(path: Path, anchor: Anchor) -> None:
    """On disk when this returns. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, anchor.line().encode())
        os.fsync(file)
    finally:
        os.close(file)


def problem(connection: sa.Connection, anchors: list[Anchor], since: Anchor | None = None) -> str:
    """What is wrong with the log, for people; "": it is whole. `since`: look only behind this anchor."""
    gone = first_unanchored(connection, anchors)
    if gone is not None:
        return f"entry {gone.n} is not the one that was anchored at {gone.at}: the log was made anew, or cut off"
    broken = first_broken(connection, since)
    if broken is not None:
        return f"the audit log was changed: entry {broken}, or one before it, is not what was written"
    return ""


def _hash(before: bytes, *values: str | int | None) -> bytes:
    return hashlib.sha256(before + msgspec.msgpack.encode(values)).digest()
