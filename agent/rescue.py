"""What can still be read of a damaged agent.db comes into the new one: the outbox, slips, cancels, alerts.

Whatever is missing the relay and the cloud tell again: un-acknowledged jobs, the fates of slips, orders. So each row is
taken only where all of it makes sense, and none is needed. The damaged file is copied first and stays as it was found.

SQLite reads each table from both ends up to the damage, and in between wherever a row number leads to a whole page. A
ruined first page (the file's header and the tables' places) is replaced by that of a new file: the tables of one
release lie at the same places. Where they do not, no row fits, and none is taken.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from agent import journals, slips
from wire import messages
from wire.messages import BadMessage, Captured, OrderState, Proof, Tombstone

log = logging.getLogger("tillwire.agent")

TYPES = {"t": str, "i": int, "b": bytes}
NUMBERED = ("outbox", "slips", "cancels", "alerts")  # the others are kept by their first column
META = ("clock_floor", "commands", "mqtt_version", "held_message")  # others would hide what is to be told again
FAR = 1 << 40  # above every row number
FRESH = "agent.db.fresh"
Values = tuple[object, ...]
Fits = Callable[[Values], bool]


def _nothing_more(_values: Values) -> bool:
    return True


def _outbox(values: Values) -> bool:
    """The body is a whole message, and says what stands beside it."""
    leaf, kind, message_id, epoch, seq, sha256, _size, _withheld, body = values
    assert isinstance(leaf, str) and isinstance(body, bytes)
    try:
        message = messages.decode(leaf, messages.pack(body))
    except BadMessage:
        return False
    key: Values
    if isinstance(message, Captured):
        key = ("job", message.epoch, message.seq, message.sha256)
    elif isinstance(message, Tombstone):
        key = ("tomb", message.epoch, message.first, None)
    else:
        key = ("message", None, None, None)
    return (kind, epoch, seq, sha256) == key and message_id == message.id


def _slip(values: Values) -> bool:
    slip = slips.Slip(*values)  # type: ignore[arg-type]
    try:
        slip.what(), OrderState(slip.state), Proof(slip.proof)
    except (ValueError, msgspec.DecodeError):
        return False
    return True


def _meta(values: Values) -> bool:
    name, value = values
    return name in META and (name != "clock_floor" or str(value).isdigit())


# table, its columns, their types (- anything), what else must be true of a row. All but the outbox's id.
TABLES: tuple[tuple[str, str, str, Fits], ...] = (
    ("outbox", "leaf, kind, message_id, epoch, seq, sha256, size, withheld, body", "ttt---iib", _outbox),
    ("slips", slips.COLUMNS, "ttiitiititittiitiib", _slip),
    ("cancels", "order_id, part, copy_number, attempt, reason, wall_ms", "ttiiti", _nothing_more),
    ("alerts", "kind, subject, text, sound, say, state, boot, mono_ms, wall_ms", "tttttttii",
     lambda values: values[5] in ("sounding", "acknowledged", "escalated")),
    ("meta", "name, value", "tt", _meta),
    ("journals", "epoch, last", "ti", _nothing_more),
)  # fmt: skip


def bring_home(bad: Path, connection: sqlite3.Connection, fresh: str) -> int:
    """Rows of the file `bad`, and of its WAL, into the open new agent.db. -> how many. `fresh`: the schema's script.

    Raises sqlite3.Error and OSError where the new file cannot be written: then nothing of it is there.
    """
    copy = bad.with_name("agent.db.reading")
    taken = 0
    try:
        connection.execute("BEGIN IMMEDIATE")
        for transplanted in (False, True):
            _copy(bad, copy)
            if transplanted:
                _new_first_page(copy, fresh)
            with closing(sqlite3.connect(copy, isolation_level=None)) as old:
                old.text_factory = lambda raw: raw.decode(errors="replace")
                taken = sum(_table(old, connection, *table) for table in TABLES)
                taken += _runs(old, connection)
            if taken:
                break
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    finally:
        for ending in ("", "-wal", "-shm"):
            copy.with_name(copy.name + ending).unlink(missing_ok=True)
    return taken


def _copy(bad: Path, copy: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        target = copy.with_name(copy.name + ending)
        target.unlink(missing_ok=True)
        source = bad.with_name(bad.name + ending)
        if ending != "-shm" and source.exists():
            shutil.copyfile(source, target)


def _new_first_page(copy: Path, schema: str) -> None:
    """Source: SQLite database file format, section 1.3: the page size is at 16, the number of pages at 28."""
    fresh = copy.with_name(FRESH)
    try:
        with closing(sqlite3.connect(fresh)) as made:
            made.executescript(schema)
            made.execute("PRAGMA journal_mode = WAL")
        first = bytearray(fresh.read_bytes())
    finally:
        for ending in ("", "-wal", "-shm"):
            fresh.with_name(fresh.name + ending).unlink(missing_ok=True)
    size = int.from_bytes(first[16:18], "big")
    del first[size:]
    content = copy.read_bytes()
    first[28:32] = (len(content) // size).to_bytes(4, "big")
    copy.write_bytes(bytes(first) + content[size:])


def _table(old: sqlite3.Connection, new: sqlite3.Connection, table: str, columns: str, types: str, fits: Fits) -> int:
    taken = 0
    marks = ", ".join("?" * len(types))
    for values in _rows(old, table, columns):
        if _makes_sense(values, types) and fits(values):
            done = new.execute(f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})", values)
            taken += done.rowcount
    return taken


def _makes_sense(values: Values, types: str) -> bool:
    return all(
        kind == "-" or (type(value) is TYPES[kind] and not (kind == "t" and "\ufffd" in str(value)))
        for value, kind in zip(values, types, strict=True)
    )


def _runs(old: sqlite3.Connection, new: sqlite3.Connection) -> int:
    """`taken` is made of runs that do not touch: put together anew."""
    count = 0
    for epoch, first, last in _rows(old, "taken", "epoch, first, last"):
        if type(epoch) is str and type(first) is int and type(last) is int and 0 < first <= last < FAR:
            journals.taken(new, epoch, first, last)
            count += 1
    return count


def _rows(old: sqlite3.Connection, table: str, columns: str) -> Iterator[Values]:
    """Every row that SQLite can reach, some twice."""
    try:
        if table in NUMBERED:
            yield from _by_number(old, table, columns)
        else:
            yield from old.execute(f"SELECT {columns} FROM {table}")
    except sqlite3.DatabaseError as error:
        log.warning("store=%s not all of it can be read: %s", table, error)
    try:
        order = "rowid" if table in NUMBERED else columns.partition(",")[0]
        yield from old.execute(f"SELECT {columns} FROM {table} NOT INDEXED ORDER BY {order} DESC")
    except sqlite3.DatabaseError:
        pass  # the damage, from its other side


def _by_number(old: sqlite3.Connection, table: str, columns: str) -> Iterator[Values]:
    """Past what cannot be read in ever longer steps. Raises sqlite3.DatabaseError where nothing of it can be."""
    at, step, trouble = -1, 1, None
    read = f"SELECT rowid, {columns} FROM {table} NOT INDEXED WHERE rowid > ? ORDER BY rowid"
    while at < FAR:
        try:
            for number, *values in old.execute(read, (at,)):
                at, step = number, 1
                yield tuple(values)
            return
        except sqlite3.DatabaseError as error:
            at, step, trouble = at + step, 2 * step, error
    assert trouble is not None
    raise trouble
