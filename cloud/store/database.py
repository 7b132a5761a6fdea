"""The door to the database: one writer on SQLite, a pool on PostgreSQL; and the schema brought up to date at start.

On SQLite the service holds `<file>.lock` while it runs, so that no second process writes: commands find the service
through its admin socket (cloud/admin.py) and let it write for them.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

MIGRATIONS = Path(__file__).with_name("migrations")
PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "busy_timeout=10000",
    "foreign_keys=ON",
    "journal_size_limit=67108864",
)


LAST = "last"  # Connection.info: {function: rows}, called as function(connection, rows) just before the commit


class Busy(Exception):
    """Another tillwire-cloud holds this SQLite file: let it do the work, or stop it first."""


class StoreAway(Exception):
    """The database does not answer. Acknowledge nothing, say 503, try again."""


class Store:
    """The database at `url` (sqlite:///PATH or postgresql://…), migrated. Raises Busy, StoreAway.

    `write()` gives a connection in a transaction that commits when its block ends; on SQLite there is one, and whoever
    comes second waits. `read()` gives a connection that sees one consistent state and cannot write.
    """

    def __init__(self, url: str, path: Path | None = None) -> None:
        self.sqlite = urlsplit(url).scheme == "sqlite"
        self._turn = threading.Lock()
        self._lock: int | None = None
        if self.sqlite:
            if path is None:
                path = Path("/" + urlsplit(url).path.lstrip("/"))
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = take(path.with_name(path.name + ".lock"))
            self._writer = _sqlite(path, StaticPool)
            self._reader = _sqlite(path, None)
        else:
            address = sa.make_url(url).set(drivername="postgresql+psycopg")
            timeouts = "-c statement_timeout=30000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=20000"
            args = {"connect_timeout": 5, "options": timeouts}
            self._writer = sa.create_engine(address, pool_size=10, pool_pre_ping=True, connect_args=args)
            self._reader = self._writer
        self.dialect = self._writer.dialect
        try:
            migrate(self._writer)
        except sa.exc.DBAPIError as error:
            self.close()
            raise StoreAway(f"the database at {sa.make_url(url)!r} cannot be opened: {error.orig}") from error

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        if not self.sqlite:
            with self._writer.begin() as connection:
                info = connection.info  # of a connection that broke it could not be had any more
                last = info[LAST] = {}
                try:
                    yield connection
                    for work, rows in last.items():
                        work(connection, rows)
                finally:
                    info.pop(LAST, None)
            return
        with self._turn, self._writer.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        with self._reader.begin() as connection:
            yield connection

    def answers(self) -> bool:
        """Whether the database does, now."""
        try:
            with self.read() as connection:
                connection.execute(sa.text("SELECT 1"))
            return True
        except sa.exc.SQLAlchemyError:
            return False

    def close(self) -> None:
        if self.sqlite:
            with self._turn:
                self._writer.dispose()
        self._reader.dispose()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def migrate(engine: sa.Engine) -> None:
    """Bring the schema up to date. Alembic is loaded only where there is something to do."""
    newest = max(file.name.split("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))
    with engine.connect() as connection:
        if sa.inspect(connection).has_table("alembic_version"):
            row = connection.execute(sa.text("SELECT version_num FROM alembic_version")).first()
            if row is not None and row[0] == newest:
                return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":  # two that start at once
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(7411733)"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _sqlite(path: Path, pool: type[sa.Pool] | None) -> sa.Engine:
    readonly = pool is None

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
        for pragma in (*PRAGMAS, *(("query_only=ON",) if readonly else ())):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    pooling: dict[str, Any] = {"pool_size": 8, "max_overflow": 32} if pool is None else {"poolclass": pool}
    engine = sa.create_engine("sqlite://", creator=connect, **({"poolclass": sa.QueuePool} | pooling))

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:  # the driver's own BEGIN is off: a deferred one would fail late
        connection.exec_driver_sql("BEGIN" if readonly else "BEGIN IMMEDIATE")

    return engine


def take(path: Path) -> int:
    """Hold the lock file of a SQLite database -> its descriptor. Raises Busy."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise Busy(f"{path} is held by another tillwire-cloud: stop it first, or let it do the work") from None
    return lock
