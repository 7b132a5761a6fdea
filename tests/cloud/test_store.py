"""The store: migrations make what the schema says, one writer, an audit log that shows tampering."""

from __future__ import annotations

import importlib
import pkgutil
import threading
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from cloud import audit
from cloud import store as tables
from cloud.store import columns, figures, schema
from cloud.store.database import Busy, Store
from cloud.store.rows import add, insert, update


def test_the_migrations_make_the_schema(tmp_path: Path) -> None:
    for module in pkgutil.iter_modules(tables.__path__):  # each file's tables are known once it is loaded
        importlib.import_module(f"{tables.__name__}.{module.name}")
    store = Store("sqlite:///unused", tmp_path / "cloud.db")
    with store.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), columns.metadata) == []
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


def rows_of(store: Store, table: sa.Table) -> list[dict[str, object]]:
    with store.read() as connection:
        return [dict(row._mapping) for row in connection.execute(sa.select(table).order_by(*table.primary_key.columns))]


def many_rows(store: Store) -> None:
    """Whatever the database: inserted, changed, added to, and refused as a whole."""
    sheets = [{"merchant_id": "m", "job_id": str(n), "raw": bytes(range(n)), "reading": None} for n in range(5)]
    sums = {"merchant_id": "m", "shop": "", "currency": "EUR", "dim": "all", "day": "2026-11-22", "value": ""}
    with store.write() as connection:
        insert(connection, schema.papers, sheets)
        for work in (insert, lambda c, t, r: update(c, t, ("merchant_id",), r), lambda c, t, r: add(c, t, ("n",), r)):
            work(connection, schema.papers, [])
        changes = [{"merchant_id": "m", "job_id": n, "reading": b"read" + n.encode()} for n in ("1", "3", "none")]
        update(connection, schema.papers, ("merchant_id", "job_id"), changes)
        for amount, quantity in ((500, 1.5), (-200, 2.0)):
            new = sums | {"amount": amount, "quantity": quantity}
            add(connection, figures.sums, tuple(sums), [new, new | {"day": "2026-11-23"}])
    changed = {"1": b"read1", "3": b"read3"}
    assert rows_of(store, schema.papers) == [s | {"reading": changed.get(str(s["job_id"]))} for s in sheets]
    found = rows_of(store, figures.sums)
    assert [(row["day"], row["amount"], row["quantity"]) for row in found] == [
        ("2026-11-22", 300, 3.5),
        ("2026-11-23", 300, 3.5),
    ]
    with pytest.raises(sa.exc.IntegrityError), store.write() as connection:
        insert(connection, schema.papers, [{**sheets[0], "job_id": "new"}, sheets[1]])
    assert len(rows_of(store, schema.papers)) == 5


def test_many_rows_at_once(tmp_path: Path) -> None:
    with closing(Store("sqlite:///unused", tmp_path / "cloud.db")) as store:
        many_rows(store)


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


SHARED = {  # tables that no merchant's row is looked up in by merchant alone: whole on every node, or on one
    "merchants": "the tenants themselves",
    "sessions": "found by a token, before anybody knows whose it is",
    "boxes": "a box's name is the same for all merchants: the broker knows boxes, not merchants",
    "epochs": "(box, epoch) belongs to one merchant for ever: another one's is refused by it",
    "claims": "found by a code",
    "audit": "one chain",
    "events": "numbered in one row",
    "set_aside": "what may be nobody's",
    "workers": "of the deployment",
    "shards": "of the deployment",
    "oauth_clients": "one program, many merchants",
    "oauth_codes": "found by a code",
    "oauth_tokens": "found by a token",
    "visits": "found by a cookie",
}
FOUND_BEFORE = {  # unique in all of the deployment, and looked up before the merchant is known
    ("users", "name"),
    ("api_keys", "key_hash"),
    ("channel_doors", "token_hash"),
    ("fronts", "slug"),
    ("dining_tables", "key"),
    ("guest_orders", "link_hash"),
}


def test_the_merchant_is_in_every_key_of_what_is_spread_by_merchant() -> None:
    """What Citus asks of a distributed table: its primary key and every unique key hold the column it is spread by."""
    assert set(SHARED) <= set(columns.metadata.tables)
    without = set()
    for table in columns.metadata.sorted_tables:
        assert not table.foreign_keys, f"{table.name}: a foreign key may lead to another merchant's node"
        if table.name in SHARED:
            continue
        assert "merchant_id" in table.primary_key.columns, f"{table.name} cannot be spread by merchant"
        keys = [c for c in table.constraints if isinstance(c, sa.UniqueConstraint)]
        unique = [tuple(c.name for c in key.columns) for key in [*keys, *(i for i in table.indexes if i.unique)]]
        without |= {(table.name, *names) for names in unique if "merchant_id" not in names}
    assert without == FOUND_BEFORE, "see docs/operator.md, PostgreSQL over several nodes"
