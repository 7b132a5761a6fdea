"""By design, not by luck: on SQLite no statement of counting, searching or figures reads a large table from end to end.

SQLite plans by rules where it has no statistics, so an empty database plans as one with a million receipts does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cloud import analytics, complete, corrections, figures, search, segments
from cloud.analytics import Span
from cloud.search import Wanted
from cloud.store.database import Store
from receipt.model import Item, Kind, Receipt
from tests.cloud.shop_of_receipts import NOON, add_job, add_shop, new_store

M = "m"
LARGE = ("jobs", "receipts", "facts", "sold", "sums", "corrections", "papers", "first", "later")
SALE = Receipt(kind=Kind.SALE, total=400, currency="EUR", number="7", member="M1", items=(Item("Soup"), Item("Tea")))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with closing(new_store(tmp_path_factory.mktemp("plans"), M)) as one:
        with one.write() as connection:
            add_shop(connection, M, currency="EUR")
        yield one


@contextmanager
def planned(connection: sa.Connection) -> Iterator[list[str]]:
    """What SQLite will do for each statement of the block."""
    steps: list[str] = []

    def look(c: sa.Connection, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if re.match(r"\s*(SELECT|DELETE|UPDATE)", statement):
            rows = cursor.connection.execute("EXPLAIN QUERY PLAN " + statement, parameters)
            steps.extend(f"{row[3]}   <- {' '.join(statement.split())[:300]}" for row in rows)

    sa.event.listen(connection, "before_cursor_execute", look)
    try:
        yield steps
    finally:
        sa.event.remove(connection, "before_cursor_execute", look)


def whole_tables(steps: list[str]) -> list[str]:
    return [step for step in steps if re.match(rf"SCAN ({'|'.join(LARGE)})\b", step)]


def test_a_reading_is_counted_without_reading_a_table(store: Store) -> None:
    with store.write() as connection:
        ids = [add_job(connection, M, SALE, seq=n, started_ms=NOON + n * 1000, count=False) for n in range(1, 6)]
        with planned(connection) as steps:
            figures.apply(connection, [(M, one) for one in ids])
            corrections.keep(connection, M, ids[0], 0, {"total": 500}, {}, "user anna")
            figures.apply(connection, [(M, one) for one in ids[:3]])
        assert len(steps) > 20
        assert whole_tables(steps) == []


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(),
        Wanted(q="12.90"),
        Wanted(q="M1"),
        Wanted(q="lobster"),
        Wanted(q="+43 660 5551234"),
        Wanted(check=True),
        Wanted(counted=True, first="2026-01-01", last="2026-12-31", item="soup"),
        Wanted(customer="c", currency="EUR"),
        Wanted(cashier="Anna", kind="void", weekday="3", begins="22:00"),
        Wanted(table="7"),
        Wanted(amount="4.00"),
    ],
    ids=lambda wanted: "-".join(wanted.fields()) or "all",
)
def test_a_search_begins_at_an_index(store: Store, wanted: Wanted) -> None:
    with store.read() as connection, planned(connection) as steps:
        search.find(connection, M, wanted)
        search.counted(connection, M, wanted)
    assert steps
    assert whole_tables(steps) == []
    ordered = [step for step in steps if step.startswith("USE TEMP B-TREE FOR ORDER BY") and "ilike" not in step]
    assert ordered == [], "a page is sorted as a whole before its first row"


def test_figures_are_read_by_day_and_dimension(store: Store) -> None:
    today = date(2026, 9, 21)
    span = Span(M, "EUR", today - timedelta(days=364), today)
    with store.read() as connection, planned(connection) as steps:
        analytics.totals(connection, span)
        analytics.currencies(connection, M, span.first, span.last)
        analytics.by_day(connection, span)
        analytics.heat(connection, span)
        analytics.by_value(connection, span, "item")
        analytics.pairs(connection, span)
    assert whole_tables(steps) == []
    assert all("dim=?" in step for step in steps if step.startswith("SEARCH sums")), steps


def test_customers_are_read_from_one_index_alone(store: Store) -> None:
    today = date(2026, 9, 21)
    with store.read() as connection, planned(connection) as steps:
        of = segments.visits(connection, M, "EUR", today)
        segments.matched(connection, M, of, today)
        complete.days(connection, M, today - timedelta(days=28), today)
    assert whole_tables(steps) == []
    assert any("COVERING INDEX ix_facts_visits" in step for step in steps)


def test_the_rule_sees_a_table_that_is_read_whole(store: Store, tmp_path: Path) -> None:
    with store.read() as connection, planned(connection) as steps:
        connection.execute(sa.text("SELECT job_id FROM facts WHERE covers = 3")).all()
        connection.execute(
            sa.text("SELECT * FROM jobs WHERE (merchant_id, id) IN (VALUES ('a', 'b'), ('c', 'd'))")
        ).all()
    assert len(whole_tables(steps)) == 2
