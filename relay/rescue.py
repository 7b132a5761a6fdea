"""Rows of a damaged journal come home: read by a child process (relay/salvage.py), put into the new one bit by bit.

Printing and capturing go on meanwhile, into the new journal's own epoch. Jobs keep their keys; what was promised and is
not there any more becomes `corrupt`. Done again from its beginning where the relay dies in between: a job that is there
already is passed over. A file that was read to its end is remembered, and read no more.
"""

from __future__ import annotations

import hashlib
import json
import logging
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from relay.clock import mono_ms, wall_ms
from relay.recording import PIECE
from relay.salvage import JOB, SEQ_BITS, SLIP
from relay.store import PER_CAPTURE, Store

if TYPE_CHECKING:
    import subprocess

    from relay.journal import Journal

BATCH_ROWS, BATCH_BYTES = 50, 256 * 1024  # brought home in one transaction: a cut never waits long behind it
WAIT_S = 60.0
KEEP = 2  # damaged files that stay for a person to look at
THREAD = "salvage"
Row = tuple[dict[str, Any], bytes]
log = logging.getLogger("relay.journal")


def damaged(folder: Path) -> list[Path]:
    """Journals that were set aside, oldest first."""
    found = (path for path in folder.glob("capture.db.bad-*") if not path.name.endswith(("-wal", "-shm")))
    return sorted(found, key=lambda path: path.stat().st_mtime)


def begin(journal: Journal, store: Store) -> None:
    """In the journal's thread, with a fresh store: bring home what was set aside and not read yet."""
    todo = [path for path in damaged(journal.folder) if store.meta(f"salvaged:{path.name}", None) is None]
    store.salvaging = bool(todo)
    if todo and not any(thread.name == THREAD for thread in threading.enumerate()):
        threading.Thread(target=_all, args=(journal, todo), name=THREAD, daemon=True).start()


def _all(journal: Journal, todo: list[Path]) -> None:
    for path in todo:
        try:
            with _reader(path) as child:
                assert child.stdout is not None
                _one(journal, path, _rows(child.stdout))
        except (OSError, ValueError, KeyError) as error:
            log.error("salvage=%s failed: %s; tried again at the next start", path.name, error)
    for path in damaged(journal.folder)[:-KEEP]:
        for part in path.parent.glob(path.name + "*"):
            part.unlink(missing_ok=True)
    _here(journal, _over)
    journal.salvaged()


def _reader(path: Path) -> subprocess.Popen[bytes]:
    command = ["nice", "-n", "10", sys.executable, "-m", "relay.salvage", str(path)]
    import subprocess  # rarely needed, and 350 KB

    return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, cwd="/")


def _rows(stream: IO[bytes]) -> Iterator[Row]:
    while line := stream.readline():
        header = json.loads(line)
        raw = stream.read(header.pop("bytes"))
        yield header, raw


def _one(journal: Journal, path: Path, rows: Iterator[Row]) -> None:
    began = mono_ms()
    home = Home(path.name, next(rows)[0])
    _here(journal, home.prepare)
    batch: list[Row] = []
    size = 0
    for header, raw in rows:
        if "end" in header:
            _here(journal, lambda store, batch=batch: home.take(store, batch))  # type: ignore[misc]
            buried = _here(journal, home.close)
            log.warning(
                "salvage=%s jobs=%d damaged=%d tombstones_for=%d took_ms=%d",
                path.name, header["end"], header["lost"], buried, mono_ms() - began,
            )  # fmt: skip
            return
        batch.append((header, raw))
        size += len(raw)
        if len(batch) >= BATCH_ROWS or size >= BATCH_BYTES:
            _here(journal, lambda store, batch=batch: home.take(store, batch))  # type: ignore[misc]
            batch, size = [], 0
    raise OSError("the reader ended early")


def _here(journal: Journal, work: Callable[[Store], Any]) -> Any:
    """Done in the journal's thread, behind what waits to be committed. Raises OSError where the disk refuses."""
    answer: queue.SimpleQueue[tuple[Any, Exception | None]] = queue.SimpleQueue()
    journal.read(work, lambda value: answer.put((value, None)), lambda error: answer.put((None, error)))
    try:
        value, error = answer.get(timeout=WAIT_S)
    except queue.Empty:
        raise OSError("the journal did not take it in time") from None
    if error is not None:
        raise OSError(str(error)) from error
    return value


def _over(store: Store) -> None:
    store.salvaging = False


class Home:
    """Where the rows of one damaged file go: its epochs get numbers below the present one, its jobs new captures."""

    def __init__(self, name: str, told: dict[str, Any]) -> None:
        self.name = name
        self.epochs = {int(n): str(epoch) for n, epoch in told["epochs"].items()}
        self.last = {int(n): int(seq) for n, seq in told["last"].items()}
        self.meta = told["meta"]
        self.numbers: dict[int, int] = {}

    def prepare(self, store: Store) -> None:
        known = {epoch: n for n, epoch in store.epochs.items()}
        room = min(store.epochs)
        for n in sorted(self.epochs, reverse=True):
            epoch = self.epochs[n]
            if epoch not in known:
                room -= 1
                store.db.execute("INSERT INTO epochs (n, epoch) VALUES (?, ?)", (room, epoch))
                store.epochs[room] = epoch
                known[epoch] = room
            self.numbers[n] = known[epoch]
        for name, value in (("pid", 0), ("fate", 0)):
            before = self.meta.get(name)
            if isinstance(before, int) and before > int(store.meta(name, value)):
                store.set_meta(name, before)
                store.fates.last = max(store.fates.last, before if name == "fate" else 0)

    def _id(self, id_: int) -> int | None:
        n = self.numbers.get(id_ >> SEQ_BITS)
        return None if n is None else n << SEQ_BITS | id_ & (1 << SEQ_BITS) - 1

    def take(self, store: Store, batch: list[Row]) -> None:
        for header, raw in batch:
            if "job" in header:
                self._job(store, header["job"], raw)
            elif "open" in header:
                self._open(store, header["open"], raw)
            elif "tomb" in header:
                self._tomb(store, header["tomb"])
            elif "slip" in header:
                self._slip(store, header["slip"])

    def _job(self, store: Store, job: dict[str, Any], raw: bytes) -> None:
        id_ = self._id(job["id"])
        if id_ is None:  # nobody knows what its epoch was called: as a job of the present one, unless the cloud has it
            if job["acked_ran"] is not None or job["reason"] is not None or self._has(store, job["sha256"]):
                return
            store.seq += 1
            id_ = store.n << SEQ_BITS | store.seq
        elif store.db.execute("SELECT 1 FROM jobs WHERE id = ?", (id_,)).fetchone():
            return
        capture = self._keep(store, raw) if raw else 0
        was = self._id(job["was"]) if isinstance(job["was"], int) else None
        values = job | {
            "capture": capture, "was": was, "acked_ran": None if job["acked_ran"] is None else store.ran,
            "sha256": bytes.fromhex(job["sha256"]), "sha256_raw": bytes.fromhex(job["sha256_raw"] or "") or None,
        }  # fmt: skip
        store.db.execute(
            f"INSERT INTO jobs (id, {', '.join(JOB)}) VALUES (?{', ?' * len(JOB)})",
            (id_, *(values[name] for name in JOB)),
        )
        if job["reason"] is None:
            store.kept += job["size"]

    def _has(self, store: Store, sha256: str) -> bool:
        found = store.db.execute("SELECT 1 FROM jobs WHERE sha256 = ?", (bytes.fromhex(sha256),)).fetchone()
        return found is not None

    def _keep(self, store: Store, raw: bytes) -> int:
        capture: int = store.last_capture + 1
        store.last_capture = capture
        first = capture * PER_CAPTURE
        store.db.executemany(
            "INSERT INTO pieces (id, raw) VALUES (?, ?)",
            [(first + n, raw[at : at + PIECE]) for n, at in enumerate(range(0, len(raw), PIECE))],
        )
        return capture

    def _open(self, store: Store, row: dict[str, Any], raw: bytes) -> None:
        """It was going on when the file was given up: cut short, and a job of the present epoch."""
        digest = hashlib.sha256(raw).digest()
        if self._has(store, digest.hex()):
            return
        store.seq += 1
        store._insert_job(
            store.n << SEQ_BITS | store.seq, self._keep(store, raw), row["pos"], row["printer"], "partial", None,
            "part", len(raw), digest, row["boot"], (row["started_mono_ms"], row["started_wall_ms"]), row["trust"],
        )  # fmt: skip

    def _tomb(self, store: Store, tomb: dict[str, Any]) -> None:
        n = self.numbers.get(tomb["n"])
        if (
            n is None
            or store.db.execute(
                "SELECT 1 FROM tombs WHERE epoch = ? AND first = ? AND last = ?", (n, tomb["first"], tomb["last"])
            ).fetchone()
        ):
            return
        store.db.execute(
            "INSERT INTO tombs (epoch, first, last, reason, acked_ran) VALUES (?, ?, ?, ?, ?)",
            (n, tomb["first"], tomb["last"], tomb["reason"], tomb["acked_ran"]),
        )

    def _slip(self, store: Store, slip: dict[str, Any]) -> None:
        """What became of slips must stay known. One that waited is failed: its bytes have no hash to trust them by."""
        waited = slip["state"] == "queued"
        values = slip | {"fate": store.fates.last + 1, "raw": None}
        if waited:
            values |= {"state": "failed", "reason": "the journal was damaged; not a byte was printed"}
        elif slip["state"] == "started":
            values |= {"state": "done", "proof": "", "reason": "the journal was damaged while it was printed"}
        done = store.db.execute(
            f"INSERT OR IGNORE INTO slips ({', '.join(SLIP)}) VALUES (?{', ?' * (len(SLIP) - 1)})",
            tuple(values[name] for name in SLIP),
        )
        store.fates.last += done.rowcount

    def close(self, store: Store) -> int:
        """What the file spoke of and is not here becomes `corrupt`. -> how many seqs"""
        buried = 0
        for n, last in self.last.items():
            number = self.numbers.get(n)
            if number is None:
                continue
            for first, end in _holes(store, number, last):
                store.db.execute(
                    "INSERT INTO tombs (epoch, first, last, reason) VALUES (?, ?, ?, 'corrupt')", (number, first, end)
                )
                buried += end - first + 1
        store.set_meta("fate", store.fates.last)
        store.set_meta(f"salvaged:{self.name}", wall_ms())
        return buried


def _holes(store: Store, n: int, last: int) -> Iterator[tuple[int, int]]:
    """Runs of seqs of epoch n, up to `last`, that are neither jobs nor moved to another epoch nor buried."""
    low, high = n << SEQ_BITS, (n + 1) << SEQ_BITS
    runs = store.db.execute(
        "SELECT id - ?1, id - ?1 FROM jobs WHERE id > ?1 AND id < ?2"
        " UNION SELECT was - ?1, was - ?1 FROM jobs WHERE was > ?1 AND was < ?2"
        " UNION SELECT first, last FROM tombs WHERE epoch = ?3 ORDER BY 1",
        (low, high, n),
    ).fetchall()
    at = 1
    for first, end in [*runs, (last + 1, last + 1)]:
        if at < first and at <= last:
            yield at, min(first - 1, last)
        at = max(at, end + 1)
