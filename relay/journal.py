"""The journal thread: commits what the loop hands over, several jobs in one transaction, and tells the loop when done.

The loop never waits for it. A full or dying disk costs captures, not paper: what cannot be kept becomes a tombstone,
written into rows and disk space set aside beforehand, and printing goes on.

    journal.do(work, done, failed)   work(store) runs here inside a transaction; then done(result), or
                                     failed(error), runs in the loop. Writers go first, then one reader at a time.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from relay import priority, rescue, schema
from relay.loop import Loop
from relay.recording import Recording
from relay.space import Space
from relay.store import Full, Key, Ruined, Store

R = TypeVar("R")
CHECKPOINT_AFTER = 2 * 1024 * 1024  # bytes written to the WAL since the last one, when nothing waits
CHECKPOINT_AT_ONCE = 16 * 1024 * 1024
TRY_AGAIN_S = 2.0  # when the disk was full
CALM_S = 1.0  # nothing came for so long: the next cut is not likely to come during a checkpoint
RIDE_S = 0.002  # what need not be on disk at once waits so long for something that must: one commit for both
STUCK_MOST = 8 * 1024 * 1024  # bytes that may wait for a slow disk
log = logging.getLogger("relay.journal")


class AlreadyRunning(Exception):
    """Another relay has this journal open."""


class _Op:
    """`final`: the recording ends with it; when it fails, a tombstone takes its place. `soft`: it need not be on disk
    at once, because what is will follow. `pours`: that will be within milliseconds."""

    __slots__ = ("done", "failed", "final", "pours", "recording", "soft", "work")

    def __init__(
        self,
        work: Callable[[Store], Any],
        done: Callable[[Any], None] | None,
        failed: Callable[[Exception], None] | None,
        recording: Recording | None = None,
        final: bool = False,
        soft: bool = False,
        pours: bool = False,
    ) -> None:
        self.work, self.done, self.failed, self.recording, self.final = work, done, failed, recording, final
        self.soft, self.pours = soft, pours


class Journal:
    """`counters` and `healthy` may be read from the loop at any time."""

    def __init__(self, folder: Path, loop: Loop, *, keep_days: float, quota: int) -> None:
        self.folder, self.path, self.loop = folder, folder / "capture.db", loop
        self.keep_ms, self.quota = keep_days * 86_400_000, quota
        self.on_salvaged: Callable[[], None] = lambda: None  # in the loop: rows of a damaged file have come home
        self.healthy = True  # the last commit went well: a cut is worth waiting
        self.stuck = 0  # bytes of ended jobs that were handed over and are not committed
        self.counters = {"commits": 0, "jobs_lost": 0, "journal_errors": 0, "journal_set_aside": 0}
        self._queue: queue.SimpleQueue[_Op | None] = queue.SimpleQueue()
        self._reads: deque[_Op] = deque()
        self._store: Store | None = None
        self._before: Store | None = None  # that which was closed, because a commit failed
        self._lives = 0
        self._owed: list[tuple[int, int, str]] = []  # life, id, reason: tombstones that could not be written yet
        self._unchecked = 0  # bytes in the WAL
        self._checkpoint_after = CHECKPOINT_AFTER
        self._space = Space(folder)
        self._lost_last = False  # the last job that ended could not be kept
        self._pouring = False  # a big job is coming in: its cut must not wait for a checkpoint
        self._ends_handed = self._ends_done = 0  # ends of jobs: a cut waits for each
        self._lock_file: int | None = None
        self._is_unusable = False  # the folder, and that was told
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    # ------------------------------------------------------------------ the loop's side

    def lock(self) -> None:
        """Raises AlreadyRunning. Where the folder cannot be used at all, printing must go on without."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.folder / "capture.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if not self._is_unusable:
                hint = "printing goes on, nothing is captured; it is tried again"
                log.error("journal=unusable folder=%s error=%s hint=%s", self.folder, error, hint)
            self._is_unusable = True
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            raise AlreadyRunning(
                f"{self.path} is in use by another tillwire-relay; stop that one first (systemctl stop tillwire-relay)"
            ) from None
        self._lock_file, self._is_unusable = fd, False

    @property
    def degraded(self) -> bool:
        """Not everything that is printed can be kept now; after a loss, until a job was kept again."""
        return not self.healthy or self._space.full or self._lost_last

    def start(self) -> None:
        self._thread.start()

    def stop(self, wait: float) -> None:
        """Commit what was handed over, then end."""
        self._queue.put(None)
        self._thread.join(wait)

    def do(
        self,
        work: Callable[[Store], R],
        done: Callable[[R], None] | None = None,
        failed: Callable[[Exception], None] | None = None,
        *,
        recording: Recording | None = None,
    ) -> None:
        self._queue.put(_Op(work, done, failed, recording))

    def read(
        self, work: Callable[[Store], R], done: Callable[[R], None], failed: Callable[[Exception], None] | None = None
    ) -> None:
        """As do(), but gives way to all that writes."""
        op = _Op(work, done, failed, None)
        self._reads.append(op)
        self._queue.put(_NUDGE)

    def save(self, recording: Recording, done: Callable[[None], None], *, soft: bool = False) -> None:
        """What has come so far of a job in progress. `done` also when it failed: the next save has it all.

        `soft`: bytes are pouring in. Whole pieces are hashed and handed to the kernel while they do, so that at the
        cut there is little left to do; the next save or the end of the job waits for the disk.
        """

        def work(store: Store) -> None:
            self._space.check(recording, self._unchecked)
            store.save(recording, whole_pieces=soft)

        self._queue.put(_Op(work, done, lambda error: done(None), recording, soft=soft, pours=soft))

    def finish(
        self,
        recording: Recording,
        boundary: str,
        delivered: str,
        done: Callable[[Key | None], None],
        *,
        settling: bool = False,
    ) -> None:
        """A job is whole. done(its key), or done(None) where it was lost and its seq has become a tombstone."""
        size = recording.handed
        self.stuck += size

        def ended(key: Key | None) -> None:
            self.stuck -= size
            done(key)

        if self.stuck > STUCK_MOST:
            recording.inbox.clear()
            work: Callable[[Store], Any] = _too_slow
        else:

            def work(store: Store) -> Key:
                self._space.check(recording, self._unchecked)
                return store.finish(recording, boundary, delivered, settling)

        self._ends_handed += 1
        if self._thread.native_id is not None:
            priority.lend(self._thread.native_id)
        self._queue.put(_Op(work, ended, lambda error: ended(None), recording, True))

    def salvaged(self) -> None:
        """From any thread: what a damaged file held is here now."""
        self.loop.soon(lambda: self.on_salvaged())

    def settle(self, recording: Recording, delivered: str, done: Callable[[Key | None], None]) -> None:
        """Nothing more will be added to this job, and so much of it was delivered. done(its key); None: it was lost.

        Handed to the kernel at once, on disk with the next job that ends: until then a power cut makes it a part.
        """
        op = _Op(lambda store: store.settle(recording, delivered), done, None, recording, soft=not recording.inbox)
        self._queue.put(op)

    def bury(self, recording: Recording, reason: str) -> None:
        """Capture itself failed: this job is lost, and its seq says so."""
        self.counters["jobs_lost"] += 1
        self._queue.put(_Op(lambda store: store.bury(recording, reason), None, None, recording))

    # ------------------------------------------------------------------ the thread's side

    def _run(self) -> None:
        priority.ordinary()
        stopping = False
        while not stopping:
            ops = self._taken(self._patience())
            if ops and all(op is not None and op.soft and not op.pours for op in ops):
                ops += self._taken(RIDE_S)
            stopping = None in ops
            writes = [op for op in ops if op is not None and op is not _NUDGE]
            self._pouring = bool(writes) and writes[-1].pours
            if writes or self._owed or (self._store is None and not stopping):
                self._commit(writes)
            if ends := sum(op.final for op in writes):
                self._ends_done += ends
                if self._ends_done == self._ends_handed:
                    priority.ordinary()
            while self._reads and self._queue.empty():
                self._commit([self._reads.popleft()], pay=False)
            if self._space.full:
                self._space.make()
            if self._reads:
                self._queue.put(_NUDGE)
            elif (self._queue.empty() and not self._pouring) or self._unchecked > CHECKPOINT_AT_ONCE:
                self._tidy(calm=not ops)
        if self._store is not None:
            self._checkpoint("TRUNCATE")
            self._store.close()

    def _taken(self, wait_s: float | None) -> list[_Op | None]:
        """All that is in the queue; waits for the first."""
        ops: list[_Op | None] = []
        try:
            ops.append(self._queue.get(timeout=wait_s))
            while True:
                ops.append(self._queue.get_nowait())
        except queue.Empty:
            return ops

    def _patience(self) -> float | None:
        """How long to wait for work when there is something to do without; None: for ever."""
        if self._space.full or self._owed:
            return TRY_AGAIN_S
        return CALM_S if self._store is not None and self._store.wiped else None

    def _commit(self, ops: list[_Op], pay: bool = True) -> None:
        """All in one transaction; one by one when that fails, so that one bad operation harms itself only."""
        if self._space.full:
            self._space.make()
        results = self._try(ops, pay)
        if isinstance(results, Exception):
            results = [self._alone(op) for op in ops]
        calls: list[Callable[[], None]] = []
        for op, result in zip(ops, results, strict=True):
            if isinstance(result, Exception):
                if op.failed is not None:
                    calls.append(_bound(op.failed, result))
            elif op.done is not None:
                calls.append(_bound(op.done, result))
        if calls:
            self.loop.soon(lambda: _all(calls))

    def _alone(self, op: _Op) -> Any:
        """One operation that was rolled back with others: once more; a job that cannot be kept gets its tombstone."""
        error: Any = None
        if not (op.final and self._space.full):
            again = self._try([op])
            if not isinstance(again, Exception):
                return again[0]
            error = again
        if op.final and op.recording is not None:
            reason = "disk_full" if self._space.full or error is None or _is_full(error) else "capture_fault"
            self._bury(op.recording, reason)
        return error or OSError("the disk is full")

    def _bury(self, recording: Recording, reason: str) -> None:
        self.counters["jobs_lost"] += 1
        self._lost_last = True
        grave = _Op(lambda store: store.bury(recording, reason), None, None)
        for _ in range(2):
            if not isinstance(self._try([grave]), Exception):
                break
            self._space.release()
        else:
            if recording.id is not None:
                self._owed.append((recording.life, recording.id, reason))
        self.healthy = False

    def _try(self, ops: list[_Op], pay: bool = True) -> list[Any] | Exception:
        try:
            store = self._opened()
            db = store.db
            written = sum(len(piece) for op in ops if op.recording is not None for piece in op.recording.inbox)
            before = store.kept, dict(store.unsettled), set(store.fresh_tombs)
            store.sync(not all(op.soft for op in ops) or not ops)
            db.execute("BEGIN IMMEDIATE")
            try:
                if pay:
                    self._pay(store)
                results = [_safely(op.work, store) for op in ops]
                for result in results:
                    if isinstance(result, sqlite3.Error):
                        raise result
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                store.kept, store.unsettled, store.fresh_tombs = before
                raise
        except (sqlite3.Error, OSError) as error:
            self._fault(error)
            return error
        if pay:
            self.healthy = True
            self._owed = []
        self.counters["commits"] += 1
        self._unchecked += written + 12288 * len(ops)
        for op in ops:
            if op.recording is not None:
                store.settle_pieces(op.recording)
            if op.final:
                self._lost_last = False
        return results

    def _pay(self, store: Store) -> None:
        """Tombstones that are owed from when the disk was full."""
        for life, id_, reason in self._owed:
            if life == store.life:
                store.tombstone(id_, reason)

    def _opened(self) -> Store:
        if self._store is None:
            if self._lock_file is None:
                self.lock()
                if self._lock_file is None:
                    raise OSError(f"{self.folder} cannot be used")
            try:
                self._store = self._brought_up()
            except Ruined as error:
                self._set_aside(error, error.db)
                self._store = Store(self.path, self._lives, self.quota)
            except schema.NotMigrated as error:
                self._set_aside(error, None)
                self._store = Store(self.path, self._lives, self.quota)
            self._checkpoint_after = min(CHECKPOINT_AFTER, self._space.size() // 16)
            self._before = None
            self._space.make()
            rescue.begin(self, self._store)
        return self._store

    def _brought_up(self) -> Store:
        """The journal with this release's schema. Raises NotMigrated, and what Store raises."""
        if not schema.is_old(self.path):
            try:
                return Store(self.path, self._lives, self.quota, self._before)
            except schema.Old:
                pass
        self.healthy = False  # no cut waits for this
        schema.bring_up(self.path)
        return Store(self.path, self._lives, self.quota)

    def _fault(self, error: Exception) -> None:
        """A commit failed. What was written is in doubt: begin again with a fresh connection (never trust a second
        fsync after one that failed), or with a fresh journal where the file itself is ruined."""
        self.counters["journal_errors"] += 1
        if self.healthy and not self._space.full:
            log.error("journal=failing error=%s hint=is the disk full, read-only or dying? printing goes on", error)
        self.healthy = False
        if self._store is not None and isinstance(error, sqlite3.Error) and not _is_full(error):
            old, self._store = self._store, None
            if _is_ruined(error):
                self._set_aside(error, old.db)
            else:
                _close(old.db)
                self._before = old

    def _set_aside(self, error: Exception, db: sqlite3.Connection | None) -> None:
        """The file is no sound database any more: put it aside, begin a new one. Never refuse to run; what can be read
        of it comes home while the till prints on (relay/rescue.py). Its connection is closed in between: see Ruined."""
        self._lives, self._before = self._lives + 1, None
        self.counters["journal_set_aside"] += 1
        stamp, number = time.strftime("%Y%m%dT%H%M%S"), self._lives
        while (self.folder / f"{self.path.name}.bad-{stamp}-{number}").exists():
            number += 1
        mark = f".bad-{stamp}-{number}"
        log.error("journal=ruined file=%s error=%s set_aside=%s", self.path, error, self.path.name + mark)
        for name in (self.path.name, self.path.name + "-wal", self.path.name + "-shm"):
            try:
                (self.folder / name).rename(self.folder / (name + mark))
            except FileNotFoundError:
                pass
        if db is not None:
            _close(db)

    # ------------------------------------------------------------------ checkpoints

    def _tidy(self, calm: bool) -> None:
        """Nothing waits: a checkpoint costs nobody anything now. Every receipt that is masked or deleted wants one, and
        it takes longer on a slow card than a cut may wait: those are left for a pause."""
        if self._store is None:
            return
        if self._store.wiped and (calm or self._unchecked > CHECKPOINT_AT_ONCE):
            self._checkpoint("TRUNCATE")
        elif self._unchecked > self._checkpoint_after:
            self._checkpoint("PASSIVE")
        else:
            return
        self._space.make()

    def _checkpoint(self, kind: str) -> None:
        assert self._store is not None
        try:
            self._store.db.execute(f"PRAGMA wal_checkpoint({kind})").fetchone()
            self._unchecked, self._store.wiped = 0, False
        except sqlite3.Error as error:
            if not self._space.full:
                log.warning("checkpoint=failed error=%s", error)
            self._space.release()


_NUDGE = _Op(lambda store: None, None, None)


def _close(db: sqlite3.Connection) -> None:
    try:
        db.close()
    except sqlite3.Error as error:
        log.info("journal=closing error=%s", error)


def _too_slow(store: Store) -> None:
    raise sqlite3.OperationalError("the disk is too slow for what is printed")


def _safely(work: Callable[[Store], Any], store: Store) -> Any:
    """A result, or what was raised: a refusal (ValueError and the like) is an answer, not a fault of the journal."""
    try:
        return work(store)
    except (ValueError, LookupError, sqlite3.Error) as error:
        return error


def _all(calls: list[Callable[[], None]]) -> None:
    for call in calls:
        call()


def _bound(call: Callable[[Any], None], value: Any) -> Callable[[], None]:
    return lambda: call(value)


def _code(error: Exception) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _is_ruined(error: Exception) -> bool:
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _is_full(error: Exception) -> bool:
    return isinstance(error, Full) or _code(error) == sqlite3.SQLITE_FULL or getattr(error, "errno", 0) == errno.ENOSPC
