"""What is written in capture.db, and how. Used by the journal thread alone; the tables are in journal.sql.

Every method runs inside a transaction that the journal opens and commits; run again after a rollback, it does the same
thing: what a `Recording` holds is only let go by `settle_pieces()`, after the commit.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from config.durable import says_damage, sync_folder
from relay.clock import BOOT, mono_ms, trust, wall_ms
from relay.fates import Fates
from relay.recording import PIECE, Recording
from relay.schema import SCHEMA, Old

PER_CAPTURE = 128  # most pieces of one job
SEQ_BITS = 40
SPARE_TOMBS = 16
FIRST_EPOCH = 1024  # of a new file; below it is room for those of files that were damaged
Key = list[Any]  # [epoch, seq]


class Ruined(sqlite3.DatabaseError):
    """The file is no journal that can be trusted. `db` is still open.

    To be closed when its files have other names, and no new ones stand in their place: before, SQLite would merge the
    WAL into the file and delete it, with what is behind its damage; later, it would delete the new file's WAL.
    """

    def __init__(self, error: Exception, db: sqlite3.Connection) -> None:
        super().__init__(str(error))
        self.db = db


class Full(sqlite3.OperationalError):
    """The quota leaves no room for this job."""


class Unfit(sqlite3.OperationalError):
    """Nothing can be kept safely in this folder: its file system has no WAL, or no syncs."""


class Store:
    """An open capture.db. Raises Ruined, Old, and while the disk refuses sqlite3.OperationalError or OSError."""

    def __init__(self, path: Path, life: int, quota: int, before: Store | None = None) -> None:
        """`before`: the same journal, closed after a commit that failed. What was going on goes on, and no number that
        it gave away is given to anything else."""
        self.path, self.life, self.quota = path, life, quota
        self.salvaging = False  # rows of a damaged file are still coming (relay/rescue.py)
        self.wiped = False  # bytes were deleted, and are to vanish from the WAL too
        self.unsettled: dict[int, Recording] = {}  # cut, but more may still be added to them: not to be listed yet
        self.fresh_tombs: set[int] = set()  # written in this life and not listed yet: may still grow
        self._syncs = True
        new = not path.exists() or path.stat().st_size == 0
        self.db = db = sqlite3.connect(path, isolation_level=None, cached_statements=64)
        try:
            self._open(new, before)
        except (sqlite3.Error, ValueError, TypeError, LookupError) as error:
            if _is_ruined(error):
                raise Ruined(error, db) from None
            db.close()
            raise
        except OSError:
            db.close()
            raise

    def _open(self, new: bool, before: Store | None) -> None:
        path, db = self.path, self.db
        if new:
            path.chmod(0o600)
            db.execute("PRAGMA page_size = 8192")  # a third less work for pictures than 4096, the same for receipts
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA secure_delete = ON")
        db.execute("PRAGMA wal_autocheckpoint = 0")  # when nothing waits for a commit: see Journal
        found = db.execute("PRAGMA synchronous").fetchone()[0], db.execute("PRAGMA journal_mode").fetchone()[0]
        if found != (2, "wal"):
            raise Unfit(f"{path}: synchronous and journal_mode are {found}, not (2, 'wal')")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            self._make()
        elif version < SCHEMA:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            raise Old(f"{path} has schema {version}, this release writes {SCHEMA}")
        self._recall()
        if before is None:
            db.execute("BEGIN IMMEDIATE")
            self._end_what_crashed()
            self.fates.forget_old()
            db.execute("COMMIT")
        else:
            self._go_on(before)
        sync_folder(path.parent)  # SQLite does that too, but does not look whether it went well

    def _make(self) -> None:
        db = self.db
        db.execute("BEGIN IMMEDIATE")
        script = Path(__file__).with_name("journal.sql").read_text(encoding="utf-8")
        for statement in _statements(script):
            db.execute(statement)
        db.execute("INSERT INTO epochs (n, epoch) VALUES (?, ?)", (FIRST_EPOCH, _new_epoch()))
        db.executemany("INSERT INTO tombs (id) VALUES (?)", [(n + 1,) for n in range(SPARE_TOMBS)])
        db.execute(f"PRAGMA user_version = {SCHEMA}")
        db.execute("COMMIT")

    def _recall(self) -> None:
        """What the counters were."""
        db = self.db
        self.epochs: dict[int, str] = dict(db.execute("SELECT n, epoch FROM epochs"))
        self.n = max(self.epochs)
        low, high = self.n << SEQ_BITS, (self.n + 1) << SEQ_BITS
        jobs = db.execute("SELECT coalesce(max(id), 0) FROM jobs WHERE id > ? AND id < ?", (low, high)).fetchone()[0]
        tombs = db.execute("SELECT coalesce(max(last), 0) FROM tombs WHERE epoch = ?", (self.n,)).fetchone()[0]
        self.seq = max(jobs - low if jobs else 0, tombs)
        captures = [db.execute(f"SELECT coalesce(max({c}), 0) FROM {t}").fetchone()[0] for c, t in
                    (("capture", "jobs"), ("capture", "open_jobs"), (f"id / {PER_CAPTURE}", "pieces"))]  # fmt: skip
        self.last_capture = max(captures)
        self.kept = db.execute("SELECT coalesce(sum(size), 0) FROM jobs WHERE reason IS NULL").fetchone()[0]
        self.ran_before = int(self.meta("ran_ms", 0))
        self._began = mono_ms()
        self.fates = Fates(self)

    def _go_on(self, before: Store) -> None:
        self.unsettled, self.salvaging, self.wiped = before.unsettled, before.salvaging, before.wiped
        if before.n == self.n:
            self.seq = max(self.seq, before.seq)
        self.last_capture = max(self.last_capture, before.last_capture)
        self.ran_before, self._began = before.ran_before, before._began

    def _end_what_crashed(self) -> None:
        """Jobs that a crash cut short become partial."""
        rows = self.db.execute(
            "SELECT capture, pos, printer, continues, boot, started_mono_ms, started_wall_ms, trust FROM open_jobs"
            " ORDER BY capture"
        ).fetchall()
        for capture, pos, printer, continues, boot, started_mono, started_wall, trusted in rows:
            raw = self.raw(capture)
            if raw:
                self.seq += 1
                self._insert_job(
                    self.n << SEQ_BITS | self.seq, capture, pos, printer, "partial", continues, "part", len(raw),
                    hashlib.sha256(raw).digest(), boot, (started_mono, started_wall), trusted,
                )  # fmt: skip
        self.db.execute("DELETE FROM open_jobs")

    def close(self) -> None:
        self.db.close()

    # ------------------------------------------------------------------ facts

    def meta(self, key: str, default: Any) -> Any:
        row = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return default if row is None else row[0]

    def set_meta(self, key: str, value: Any) -> None:
        self.db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value))

    @property
    def ran(self) -> int:
        """How long this journal has been open in all its lives, ms: it never goes back, and never leaps."""
        return self.ran_before + mono_ms() - self._began

    def key(self, id_: int) -> Key:
        return [self.epochs[id_ >> SEQ_BITS], id_ & (1 << SEQ_BITS) - 1]

    def id(self, key: Key) -> int | None:
        for n, epoch in self.epochs.items():
            if epoch == key[0]:
                return n << SEQ_BITS | int(key[1])
        return None

    def facts(self) -> dict[str, Any]:
        first = self.db.execute("SELECT min(id) FROM jobs WHERE reason IS NULL").fetchone()[0]
        due = self.db.execute("SELECT count(*) FROM jobs WHERE acked_ran IS NULL AND reason IS NULL").fetchone()[0]
        return {
            "epoch": self.epochs[self.n],
            "last_seq": self.seq,
            "settled": min(self.unsettled, default=self.n << SEQ_BITS | self.seq + 1) - 1 & (1 << SEQ_BITS) - 1,
            "first_kept": self.key(first) if first else None,
            "epochs": [self.epochs[n] for n in sorted(self.epochs)],
            "ends": self.ends(),
            "salvaging": self.salvaging,
            "backlog": due,
            "kept_bytes": self.kept,
        }

    def ends(self) -> dict[str, int]:
        """The highest seq known of each epoch that is over."""
        ends = {}
        for n, epoch in self.epochs.items():
            if n != self.n:
                low, high = n << SEQ_BITS, (n + 1) << SEQ_BITS
                found = self.db.execute(
                    "SELECT max(coalesce((SELECT max(id) - ?1 FROM jobs WHERE id > ?1 AND id < ?2), 0),"
                    " coalesce((SELECT max(last) FROM tombs WHERE epoch = ?3), 0))",
                    (low, high, n),
                ).fetchone()[0]
                ends[epoch] = int(found)
        return ends

    # ------------------------------------------------------------------ capturing

    def _check_life(self, recording: Recording) -> None:
        if recording.life != self.life:
            if recording.full:
                raise sqlite3.DataError("its first pieces were in a journal that had to be set aside")
            recording.life, recording.id, recording.open, recording.capture = self.life, None, False, 0
        if not recording.capture:
            self.last_capture += 1
            recording.capture = self.last_capture

    def _write_pieces(self, recording: Recording, whole_pieces: bool = False) -> None:
        base = recording.capture * PER_CAPTURE + recording.full
        self.db.executemany(
            "INSERT OR REPLACE INTO pieces (id, raw) VALUES (?, ?)",
            [(base + n, piece) for n, piece in enumerate(recording.buffer) if not whole_pieces or len(piece) >= PIECE],
        )

    def settle_pieces(self, recording: Recording) -> None:
        """The transaction is committed: full pieces need not be held any longer."""
        full = len(recording.buffer)
        if full and len(recording.buffer[-1]) < PIECE:
            full -= 1
        if full:
            del recording.buffer[:full]
            recording.full += full

    def sync(self, on: bool) -> None:
        """Outside a transaction: is a commit to be on disk (the rule), or only handed to the kernel?"""
        if on is not self._syncs:
            self.db.execute("PRAGMA synchronous = FULL" if on else "PRAGMA synchronous = NORMAL")
            self._syncs = on

    def save(self, recording: Recording, *, whole_pieces: bool = False) -> None:
        """What has come so far of a job in progress; `whole_pieces`: but for a last piece that is not full yet."""
        self._check_life(recording)
        recording.take_in()
        if recording.id is None:
            self.db.execute(
                "INSERT OR IGNORE INTO open_jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (recording.capture, recording.pos, recording.printer, self._continues(recording), BOOT,
                 *recording.started, trust()),
            )  # fmt: skip
            recording.open = True
        self._write_pieces(recording, whole_pieces)

    def _continues(self, recording: Recording) -> int | None:
        previous = recording.previous
        return None if previous is None or previous.id is None else previous.id & (1 << SEQ_BITS) - 1

    def take_seq(self, recording: Recording) -> int:
        if recording.id is None or recording.id >> SEQ_BITS != self.n:
            self.seq += 1
            recording.id = self.n << SEQ_BITS | self.seq
        return recording.id

    def finish(self, recording: Recording, boundary: str, delivered: str, settling: bool) -> Key:
        """A job is whole, and takes its seq. `settling`: extend() may still come, then settle()."""
        self._check_life(recording)
        recording.take_in()
        again = recording.id is not None
        id_ = self.take_seq(recording)
        if self.kept + recording.size > self.quota:
            self.expire(float("inf"), self.quota - recording.size)
            if self.kept + recording.size > self.quota:
                raise Full(f"the quota of {self.quota >> 20} MB is full of jobs that the cloud does not have yet")
        self._write_pieces(recording)
        if again:
            self.db.execute("DELETE FROM jobs WHERE id = ?", (id_,))  # of a commit that failed, and is there after all
        self._insert_job(
            id_, recording.capture, recording.pos, recording.printer, boundary, self._continues(recording), delivered,
            recording.size, recording.hash.digest(), BOOT, recording.started, trust(),
        )  # fmt: skip
        if recording.open:
            self.db.execute("DELETE FROM open_jobs WHERE capture = ?", (recording.capture,))
        if settling:
            self.unsettled[id_] = recording
        return self.key(id_)

    def _insert_job(
        self, id_: int, capture: int, pos: str, printer: str, boundary: str, continues: int | None, delivered: str,
        size: int, sha256: bytes, boot: str, started: tuple[int, int], trusted: str,
    ) -> None:  # fmt: skip
        self.db.execute(
            "INSERT INTO jobs (id, capture, pos, printer, boundary, continues, delivered, size, sha256, boot,"
            " started_mono_ms, started_wall_ms, ended_mono_ms, ended_wall_ms, trust)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (id_, capture, pos, printer, boundary, continues, delivered, size, sha256, boot, *started,
             mono_ms(), wall_ms(), trusted),
        )  # fmt: skip
        self.kept += size

    def settle(self, recording: Recording, delivered: str) -> Key | None:
        """Nothing more belongs to this job: what came right behind its cut is added, and it may be listed.

        None: it was lost.
        """
        id_ = recording.id
        if id_ is None or self.unsettled.get(id_) is not recording:
            return None
        before = recording.size
        recording.take_in()
        if recording.size != before:
            self._write_pieces(recording)
        self.db.execute(
            "UPDATE jobs SET size = ?, sha256 = ?, delivered = ? WHERE id = ?",
            (recording.size, recording.hash.digest(), delivered, id_),
        )
        self.kept += recording.size - before
        del self.unsettled[id_]
        return self.key(id_)

    def tombstone(self, id_: int, reason: str) -> None:
        """The seq of this id will never come. Uses a row that is there already, where one is left."""
        n, seq = id_ >> SEQ_BITS, id_ & (1 << SEQ_BITS) - 1
        if self.is_buried(n, seq):
            return
        for tomb, last in self.db.execute("SELECT id, last FROM tombs WHERE epoch = ? AND reason = ?", (n, reason)):
            if tomb in self.fresh_tombs and last + 1 == seq:
                self.db.execute("UPDATE tombs SET last = ? WHERE id = ?", (seq, tomb))
                return
        spare = self.db.execute("SELECT min(id) FROM tombs WHERE epoch = 0").fetchone()[0]
        if spare is None:
            spare = self.db.execute("INSERT INTO tombs (epoch) VALUES (0) RETURNING id").fetchone()[0]
        self.db.execute(
            "UPDATE tombs SET epoch = ?, first = ?, last = ?, reason = ? WHERE id = ?", (n, seq, seq, reason, spare)
        )
        self.fresh_tombs.add(spare)

    def is_buried(self, n: int, seq: int) -> bool:
        found = self.db.execute("SELECT 1 FROM tombs WHERE epoch = ? AND first <= ? AND last >= ?", (n, seq, seq))
        return found.fetchone() is not None

    def bury(self, recording: Recording, reason: str) -> None:
        """Nothing of this recording can be kept: its seq becomes a tombstone."""
        recording.inbox.clear()
        id_ = self.take_seq(recording)
        self.unsettled.pop(id_, None)
        self.tombstone(id_, reason)
        self.db.execute("DELETE FROM jobs WHERE id = ?", (id_,))  # of a commit that failed, and may be there after all
        first = recording.capture * PER_CAPTURE
        self.db.execute("DELETE FROM open_jobs WHERE capture = ?", (recording.capture,))
        self.db.execute("DELETE FROM pieces WHERE id >= ? AND id < ?", (first, first + PER_CAPTURE))

    def raw(self, capture: int) -> bytes:
        first = capture * PER_CAPTURE
        rows = self.db.execute(
            "SELECT raw FROM pieces WHERE id >= ? AND id < ? ORDER BY id", (first, first + PER_CAPTURE)
        )
        return b"".join(row[0] for row in rows)

    # ------------------------------------------------------------------ letting go

    def replace(self, key: Key, sha256_raw: str, raw: bytes) -> tuple[Key, str]:
        """Masked bytes take the place of captured ones, once for ever. Raises ValueError."""
        id_ = self.id(key)
        row = (
            id_
            and self.db.execute(
                "SELECT capture, sha256, sha256_raw, replaced, size FROM jobs WHERE id = ? AND reason IS NULL", (id_,)
            ).fetchone()
        )
        if not row:
            raise ValueError("there is no such job, or its bytes are gone")
        capture, sha256, before, replaced, size = row
        masked = hashlib.sha256(raw).digest()
        if replaced:
            if masked == sha256 and before.hex() == sha256_raw:
                return key, sha256.hex()
            raise ValueError("other bytes took its place before; that is done once")
        if sha256.hex() != sha256_raw or len(raw) != size:
            raise ValueError("these are not the bytes of this job: hash or size differ")
        if masked != sha256:
            self.wiped = True
            first = capture * PER_CAPTURE
            self.db.execute("DELETE FROM pieces WHERE id >= ? AND id < ?", (first, first + PER_CAPTURE))
            self.db.executemany(
                "INSERT INTO pieces (id, raw) VALUES (?, ?)",
                [(first + n, raw[at : at + PIECE]) for n, at in enumerate(range(0, len(raw), PIECE))],
            )
        self.db.execute("UPDATE jobs SET sha256 = ?, sha256_raw = ?, replaced = 1 WHERE id = ?", (masked, sha256, id_))
        return key, masked.hex()

    def release(self, jobs: Iterable[list[Any]]) -> tuple[int, list[dict[str, Any]]]:
        """[epoch, seq, sha256 hex] of what the cloud has -> how many, and which were refused."""
        released, refused = 0, []
        ran, wall = self.ran, wall_ms()
        self.set_meta("ran_ms", ran)
        for epoch, seq, sha256 in jobs:
            id_ = self.id([epoch, seq])
            problem = "no such job"
            if id_ is not None and sha256 == "":
                problem = "no such tombstone"
                for (tomb,) in self.db.execute(
                    "SELECT id FROM tombs WHERE epoch = ? AND first <= ? AND last >= ? AND acked_ran IS NULL",
                    (id_ >> SEQ_BITS, seq, seq),
                ).fetchall():
                    self.db.execute("UPDATE tombs SET acked_ran = ? WHERE id = ?", (ran, tomb))
                    self.fresh_tombs.discard(tomb)
                    problem = ""
            elif id_ is not None:
                row = self.db.execute("SELECT sha256, acked_ran FROM jobs WHERE id = ?", (id_,)).fetchone()
                if row is not None:
                    problem = "" if row[0].hex() == sha256 else "another hash"
                    if not problem and row[1] is None:
                        self.db.execute("UPDATE jobs SET acked_ran = ?, acked_wall = ? WHERE id = ?", (ran, wall, id_))
            if problem:
                refused.append({"key": [epoch, seq], "problem": problem})
            else:
                released += 1
        return released, refused

    def expire(self, keep_ms: float, quota: int) -> tuple[int, float | None]:
        """Delete the bytes of acked jobs: those kept long enough, and the oldest while the quota is exceeded.

        -> how many, and in how many ms the next will be due (None: there is none).
        """
        ran, gone = self.ran, 0
        self.set_meta("ran_ms", ran)
        while True:
            row = self.db.execute(
                "SELECT id, capture, size, acked_ran FROM jobs WHERE acked_ran IS NOT NULL AND reason IS NULL"
                " ORDER BY acked_ran LIMIT 1"
            ).fetchone()
            if row is None:
                return gone, None
            id_, capture, size, acked = row
            if ran - acked < keep_ms and self.kept <= quota:
                return gone, keep_ms - (ran - acked)
            first = capture * PER_CAPTURE
            self.db.execute("DELETE FROM pieces WHERE id >= ? AND id < ?", (first, first + PER_CAPTURE))
            self.db.execute("UPDATE jobs SET reason = 'released' WHERE id = ?", (id_,))
            self.kept -= size
            self.wiped = True
            gone += 1

    def new_epoch(self) -> str:
        """Another epoch begins; jobs that are not acked get new keys in it, and remember the old ones."""
        epoch = _new_epoch()
        n = self.n + 1
        self.db.execute("INSERT INTO epochs (n, epoch) VALUES (?, ?)", (n, epoch))
        ids = self.db.execute("SELECT id FROM jobs WHERE acked_ran IS NULL AND reason IS NULL ORDER BY id").fetchall()
        for seq, (id_,) in enumerate(ids, 1):
            new = n << SEQ_BITS | seq
            self.db.execute("UPDATE jobs SET id = ?, was = ? WHERE id = ?", (new, id_, id_))
            if id_ in self.unsettled:
                recording = self.unsettled.pop(id_)
                recording.id = new
                self.unsettled[new] = recording
        self.epochs[n], self.n, self.seq = epoch, n, len(ids)
        return epoch


def _is_ruined(error: Exception) -> bool:
    return not isinstance(error, Unfit | Old) and says_damage(error)


def _new_epoch() -> str:
    import uuid  # once in a journal's life

    return str(uuid.uuid4())


def _statements(script: str) -> list[str]:
    """A script's statements, one by one: executescript() would commit in between."""
    bare = "\n".join(line.split("--")[0] for line in script.splitlines())
    return [part.strip() for part in bare.split(";") if part.strip()]
