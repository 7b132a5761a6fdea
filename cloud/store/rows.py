"""Many rows of a table in one call, past what SQLAlchemy does for each row: ingest and figures write hundreds at once.

`insert`, `update` and `add` take rows as {column: value}, all with the same columns, those of keys among them; the
schema's defaults in Python do not apply. On SQLite one prepared statement runs for each row; on PostgreSQL it is one
COPY, or one statement over arrays: one answer to wait for, however many rows. Raises what SQLAlchemy raises.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

Rows = list[dict[str, Any]]
Row = tuple[Any, ...]


def insert(connection: sa.Connection, table: sa.Table, rows: Rows) -> None:
    """Raises IntegrityError where a key is there already."""
    if rows:
        names = tuple(rows[0])
        insert_tuples(connection, table, names, [tuple(row[name] for name in names) for row in rows])


def insert_tuples(connection: sa.Connection, table: sa.Table, names: Sequence[str], rows: Sequence[Row]) -> None:
    """The same with rows that hold their values in the order of `names`."""
    if not rows:
        return
    into = f"{table.name} ({', '.join(names)})"
    with _driver(connection) as cursor:
        if connection.dialect.name == "sqlite":
            cursor.executemany(f"INSERT INTO {into} VALUES ({_marks(names)})", rows)
            return
        with cursor.copy(f"COPY {into} FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types([_type(table, name) for name in names])
            for row in rows:
                copy.write_row(row)


def update(connection: sa.Connection, table: sa.Table, keys: Sequence[str], rows: Rows) -> None:
    """Set the other columns of the rows that have these keys."""
    if not rows:
        return
    values = tuple(name for name in rows[0] if name not in keys)
    if connection.dialect.name == "sqlite":
        sets, where = ", ".join(f"{v} = ?" for v in values), " AND ".join(f"{k} = ?" for k in keys)
        _each(connection, f"UPDATE {table.name} SET {sets} WHERE {where}", (*values, *keys), rows)
        return
    names = (*values, *keys)
    sets, where = ", ".join(f"{v} = new.{v}" for v in values), " AND ".join(f"t.{k} = new.{k}" for k in keys)
    _over_arrays(
        connection, f"UPDATE {table.name} t SET {sets} FROM {_unnest(table, names)} WHERE {where}", names, rows
    )


def add(connection: sa.Connection, table: sa.Table, keys: Sequence[str], rows: Rows) -> None:
    """Add the other columns' numbers to the rows that have these keys; a row that is not there is made."""
    if not rows:
        return
    names = tuple(rows[0])
    sets = ", ".join(f"{n} = {table.name}.{n} + excluded.{n}" for n in names if n not in keys)
    into, then = (
        f"INSERT INTO {table.name} ({', '.join(names)})",
        f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {sets}",
    )
    if connection.dialect.name == "sqlite":
        _each(connection, f"{into} VALUES ({_marks(names)}) {then}", names, rows)
    else:
        _over_arrays(connection, f"{into} SELECT * FROM {_unnest(table, names)} {then}", names, rows)


def among(connection: sa.Connection, columns: Sequence[Any], values: Sequence[tuple[Any, ...]]) -> Any:
    """A condition: these columns have one of these values, and an index on them is used.

    SQLite reads the whole table for (a, b) IN (VALUES …) of more than one row; for IN (SELECT …) it uses the index.
    """
    these = sa.tuple_(*columns)
    if connection.dialect.name != "sqlite":
        return these.in_(values)
    each = sa.func.json_each(json.dumps(values)).table_valued("value")
    return these.in_(sa.select(*(sa.func.json_extract(each.c.value, f"$[{n}]") for n in range(len(columns)))))


def _each(connection: sa.Connection, statement: str, names: Sequence[str], rows: Rows) -> None:
    with _driver(connection) as cursor:
        cursor.executemany(statement, [tuple(row[name] for name in names) for row in rows])


def _over_arrays(connection: sa.Connection, statement: str, names: Sequence[str], rows: Rows) -> None:
    with _driver(connection) as cursor:
        cursor.execute(statement, [[row[name] for row in rows] for name in names])


@contextmanager
def _driver(connection: sa.Connection) -> Iterator[Any]:
    """The driver's own cursor. Its errors come out as SQLAlchemy's, and a connection that broke leaves the pool."""
    dialect = connection.dialect
    cursor = connection.connection.cursor()
    try:
        yield cursor
    except dialect.loaded_dbapi.Error as error:
        broken = dialect.is_disconnect(error, connection.connection.dbapi_connection, None)
        if broken:
            connection.invalidate(error)
        raise sa.exc.DBAPIError.instance(
            None, None, error, dialect.loaded_dbapi.Error, connection_invalidated=broken, dialect=dialect
        ) from error
    finally:
        cursor.close()


def _marks(names: Sequence[str]) -> str:
    return ", ".join("?" * len(names))


def _unnest(table: sa.Table, names: Sequence[str]) -> str:
    return f"unnest({', '.join(f'%s::{_type(table, name)}[]' for name in names)}) AS new ({', '.join(names)})"


@functools.cache
def _type(table: sa.Table, name: str) -> str:
    """PostgreSQL's word for a column's type."""
    kind = table.c[name].type.compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]
    return {"BIGSERIAL": "int8", "BIGINT": "int8", "INTEGER": "int4", "BOOLEAN": "bool", "FLOAT": "float8"}.get(
        kind, kind
    ).lower()
