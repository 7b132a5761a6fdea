"""agent/store.py: durable, one writer, and never in the way of a start."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from agent.store import DiskBad, SchemaOld, Store, get_meta, set_meta

T = TypeVar("T")


def with_store(path: Path, body: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
    async def run() -> T:
        store = Store(path)
        await store.open()
        try:
            return await body(store)
        finally:
            await store.close()

    return asyncio.run(run())


def test_what_run_returned_is_there_after_a_restart(tmp_path: Path) -> None:
    async def write(store: Store) -> None:
        await store.run(lambda c: set_meta(c, "word", "kept"))

    async def read(store: Store) -> str:
        return await store.run(lambda c: get_meta(c, "word"))

    with_store(tmp_path / "agent.db", write)
    assert with_store(tmp_path / "agent.db", read) == "kept"


def test_it_is_written_with_full_sync_in_wal(tmp_path: Path) -> None:
    async def modes(store: Store) -> tuple[str, int]:
        return await store.run(
            lambda c: (c.execute("PRAGMA journal_mode").fetchone()[0], c.execute("PRAGMA synchronous").fetchone()[0])
        )

    assert with_store(tmp_path / "agent.db", modes) == ("wal", 2)
    assert (tmp_path / "agent.db").stat().st_mode & 0o777 == 0o600


def test_one_failing_piece_does_not_take_the_others_along(tmp_path: Path) -> None:
    def bad(connection: sqlite3.Connection) -> None:
        set_meta(connection, "half", "written")
        raise ValueError("no")

    async def body(store: Store) -> list[Any]:
        done = await asyncio.gather(
            store.run(lambda c: set_meta(c, "a", "1")),
            store.run(bad),
            store.run(lambda c: set_meta(c, "b", "2")),
            return_exceptions=True,
        )
        kept = await store.run(lambda c: [get_meta(c, name) for name in ("a", "b", "half")])
        return [type(d) for d in done] + kept

    assert with_store(tmp_path / "agent.db", body) == [type(None), ValueError, type(None), "1", "2", ""]


@pytest.mark.covers("F18")
@pytest.mark.parametrize("content", [b"\0" * 8192, b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_moved_aside(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "agent.db"
    path.write_bytes(content)

    async def body(store: Store) -> bool:
        await store.run(lambda c: set_meta(c, "word", "kept"))
        return store.recovered

    assert with_store(path, body)
    assert [p.read_bytes() for p in tmp_path.glob("agent.db.bad-*") if not p.name.endswith(("-wal", "-shm"))] == [
        content
    ]


def test_another_versions_file_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    with_store(path, lambda store: store.run(lambda c: None))  # type: ignore[arg-type,return-value]
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(SchemaOld, match="schema 99"):
        with_store(path, lambda store: store.run(lambda c: None))  # type: ignore[arg-type,return-value]


@pytest.mark.covers("F12")
def test_a_full_disk_is_told_and_nothing_is_promised(tmp_path: Path) -> None:
    async def body(store: Store) -> str:
        await store.run(lambda c: c.execute("PRAGMA max_page_count = 30") and None)
        with pytest.raises(DiskBad, match="disk"):
            await store.run(lambda c: set_meta(c, "large", "x" * 1_000_000))
        return await store.run(lambda c: get_meta(c, "large", "not there"))

    assert with_store(tmp_path / "agent.db", body) == "not there"


def test_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskBad):
        with_store(tmp_path / "file" / "agent.db", lambda store: store.run(lambda c: None))  # type: ignore[arg-type,return-value]


@pytest.mark.covers("F5")
def test_what_was_promised_survives_a_kill(tmp_path: Path) -> None:
    """A child writes numbers and says each one that `run` returned for; it is killed in the middle."""
    program = """
import asyncio, sys
from pathlib import Path
from agent.store import Store, set_meta
async def main():
    store = Store(Path(sys.argv[1])); await store.open()
    for n in range(100000):
        await store.run(lambda c: set_meta(c, "n", str(n)))
        print(n, flush=True)
asyncio.run(main())
"""
    path = tmp_path / "agent.db"
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            said = [child.stdout.readline() for _ in range(20)]
            os.kill(child.pid, 9)
            said += child.stdout.readlines()
        last = int(next(line for line in reversed(said) if line.endswith(b"\n")))

        async def read(store: Store) -> str:
            return await store.run(lambda c: get_meta(c, "n"))

        assert int(with_store(path, read)) in (last, last + 1)
