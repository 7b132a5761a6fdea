"""What a receipt costs as the tables grow: pages that finding and inserting it touches, at each size.

The keys are made in PostgreSQL by one statement, as wide as real ones, of 1,000 merchants whose receipts come mixed.
"""

from __future__ import annotations

import re
import time
import uuid
from contextlib import closing

import psycopg

from cloud.store.database import Store
from tests.cloud.postgres import Postgres

SIZES = (10_000, 100_000, 1_000_000, 4_000_000)
MERCHANTS = 1_000
FILL = """
INSERT INTO jobs (merchant_id, id, box, epoch, seq, sha256, size, boundary, delivered, pos, printer, started_ms,
                  ended_ms, trust, boot, mono_ms, received_at, state)
SELECT m.id, lpad(to_hex(k), 12, '0') || '-7000-8000-' || substr(md5(k::text), 1, 12), 'shop-' || (k %% %(m)s),
       m.epoch, k / %(m)s, decode(md5(k::text) || md5(k::text), 'hex'), 1400, 'cut', 'all', 'till', 'main', k, k,
       'ntp', 'b', k, k, 'read'
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS k
JOIN who AS m ON m.n = k %% %(m)s
"""
FIND = (
    "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) SELECT j.sha256 FROM jobs j"
    " WHERE j.merchant_id = %s AND j.box = %s AND j.epoch = %s AND j.seq = %s"
)
ADD = """EXPLAIN (ANALYZE, BUFFERS, TIMING OFF)
INSERT INTO jobs (merchant_id, id, box, epoch, seq, sha256, size, boundary, delivered, pos, printer, started_ms,
                  ended_ms, trust, boot, mono_ms, received_at, state)
VALUES (%s, %s, %s, %s, %s, '\\x00', 1, 'cut', 'all', 'till', 'main', 1, 1, 'ntp', 'b', 1, 1, 'stored')"""
LEVELS = "SELECT level FROM bt_metap(%s)"
INDEXES = ("pk_jobs", "uq_jobs_merchant_id_box_epoch_seq")


def main(quick: bool = False) -> None:
    with closing(Postgres()) as postgres:
        url = postgres.database("deep")
        Store(url).close()
        with psycopg.connect(url, autocommit=True) as connection:
            have = depth_known(connection)
            connection.execute("CREATE TABLE who (n bigint PRIMARY KEY, id text, epoch text)")
            rows = [(n, str(uuid.uuid4()), str(uuid.uuid4())) for n in range(MERCHANTS)]
            with connection.cursor() as cursor:
                cursor.executemany("INSERT INTO who VALUES (%s, %s, %s)", rows)
            before = 0
            for size in SIZES[:2] if quick else SIZES:
                began = time.monotonic()
                connection.execute(FILL, {"m": MERCHANTS, "first": before, "last": size - 1})
                before = size
                connection.execute("VACUUM ANALYZE jobs")
                filled = time.monotonic() - began
                found = [pages(connection, FIND, key(rows, size * n // 50)) for n in range(50)]
                added = [pages(connection, ADD, fresh(rows, size, n)) for n in range(50)]
                deep = ", ".join(f"{name} {level(connection, name)}" for name in INDEXES) if have else "not known"
                bytes_of = "SELECT pg_relation_size('jobs'), pg_indexes_size('jobs')"
                heap, indexes = connection.execute(bytes_of).fetchone() or (0, 0)
                print(
                    f"{size:>9,} receipts: pages to find one {mean(found):.1f}, to add one {mean(added):.1f};"
                    f" levels of the indexes: {deep}; table {heap / 2**20:,.0f} MB, indexes {indexes / 2**20:,.0f} MB"
                    f" (filled in {filled:.0f} s)",
                    flush=True,
                )


def depth_known(connection: psycopg.Connection) -> bool:
    """pageinspect tells the depth of a B-tree; not every installation has it."""
    try:
        connection.execute("CREATE EXTENSION pageinspect")
        return True
    except psycopg.Error:
        return False


def level(connection: psycopg.Connection, index: str) -> int:
    """Levels above the leaves, and the leaves."""
    row = connection.execute(LEVELS, (index,)).fetchone()
    return int(row[0]) + 1 if row else 0


def key(rows: list[tuple[int, str, str]], n: int) -> tuple[object, ...]:
    _, merchant, epoch = rows[n % MERCHANTS]
    return merchant, f"shop-{n % MERCHANTS}", epoch, n // MERCHANTS


def fresh(rows: list[tuple[int, str, str]], size: int, n: int) -> tuple[object, ...]:
    merchant, box, epoch, _ = key(rows, n * 7)
    return merchant, f"{size + n:012x}-7fff-8000-{n:012x}", box, epoch, size + n


def pages(connection: psycopg.Connection, statement: str, values: tuple[object, ...]) -> int:
    """Pages of 8 KB that a statement touched, in memory or not."""
    plan = "\n".join(row[0] for row in connection.execute(statement, values))  # type: ignore[arg-type,call-overload]
    if "Seq Scan" in plan:
        raise RuntimeError(f"it goes through the whole table:\n{plan}")
    top = re.search(r"Buffers: shared([^\n]*)", plan)
    return sum(int(n) for n in re.findall(r"(?:hit|read)=(\d+)", top[1])) if top else 0


def mean(values: list[int]) -> float:
    return sum(values) / len(values)
