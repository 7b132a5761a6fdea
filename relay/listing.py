"""What the agent is given of capture.db: the jobs that are due, or that it names, each checked against its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from relay.store import SEQ_BITS, Key, Store

Found = tuple[dict[str, Any], bytes]  # a header, and the job's bytes


def due(store: Store, after: Key | None, limit: int, most: int) -> tuple[list[Found], bool]:
    """Jobs and tombstones that are not acked, in capture order after `after` -> (header, bytes)…, more?

    At most `limit`, and no more after `most` bytes. A job whose bytes do not match its hash becomes a tombstone.
    """
    start = (store.id(after) or 0) if after else 0
    stop = min(store.unsettled, default=1 << 62)
    ids = [row[0] for row in store.db.execute(
        "SELECT id FROM jobs WHERE id > ? AND id < ? AND acked_ran IS NULL AND reason IS NULL ORDER BY id LIMIT ?",
        (start, stop, limit + 1))]  # fmt: skip
    out: list[tuple[int, dict[str, Any], bytes]] = []
    total, looked = 0, 0
    for id_ in ids[:limit]:
        if total >= most:
            break
        looked += 1
        found = _job(store, id_)
        if found is not None:
            out.append((id_, *found))
            total += len(found[1])
    more = looked < len(ids)
    last = ids[looked - 1] if more else stop
    for tomb, n, first, end, reason in store.db.execute(
        "SELECT id, epoch, first, last, reason FROM tombs WHERE epoch > 0 AND acked_ran IS NULL"
    ).fetchall():
        id_ = n << SEQ_BITS | first
        if start < id_ <= last:
            store.fresh_tombs.discard(tomb)
            out.append((id_, {"tomb": {"epoch": store.epochs[n], "first": first, "last": end, "reason": reason}}, b""))
    out.sort(key=lambda row: row[0])
    return [(header, raw) for _, header, raw in out], more


def some(store: Store, keys: Iterable[Key]) -> list[Found]:
    """These jobs, acked or not, as far as their bytes are still here.

    A seq that was given away and that nothing here knows of becomes a tombstone: its job, and the tombstone that
    was owed for it, were lost with a disk that took nothing.
    """
    out = []
    for key in keys:
        id_ = store.id(key)
        if id_ is None or id_ in store.unsettled:
            continue
        found = _job(store, id_)
        if found is not None:
            out.append(found)
        elif not store.salvaging and _is_lost(store, id_):
            store.tombstone(id_, "corrupt")
    return out


def _is_lost(store: Store, id_: int) -> bool:
    n, seq = id_ >> SEQ_BITS, id_ & (1 << SEQ_BITS) - 1
    last = store.seq if n == store.n else store.ends()[store.epochs[n]]
    if not 1 <= seq <= last or store.is_buried(n, seq):
        return False
    if store.db.execute("SELECT 1 FROM jobs WHERE id = ?", (id_,)).fetchone():
        return False
    return n == store.n or store.db.execute("SELECT 1 FROM jobs WHERE was = ?", (id_,)).fetchone() is None


def _job(store: Store, id_: int) -> Found | None:
    row = store.db.execute(
        "SELECT capture, pos, printer, boundary, continues, delivered, size, sha256, replaced, boot,"
        " started_mono_ms, started_wall_ms, ended_mono_ms, ended_wall_ms, trust, was FROM jobs"
        " WHERE id = ? AND reason IS NULL",
        (id_,),
    ).fetchone()
    if row is None:
        return None
    (capture, pos, printer, boundary, continues, delivered, size, sha256, replaced, boot,
     started_mono, started_wall, ended_mono, ended_wall, trusted, was) = row  # fmt: skip
    raw = store.raw(capture)
    if hashlib.sha256(raw).digest() != sha256:
        _quarantine(store, id_, size)
        return None
    header = {
        "key": store.key(id_), "sha256": sha256.hex(), "size": size, "replaced": bool(replaced),
        "boundary": boundary, "continues": continues, "pos": pos, "printer": printer, "delivered": delivered,
        "started": {"boot": boot, "mono_ms": started_mono, "wall_ms": started_wall, "trust": trusted},
        "ended": {"boot": boot, "mono_ms": ended_mono, "wall_ms": ended_wall, "trust": trusted},
        "was": store.key(was) if was else None,
    }  # fmt: skip
    return {"job": header}, raw


def _quarantine(store: Store, id_: int, size: int) -> None:
    """Its bytes are not those that were captured: the disk changed them. They stay for a look; the seq is lost."""
    store.db.execute("UPDATE jobs SET reason = 'corrupt' WHERE id = ?", (id_,))
    store.kept -= size
    store.tombstone(id_, "corrupt")
