"""Bring the box's databases to this version's schema, with sqlite-utils. Run by `tillwire migrate` alone.

Each database has a set of migrations; one that has run is recorded in the file (`_sqlite_migrations`), and the file's
user_version tells the programs what they find. Version 1 is what the programs themselves make of a new file.

Adding one: write a function below `CAPTURE` or `AGENT` that takes a sqlite_utils.Database and ends with the new
user_version; bring schema.sql and SCHEMA_VERSION of agent/store.py (journal.sql and SCHEMA of relay/schema.py) to the
same version.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations


class CannotMigrate(Exception):
    """The file is not what this version can bring up; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    version: int  # what the programs of this release expect
    steps: Migrations


CAPTURE = Kind("capture", 2, Migrations("capture"))
AGENT = Kind("agent", 3, Migrations("agent"))


@CAPTURE.steps()
def printers_say_what_they_are(database: Database) -> None:
    """2: what each printer answered to a probe."""
    database.execute(
        "CREATE TABLE printers (name TEXT PRIMARY KEY, url TEXT NOT NULL, maker TEXT NOT NULL, says TEXT NOT NULL,"
        " model TEXT NOT NULL, proof TEXT NOT NULL, process_id INTEGER NOT NULL, asked_wall_ms INTEGER NOT NULL)"
        " WITHOUT ROWID"
    )
    database.execute("PRAGMA user_version = 2")


@AGENT.steps()
def journals_of_the_relay(database: Database) -> None:
    """2: the last seq of each journal, and which were taken."""
    database.execute("CREATE TABLE journals (epoch TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID")
    database.execute(
        "CREATE TABLE taken (epoch TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,"
        " PRIMARY KEY (epoch, first)) WITHOUT ROWID"
    )
    database.execute("PRAGMA user_version = 2")


@AGENT.steps()
def cancels_of_parts(database: Database) -> None:
    """3: a cancel may be of one slip; a slip keeps its label, style and other printers with it; alerts speak."""
    import msgspec

    database.execute("ALTER TABLE cancels RENAME TO cancels_2")
    database.execute(
        "CREATE TABLE cancels (order_id TEXT NOT NULL, part TEXT NOT NULL DEFAULT '',"
        " copy_number INTEGER NOT NULL DEFAULT 0, attempt INTEGER NOT NULL DEFAULT 0, reason TEXT NOT NULL,"
        " wall_ms INTEGER NOT NULL, PRIMARY KEY (order_id, part, copy_number))"
    )
    database.execute("INSERT INTO cancels (order_id, reason, wall_ms) SELECT order_id, reason, wall_ms FROM cancels_2")
    database.execute("DROP TABLE cancels_2")
    database.execute("ALTER TABLE alerts ADD COLUMN say TEXT NOT NULL DEFAULT ''")
    for rowid, content in database.execute("SELECT rowid, content FROM slips WHERE content != x''").fetchall():
        what = msgspec.msgpack.encode({"content": msgspec.msgpack.decode(content)})
        database.execute("UPDATE slips SET content = ? WHERE rowid = ?", [what, rowid])
    database.execute("PRAGMA user_version = 3")


def migrate(path: Path, kind: Kind) -> str:
    """-> what was done, for people. A copy of the file as it was stays beside it (`.before-N`) while it changes."""
    if not path.exists():
        return "not there yet: the programs make it"
    database = Database(path, execute_plugins=False)
    try:
        found = database.conn.execute("PRAGMA user_version").fetchone()[0]
        if found > kind.version:
            raise CannotMigrate(
                f"{path} has schema {found}, this release knows {kind.version}: install the newer release again"
            )
        if found == kind.version:  # also of a new file, which no step has touched
            return f"schema {found}, nothing to do"
        copy = path.with_name(f"{path.name}.before-{kind.version}")
        database.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy2(path, copy)
        kind.steps.apply(database)
        now = database.conn.execute("PRAGMA user_version").fetchone()[0]
        if now != kind.version:
            raise CannotMigrate(f"{path} has schema {now} after all steps, not {kind.version}; the copy is {copy}")
        return f"schema {found} brought to {now}; the file as it was: {copy}"
    finally:
        database.close()
