"""agent.db: the outbox, the slips, the alerts. SQLite, WAL, synchronous=FULL, one writer thread.

Work is a function of the connection, `await store.run(work)`: what waits is done in one transaction (each in a
savepoint of its own), and `run` returns after the commit: what it returned is durable.

A file that cannot be used is moved aside, never repaired by guessing: what can be read of it is taken over
(agent/rescue.py), and the relay's journal and the cloud know the rest.
Raises DiskBad where the disk refuses: print on, tell, and take no order that could not be remembered.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from config.durable import says_damage, sync_folder

log = logging.getLogger("tillwire.agent")

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
SCHEMA_VERSION = 3
GROUP = 64  # pieces of work in one transaction, at most
KEEP = 2  # damaged files that stay for a person to look at


class DiskBad(Exception):
    """agent.db cannot be read or written now. What was asked for did not happen."""


class SchemaOld(Exception):
    """agent.db was made by another version: `tillwire migrate` brings it up."""


class Store:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.recovered = False  # the file was new, or had to be moved aside
        self.problem = ""  # why the last commit failed; "" when it did not
        self.damaged = False  # found while running: the next start moves the file aside
        self._todo: queue.SimpleQueue[tuple[Work[Any], asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def open(self) -> None:
        """Make or open the file and start the writer. Raises DiskBad, SchemaOld."""
        self._loop = asyncio.get_running_loop()
        connection = await asyncio.to_thread(self._connect)
        self._thread = threading.Thread(target=self._write, args=(connection,), name="agent.db", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        if self._thread:
            self._todo.put(None)
            await asyncio.to_thread(self._thread.join, 5.0)
            self._thread = None

    async def run(self, work: Work[T]) -> T:
        """What `work` returned, once it is on disk. Raises DiskBad, and what `work` raised: then nothing of it is."""
        assert self._loop is not None, "the store was not opened"
        future: asyncio.Future[T] = self._loop.create_future()
        self._todo.put((work, future))
        return await future

    # ---- in the writer's thread

    def _write(self, connection: sqlite3.Connection) -> None:
        while (first := self._todo.get()) is not None:
            group = [first]
            last = False
            while len(group) < GROUP and not last:
                try:
                    more = self._todo.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    last = True
                else:
                    group.append(more)
            results = self._commit(connection, group)
            assert self._loop is not None
            try:
                self._loop.call_soon_threadsafe(_resolve, results)
            except RuntimeError:  # the loop has ended: nobody waits any more
                break
            if last:
                break
        connection.close()

    def _commit(
        self, connection: sqlite3.Connection, group: list[tuple[Work[Any], asyncio.Future[Any]]]
    ) -> list[tuple[asyncio.Future[Any], Any, BaseException | None]]:
        results: list[tuple[asyncio.Future[Any], Any, BaseException | None]] = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            for work, future in group:
                connection.execute("SAVEPOINT piece")
                try:
                    results.append((future, work(connection), None))
                except (sqlite3.OperationalError, sqlite3.InternalError):
                    raise
                except Exception as error:  # the caller's own: it is told, the others go on
                    if type(error) is sqlite3.DatabaseError:  # the file is damaged
                        self.damaged = True
                        raise
                    connection.execute("ROLLBACK TO piece")
                    results.append((future, None, error))
                connection.execute("RELEASE piece")
            connection.execute("COMMIT")
            self.problem = ""
        except sqlite3.Error as error:
            if connection.in_transaction:
                try:
                    connection.execute("ROLLBACK")
                except sqlite3.Error as again:
                    log.error("store=%s rollback failed: %s", self.path, again)
            self.problem = str(error)
            bad = DiskBad(f"agent.db {self.path} cannot be written: {error}; look at the disk's space and health")
            results = [(future, None, bad) for _, future in group]
        return results

    def _connect(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return self._open_file()
        except SchemaOld:
            raise
        except (sqlite3.DatabaseError, OSError) as error:
            if isinstance(error, OSError) or not says_damage(error):
                raise DiskBad(f"agent.db {self.path} cannot be opened: {error}") from error
            bad = self._move_aside(str(error))
            try:
                connection = self._open_file()
                self._rescue(bad, connection)
                return connection
            except (sqlite3.Error, OSError) as again:
                raise DiskBad(f"agent.db {self.path} cannot be made: {again}") from again

    def _open_file(self) -> sqlite3.Connection:
        new = not self.path.exists() or self.path.stat().st_size == 0
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=5.0)
        try:
            self.path.chmod(0o600)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
            full = connection.execute("PRAGMA synchronous").fetchone()[0]
            if (mode, full) != ("wal", 2):
                raise DiskBad(
                    f"agent.db {self.path}: SQLite gave journal_mode={mode} synchronous={full}, not wal and 2"
                )
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version == 0 and not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                connection.executescript("BEGIN IMMEDIATE;" + schema() + "COMMIT;")
                new = True
            elif version != SCHEMA_VERSION:
                raise SchemaOld(f"agent.db has schema {version}, this program writes {SCHEMA_VERSION}")
            elif connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("quick_check found damage")
            sync_folder(self.path.parent)  # SQLite does that too, but does not look whether it went well
        except BaseException:
            connection.close()
            raise
        self.recovered = new
        return connection

    def _rescue(self, bad: Path, connection: sqlite3.Connection) -> None:
        from agent import rescue  # only where it is needed: a start is to be quick

        try:
            taken = rescue.bring_home(bad, connection, schema())
        except (sqlite3.Error, OSError) as error:
            log.error("store=%s nothing could be taken over: %s", bad, error)
        else:
            log.warning("store=%s rows taken over from the damaged file: %d", self.path, taken)

    def _move_aside(self, why: str) -> Path:
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        for ending in ("", "-wal", "-shm"):
            part = Path(f"{self.path}{ending}")
            if part.exists():
                part.rename(f"{self.path}.bad-{stamp}{ending}")
        whole = self.path.parent.glob(f"{self.path.name}.bad-{'?' * len(stamp)}")
        for old in sorted(whole)[:-KEEP]:
            for part in old.parent.glob(old.name + "*"):
                part.unlink(missing_ok=True)
        log.error("store=%s is damaged (%s): moved aside to .bad-%s; what it held comes again", self.path, why, stamp)
        return Path(f"{self.path}.bad-{stamp}")


def schema() -> str:
    return Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")


def get_meta(connection: sqlite3.Connection, name: str, default: str = "") -> str:
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return str(row[0]) if row else default


def set_meta(connection: sqlite3.Connection, name: str, value: str) -> None:
    connection.execute(
        "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )


def set_aside(connection: sqlite3.Connection, topic: str, problem: str, payload: bytes) -> None:
    """Keep a message that could not be used, for a person to look at; the newest 1,000 stay."""
    connection.execute(
        "INSERT INTO aside (topic, problem, payload, wall_ms) VALUES (?, ?, ?, ?)",
        (topic, problem, payload[:65536], time.time_ns() // 1_000_000),
    )
    connection.execute("DELETE FROM aside WHERE id <= (SELECT max(id) FROM aside) - 1000")


def _resolve(results: list[tuple[asyncio.Future[Any], Any, BaseException | None]]) -> None:
    for future, value, error in results:
        if future.done():
            continue  # its task was cancelled meanwhile
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
