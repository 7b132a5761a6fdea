"""The store: migrations make what the schema says, one writer, an audit log that shows tampering."""

from __future__ import annotations

import importlib
import pkgutil
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from cloud import audit
from cloud import store as tables
from cloud.store import schema
from cloud.store.database import Busy, Plain, Store


def test_the_migrations_make_the_schema(tmp_path: Path) -> None:
    for module in pkgutil.iter_modules(tables.__path__):  # each file's tables are known once it is loaded
        importlib.import_module(f"{tables.__name__}.{module.name}")
    store = Store("sqlite:///unused", tmp_path / "cloud.db")
    with store.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
    store.close()


def test_it_is_durable_and_has_one_writer(tmp_path: Path) -> None:
    store = Store("sqlite:///unused", tmp_path / "cloud.db")
    with store.write() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
    with pytest.raises(sa.exc.OperationalError), store.read() as connection:
        connection.execute(sa.delete(schema.jobs))
    with pytest.raises(Busy, match="another tillwire-cloud"):
        Store("sqlite:///unused", tmp_path / "cloud.db")
    store.close()
    Store("sqlite:///unused", tmp_path / "cloud.db").close()


def test_writers_take_turns(tmp_path: Path) -> None:
    store = Store("sqlite:///unused", tmp_path / "cloud.db")
    with store.write() as connection:
        connection.execute(sa.insert(schema.merchants).values(id="m", name="M", created_at=1))

    def count_up() -> None:
        for _ in range(50):
            with store.write() as connection:
                (count,) = connection.execute(sa.select(schema.merchants.c.order_count)).one()
                connection.execute(sa.update(schema.merchants).values(order_count=count + 1))

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as connection:
        assert connection.execute(sa.select(schema.merchants.c.order_count)).scalar() == 200
    store.close()


def test_a_plain_statement_does_what_the_compiled_one_does(tmp_path: Path) -> None:
    store = Store("sqlite:///unused", tmp_path / "cloud.db")
    insert = Plain(store.dialect, sa.insert(schema.papers))
    rows = [{"merchant_id": "m", "job_id": str(n), "raw": bytes([n]), "reading": None} for n in range(5)]
    with store.write() as connection:
        insert.many(connection, rows)
        insert.many(connection, [])
    with store.read() as connection:
        found = connection.execute(sa.select(schema.papers).order_by(schema.papers.c.job_id))
        assert [dict(row._mapping) for row in found] == rows
    store.close()


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    store = Store("sqlite:///unused", tmp_path / "cloud.db")
    with pytest.raises(ZeroDivisionError), store.write() as connection:
        connection.execute(sa.insert(schema.merchants).values(id="m", name="M", created_at=1))
        raise ZeroDivisionError
    with store.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(schema.merchants)).scalar() == 0
    store.close()


@pytest.mark.parametrize("change", ["who = 'nobody'", "detail = 'x'", "at = at + 1"])
def test_a_change_in_the_audit_log_shows(tmp_path: Path, change: str) -> None:
    store = Store("sqlite:///unused", tmp_path / "cloud.db")
    with store.write() as connection:
        for n in range(5):
            audit.add(connection, "m", "anna", "order.accept", f"order {n}")
        assert audit.first_broken(connection) is None
        connection.exec_driver_sql(f"UPDATE audit SET {change} WHERE n = 3")
        assert audit.first_broken(connection) == 3
        connection.exec_driver_sql("DELETE FROM audit WHERE n = 3")
        assert audit.first_broken(connection) == 4
    store.close()
