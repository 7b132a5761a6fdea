"""The console over many receipts: how long Today, the search and the pages of analysis take, over HTTP, one at a time.

A month of a busy shop (tests/demo_shop.py: made, and counted by cloud/figures.py) is laid down again and again, four
weeks further back each time, by executemany into SQLite or COPY into PostgreSQL: three years with a million receipts.

    python -m bench console            SQLite, 1,000,000 receipts
    python -m bench.console N          so many
    python -m bench.console N pg       into a PostgreSQL server of its own; 10,000,000 need some 55 GB and an hour
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa

from cloud.store import figures as tables
from cloud.store.database import Store
from cloud.store.schema import boxes, epochs, jobs, merchants, receipts
from tests.cloud.conftest import PASSWORD, Cloud
from tests.cloud.postgres import Postgres
from tests.demo_shop import fill

WEEKS = 4
ROUNDS = 25
TARGET_MS = 300
ONCE = (tables.shops, tables.shop_boxes, boxes, epochs, tables.customers, tables.customer_keys, tables.items)
PAGES = {
    "Today": "/",
    "receipts": "/receipts",
    "receipts: a total": "/receipts?q=12.90",
    "receipts: a number": "/receipts?q=%(number)s",
    "receipts: an item": "/receipts?q=lobster",
    "receipts: a word that is nowhere": "/receipts?q=zzyzx",
    "receipts: a member": "/receipts?q=M4003",
    "receipts to look at": "/receipts?check=1",
    "a figure's receipts: of an item, a year": "/receipts?item=gin+tonic&counted=1&first=%(year)s",
    "a figure's receipts: with a tip, a year": "/receipts?has=tip&kind=sale&counted=1&first=%(year)s",
    "a figure's receipts: a pair, a year": "/receipts?item=gin+tonic&also=olives&counted=1&first=%(year)s",
    "analysis, 28 days": "/analysis",
    "analysis, a year": "/analysis?range=365",
    "items, 28 days": "/analysis/items",
    "items, a year": "/analysis/items?range=365",
    "people and money": "/analysis/people?range=90",
    "compared": "/analysis/compare?range=90",
    "customers": "/customers",
    "completeness": "/receipts/completeness",
    "boxes": "/boxes",
}


def main(quick: bool = False, count: int = 0, postgres: bool = False) -> int:
    count = count or (20_000 if quick else 1_000_000)
    print(f"load average {os.getloadavg()[0]:.1f} (figures mean little above 1)", flush=True)
    with tempfile.TemporaryDirectory(prefix="tillwire-bench-") as folder:
        if not postgres:
            return _run(Path(folder), count, None)
        with closing(Postgres()) as server:
            return _run(Path(folder), count, server.database("many"))


def _run(folder: Path, count: int, url: str | None) -> int:
    base = Base(folder, 700 if count > 200_000 else 60)
    cloud = Cloud(folder, url)
    cloud.command("merchant", "add", "Corner Cafe", "--user", "anna", "--password-stdin", stdin=PASSWORD + "\n")
    began = time.monotonic()
    copies = -(-count // len(base.rows[jobs.name]))
    if url:
        with psycopg.connect(url) as connection:
            merchant = connection.execute("SELECT id FROM merchants").fetchone()[0]  # type: ignore[index]
            later = _without_indexes(connection)
            for table, rows in base.laid(copies, merchant):
                copy: Any = f"COPY {table.name} ({_names(table)}) FROM STDIN"
                with connection.cursor() as into, into.copy(copy) as to:
                    for row in rows:
                        to.write_row(row)
            connection.execute("SET maintenance_work_mem = '1GB'")
            for statement in later:
                connection.execute(statement)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
            size = connection.execute("SELECT pg_database_size(current_database())").fetchone()[0]  # type: ignore[index]
            print(f"{size / 1e9:.1f} GB", flush=True)
    else:
        store = Store("sqlite:///unused", cloud.database)
        with store.write() as connection:
            merchant = connection.execute(sa.select(merchants.c.id)).scalar_one()
            for table, rows in base.laid(copies, merchant):
                marks = ",".join("?" * len(table.columns))
                cursor: Any = connection.connection.cursor()  # rows are made while it reads them
                cursor.executemany(f"INSERT INTO {table.name} ({_names(table)}) VALUES ({marks})", rows)
        store.close()
    print(f"{copies * len(base.rows[jobs.name]):,} receipts laid down in {time.monotonic() - began:.0f} s", flush=True)
    cloud.start()
    try:
        return _measure(cloud, base.number)
    finally:
        cloud.close()


def _without_indexes(connection: psycopg.Connection[Any]) -> list[Any]:
    """Drop what is no key -> the statements that make it again: once over all rows is quicker than row by row."""
    names = [table.name for table in (*ONCE, jobs, receipts, tables.facts, tables.sold, tables.sums)]
    keys = "SELECT conname FROM pg_constraint"
    query = f"SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY(%s) AND indexname NOT IN ({keys})"
    found = connection.execute(query, (names,)).fetchall()
    for name, _ in found:
        connection.execute(f'DROP INDEX "{name}"')  # type: ignore[call-overload]
    return [definition for _, definition in found]


def _measure(cloud: Cloud, number: str) -> int:
    slow, year = 0, (date.today() - timedelta(days=364)).isoformat()
    with closing(cloud.log_in("anna")) as anna:
        anna.timeout = 120
        print("| page | p50 ms | p95 ms | of its CPU, ms | KB |\n|---|---|---|---|---|")
        for name, path in PAGES.items():
            took, size, busy = [], 0, _cpu_ms(cloud)
            for _ in range(ROUNDS):
                began = time.perf_counter()
                answer = anna.get(path % {"number": number, "year": year})
                took.append((time.perf_counter() - began) * 1000)
                size = answer.num_bytes_downloaded
                assert answer.status_code == 200, (path, answer.status_code)
            took.sort()
            p50, p95 = took[len(took) // 2], took[int(len(took) * 0.95)]
            slow += p95 > TARGET_MS
            busy = (_cpu_ms(cloud) - busy) / ROUNDS
            print(f"| {name} | {p50:.0f} | {p95:.0f} | {busy:.0f} | {size / 1000:.0f} |", flush=True)
    print(f"{slow} of {len(PAGES)} above {TARGET_MS} ms")
    return 0


def _cpu_ms(cloud: Cloud) -> float:
    """What the service has used so far: says something on a loaded machine too. Not a database server's."""
    assert cloud.process is not None
    fields = Path(f"/proc/{cloud.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


class Base:
    """Four weeks, in memory: table name -> rows, their values in the order of the table's columns."""

    def __init__(self, folder: Path, per_day: int) -> None:
        (folder / "base").mkdir()
        cloud = Cloud(folder / "base")
        cloud.command("merchant", "add", "Base", "--user", "base", "--password-stdin", stdin=PASSWORD + "\n")
        fill(cloud.database, "Base", months=1, per_day=per_day)
        store = Store("sqlite:///unused", cloud.database)
        first = (date.today() - timedelta(days=7 * WEEKS - 1)).isoformat()
        with store.read() as connection:
            recent = sa.select(tables.facts.c.job_id).where(tables.facts.c.day >= first)
            mine = set(connection.execute(recent).scalars())
            self.rows = {table.name: self._all(connection, table) for table in ONCE}
            for table, key in ((jobs, "id"), (receipts, "job_id"), (tables.facts, "job_id"), (tables.sold, "job_id")):
                rows = self._all(connection, table)
                self.rows[table.name] = [row for row in rows if row[key] in mine]
            self.rows["sums"] = [
                r for r in self._all(connection, tables.sums) if r["dim"] == "pair" or r["day"] >= first
            ]
        store.close()
        self.number = next(r["number"] for r in self.rows["facts"] if r["number"])

    @staticmethod
    def _all(connection: sa.Connection, table: sa.Table) -> list[dict[str, Any]]:
        return [dict(row._mapping) for row in connection.execute(sa.select(table))]

    def laid(self, copies: int, merchant: str) -> Iterator[tuple[sa.Table, Iterable[tuple[Any, ...]]]]:
        for table in ONCE:
            yield table, [_values(table, row | {"merchant_id": merchant}) for row in self.rows[table.name]]
        for table in (jobs, receipts, tables.facts, tables.sold):
            yield table, self._moved(table, copies, merchant)
        yield tables.sums, self._sums(copies, merchant)

    def _moved(self, table: sa.Table, copies: int, merchant: str) -> Iterator[tuple[Any, ...]]:
        rng = random.Random(1)
        top = max(row["seq"] for row in self.rows[jobs.name]) + 1
        for n in range(copies):
            days = Days(n)
            for row in self.rows[table.name]:
                new = row | {"merchant_id": merchant}
                for key in ("id", "job_id"):
                    if key in new:
                        new[key] = days.job(new[key])
                for key in ("started_ms", "ended_ms", "received_at"):
                    if key in new:
                        new[key] -= days.ms
                if "seq" in new:
                    new["seq"] += (copies - n) * top
                    new["sha256"] = rng.randbytes(32)
                if "day" in new:
                    new["day"] = days.day(new["day"])
                if table is tables.facts:
                    new["at"] = days.day(new["at"][:10]) + new["at"][10:]
                if new.get("number"):
                    new["number"] = f"{n}{new['number']}" if n else new["number"]
                yield _values(table, new)

    def _sums(self, copies: int, merchant: str) -> Iterator[tuple[Any, ...]]:
        keys = [c.name for c in tables.sums.primary_key.columns]
        names = [c.name for c in tables.sums.columns if c.name not in keys]
        out: dict[tuple[Any, ...], list[float]] = defaultdict(lambda: [0] * len(names))
        for n in range(copies):
            days = Days(n)
            for row in self.rows["sums"]:
                day = days.day(row["day"])
                new = row | {"merchant_id": merchant, "day": day[:8] + "01" if row["dim"] == "pair" else day}
                into = out[tuple(new[k] for k in keys)]
                for i, name in enumerate(names):
                    into[i] += new[name]
        for key, values in out.items():
            row = dict(zip(keys, key, strict=True)) | dict(zip(names, values, strict=True))
            yield _values(tables.sums, row)


class Days:
    """Four weeks further back, n times."""

    def __init__(self, n: int) -> None:
        self._back = timedelta(weeks=WEEKS * n)
        self.ms = int(self._back.total_seconds() * 1000)
        self._known: dict[str, str] = {}

    def day(self, text: str) -> str:
        found = self._known.get(text)
        if found is None:
            found = self._known[text] = (date.fromisoformat(text) - self._back).isoformat()
        return found

    def job(self, text: str) -> str:
        """A UUIDv7: its first 48 bits are ms."""
        ms = int(text[:8] + text[9:13], 16) - self.ms
        return f"{ms >> 16:08x}-{ms & 0xFFFF:04x}{text[13:]}"


def _names(table: sa.Table) -> str:
    return ", ".join(column.name for column in table.columns)


def _values(table: sa.Table, row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[column.name] for column in table.columns)


if __name__ == "__main__":
    raise SystemExit(main(count=int(sys.argv[1]) if len(sys.argv) > 1 else 0, postgres="pg" in sys.argv[2:]))
