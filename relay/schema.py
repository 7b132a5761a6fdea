"""An older capture.db is brought to this release's schema before it is opened: by `tillwire migrate`, as a child, as
the relay has nothing to migrate with. The journal's thread waits for it; the loop prints on, and what it captures
meanwhile waits in memory, as behind a slow disk.
"""

from __future__ import annotations

import logging
import sqlite3
import sys
from pathlib import Path

SCHEMA = 2  # PRAGMA user_version; the steps to it are in agent/migrations.py
COMMAND = [str(Path(sys.executable).with_name("tillwire")), "migrate", "--capture-db"]
LIMIT_S = 600.0
HEADER = 100  # https://sqlite.org/fileformat2.html#the_database_header; user_version is at 60
log = logging.getLogger("relay.journal")


class NotMigrated(sqlite3.DatabaseError):
    """It is of an older release and could not be brought up: it is put aside, and its rows come home by rescue.py."""


class Old(sqlite3.DatabaseError):
    """Only its WAL told that it is of an older release: the power failed, and then the box was updated."""


def is_old(path: Path) -> bool:
    """Told by the file's own header: to open it would already change it. Where only the WAL knows, Store raises Old."""
    try:
        with path.open("rb") as file:
            head = file.read(HEADER)
    except FileNotFoundError:
        return False
    return head.startswith(b"SQLite format 3\0") and 0 < int.from_bytes(head[60:64], "big") < SCHEMA


def bring_up(path: Path) -> None:
    """Raises NotMigrated."""
    import subprocess  # rarely needed, and 350 KB

    log.warning("journal=migrating file=%s to=%d hint=printing goes on", path, SCHEMA)
    try:
        done = subprocess.run([*COMMAND, str(path)], capture_output=True, text=True, timeout=LIMIT_S, cwd="/")
    except (OSError, subprocess.SubprocessError) as error:
        raise NotMigrated(f"tillwire migrate: {error}") from error
    said = " ".join((done.stdout + done.stderr).split())
    if done.returncode:
        raise NotMigrated(f"tillwire migrate ended with {done.returncode}: {said}")
    log.info("journal=migrated %s", said)
