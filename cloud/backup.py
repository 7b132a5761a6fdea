"""A copy of the SQLite file while the service runs, and the way back. PostgreSQL has its own tools for both.

What boxes sent after the backup is not lost: their statuses tell how far they had been acknowledged, the cloud sees the
hole and asks, and they send again what they keep for `keep_days`. Orders and logins made since are gone.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from cloud import audit
from cloud.admin_door import Refused
from cloud.store.database import Store, take
from config.cloud import CloudConfig

LEAP = 1_000_000  # numbers of events that a restored database leaves out: they may have been told to somebody


def backup(config: CloudConfig, file: Path) -> str:
    """A consistent copy in one file, at `file` only when it is whole and on disk. -> what to tell. Raises Refused."""
    path = _path(config)
    if not path.exists():
        raise Refused(f"there is no database at {path}")
    new = file.with_name(file.name + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)  # it holds receipts and hashes
    try:
        with (
            closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(new)) as copy,
        ):
            source.backup(copy)  # all of it in one step: a snapshot, and nobody who writes has to wait
            copy.execute("PRAGMA journal_mode = DELETE")
        _check(new)
        os.fsync(descriptor)
        new.replace(file)
        _sync_folder(file.parent)
    except sqlite3.Error as error:
        raise Refused(f"{path} cannot be copied to {file}: {error}") from error
    finally:
        os.close(descriptor)
        new.unlink(missing_ok=True)
    return f"{file}: {file.stat().st_size} bytes"


def restore(config: CloudConfig, file: Path) -> str:
    """Put a backup in the place of the database; that is kept beside it. -> what to tell. Raises Refused, Busy."""
    path = _path(config)
    if not file.is_file():
        raise Refused(f"there is no file {file}")
    _check(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = take(path.with_name(path.name + ".lock"))
    kept = ""
    try:
        new = path.with_name(path.name + ".new")
        new.unlink(missing_ok=True)
        with (
            closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(new)) as copy,
        ):
            source.backup(copy)
            _leap(copy, path)
            copy.execute("PRAGMA journal_mode = DELETE")
        new.chmod(0o600)
        with new.open("rb") as whole:
            os.fsync(whole.fileno())
        if path.exists():
            old = path.with_name(f"{path.name}.before-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
            for end in ("", "-wal", "-shm"):
                if (part := path.with_name(path.name + end)).exists():
                    part.replace(old.with_name(old.name + end))
            kept = f"; what was there is {old}"
        new.replace(path)
        _sync_folder(path.parent)
    except sqlite3.Error as error:
        raise Refused(f"{file} cannot be restored: {error}") from error
    finally:
        os.close(lock)
    store = Store(config.store.url, path)
    try:
        with store.write() as connection:
            audit.add(connection, None, "operator", "store.restore", file.name)
        with store.read() as connection:
            anchor = audit.end_of(connection, audit.RESTORED)
        if anchor is not None:
            audit.write_anchor(config.audit_anchors, anchor)
    finally:
        store.close()
    return f"restored {file}{kept}"


def _path(config: CloudConfig) -> Path:
    path = config.sqlite_path
    if path is None:
        raise Refused("[store] url is PostgreSQL: use pg_dump, or continuous archiving, see docs/operator.md")
    return path


def _check(file: Path) -> None:
    """Raises Refused for what is no whole database of ours."""
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise Refused(f"{file} is no backup of tillwire-cloud: {error}") from error
    if found != "ok":
        raise Refused(f"{file} is damaged: {found}")


def _leap(copy: sqlite3.Connection, current: Path) -> None:
    """Events go on above every number that the database in use has given, also when that cannot be read any more."""
    highest = 0
    if current.exists():
        try:
            with closing(sqlite3.connect(f"file:{current}?mode=ro", uri=True)) as old:
                row = old.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
                highest = row[0] if row else 0
        except sqlite3.Error:
            pass
    row = copy.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    highest = max(highest, row[0] if row else 0) + LEAP
    if row:
        copy.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'events'", (highest,))
    else:
        copy.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ?)", (highest,))
    copy.commit()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
