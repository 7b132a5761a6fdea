"""A damaged agent.db: the agent starts, what can be read of the file is taken over, and nothing is guessed."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agent import clock, journals, outbox, rescue, slips
from agent.store import Store, set_meta
from tests.agent.rig import Rig, receipt
from tests.agent.test_orders import head, order
from wire import messages
from wire.messages import Boundary, Captured, OrderState, Report, Tombstone

PAGE = 4096
EPOCH = "0a3c2c5e-9a5d-4b0e-8b3c-0123456789ab"
TABLES = [(table, columns) for table, columns, _, _ in rescue.TABLES] + [("taken", "epoch, first, last")]


def fill(path: Path) -> dict[str, set[tuple[Any, ...]]]:
    """An agent.db as a busy day offline leaves it. -> its rows, by table"""
    rng = random.Random(1)

    def work(connection: sqlite3.Connection) -> None:
        for seq in range(1, 301):
            job = messages.new(
                Captured, epoch=EPOCH, seq=seq, sha256=rng.randbytes(32), size=700, boundary=Boundary.CUT, pos="till",
                printer="main", started=clock.now(), ended=clock.now(),
            )  # fmt: skip
            outbox.put_job(connection, job, withheld=seq % 50 == 0)
        outbox.put_tomb(connection, messages.new(Tombstone, epoch=EPOCH, first=301, last=304, reason="corrupt"))
        for number in range(60):
            slip = slips.received(order(f"order-{number}"), "main", held=False)
            slips.put(connection, slip)
            connection.execute(
                "INSERT INTO alerts VALUES ('new_order', ?, 'an order', 'bell', '', 'sounding', 'boot', 1, 2)",
                (f"order-{number}",),
            )
        connection.execute("INSERT INTO cancels VALUES ('order-7', '', 0, 0, 'changed my mind', 1)")
        journals.listed(connection, EPOCH, 200)
        journals.told(connection, EPOCH, 304)
        set_meta(connection, "clock_floor", "1790000000")
        set_meta(connection, "last_fate", "17")

    async def run() -> None:
        store = Store(path)
        await store.open()
        await store.run(work)
        await store.close()

    asyncio.run(run())
    return rows(path)


def rows(path: Path) -> dict[str, set[tuple[Any, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        return {t: set(connection.execute(f"SELECT {columns} FROM {t}").fetchall()) for t, columns in TABLES}


def opened(path: Path) -> bool:
    async def run() -> bool:
        store = Store(path)
        await store.open()
        await store.close()
        return store.recovered

    return asyncio.run(run())


@pytest.mark.covers("F16", "F17")
@pytest.mark.parametrize("how", ["first page", "header", "one page", "three pages", "half"])
def test_what_can_be_read_of_a_damaged_file_is_taken_over(tmp_path: Path, how: str) -> None:
    path = tmp_path / "agent.db"
    before = fill(path)
    whole = bytearray(path.read_bytes())
    before["meta"] = {("clock_floor", "1790000000")}  # what was told of fates is told again
    pages = len(whole) // PAGE
    shares = []
    for seed in range(6 if "page" in how else 1):
        rng, data = random.Random(seed), bytearray(whole)
        if how == "first page":
            data[:PAGE] = rng.randbytes(PAGE)
        elif how == "header":
            data[:100] = bytes(100)
        elif how == "half":
            del data[pages // 2 * PAGE :]
        else:
            for _ in range(1 if how == "one page" else 3):
                at = rng.randrange(1, pages) * PAGE
                data[at : at + PAGE] = rng.choice([bytes(PAGE), rng.randbytes(PAGE)])
        path.write_bytes(bytes(data))
        assert opened(path), "it starts, with a new file"
        after = rows(path)
        for table, found in after.items():
            if table != "taken":
                assert found <= before[table], "nothing is guessed"
        shares.append(sum(map(len, after.values())) / sum(map(len, before.values())))
        if how in ("first page", "header"):
            assert after == before
        assert not list(tmp_path.glob("*.reading*")) and not list(tmp_path.glob("*.fresh*"))
    assert sorted(shares)[len(shares) // 2] > (0.2 if how == "half" else 0.8), shares
    assert len([p for p in tmp_path.glob("agent.db.bad-*") if not p.name.endswith(("-wal", "-shm"))]) <= 2


@pytest.mark.covers("F17", "F18")
def test_a_box_whose_agent_db_is_damaged_goes_on_where_it_was(bench: Callable[..., Rig]) -> None:
    """Receipts that nobody acknowledged, an order that was printed and whose report nobody acknowledged, one that was
    cancelled: each comes once, and nothing is printed again."""
    box = bench()
    box.cloud.ack = False
    box.start("relay", "agent").online()
    box.print(*[receipt(n) for n in range(1, 13)])
    box.cloud.order(order("o-1"))
    box.cloud.wait_state("o-1", "printed")
    box.cloud.wait_jobs(12)
    ids = {r.id for r in box.cloud.reports if isinstance(r, Report)}
    keys = sorted(box.cloud.jobs)
    box.kill("agent")
    path = box.folder / "box" / "agent.db"
    with closing(sqlite3.connect(path)) as connection:  # what the WAL holds goes into the file
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    data[:PAGE] = b"\xa5" * PAGE
    path.write_bytes(bytes(data))
    count = len(box.cloud.reports)
    box.start("agent")
    box.wait_log("agent", "taken over from the damaged file")
    again = lambda: ids <= {r.id for r in box.cloud.reports[count:] if isinstance(r, Report)}  # noqa: E731
    box.cloud.wait(again, "the same reports, under their ids", within=30)
    box.cloud.wait(lambda: all(n >= 2 for n in box.cloud.times.values()), "the receipts came again", within=30)
    box.cloud.ack_all()
    box.wait_released(12)
    box.wait_empty()
    assert sorted(box.cloud.jobs) == keys and len(keys) == 12
    assert box.printer.paper.count(head("o-1") + b"\n") == 1
    assert all(r.state is not OrderState.UNCONFIRMED for r in box.cloud.reports if isinstance(r, Report))
