"""Damaged journals: what is whole comes home under its key, what is not becomes `corrupt`, and printing never waits."""

from __future__ import annotations

import hashlib
import io
import json
import random
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from relay import salvage
from relay.recording import Recording
from relay.store import Store
from tests.relay.conftest import Box, until
from tests.relay.test_passing import RECEIPT
from tests.simulators.printer import SimulatedPrinter

PAGE = 8192


def fill(path: Path, jobs: int, seed: int, checkpoint: bool) -> dict[int, bytes]:
    """A journal of so many receipts, some of them long, some acknowledged and deleted. -> raw by seq, of those kept"""
    rng, store, kept = random.Random(seed), Store(path, 0, 1 << 30), {}
    epoch = store.epochs[store.n]
    for start in range(1, jobs + 1, 100):
        store.db.execute("BEGIN IMMEDIATE")
        for number in range(start, min(start + 100, jobs + 1)):
            recording = Recording("till", "main")
            size = rng.randint(20_000, 90_000) if number % 97 == 0 else rng.randint(200, 3000)
            raw = b"receipt %07d " % number + rng.randbytes(size)
            recording.hand(raw)
            store.finish(recording, "cut", "all", False)
            kept[number] = raw
        for number in range(start, start + 10):
            store.release([[epoch, number, hashlib.sha256(kept[number]).hexdigest()]])
            del kept[number]
        store.expire(0, 1 << 30)
        store.fates.intend(f"order-{start}", 1, "main", 0, 60, b"slip")
        store.db.execute("COMMIT")
        if checkpoint or start < jobs // 2:
            store.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    copy = path.with_name("copy.db")
    for ending in ("", "-wal"):
        copy.with_name(copy.name + ending).write_bytes(path.with_name(path.name + ending).read_bytes())
    store.close()
    for ending in ("", "-wal"):
        copy.with_name(copy.name + ending).rename(path.with_name(path.name + ending))
    return kept


def ruin(path: Path, pages: int, seed: int) -> None:
    """So many pages, of the file and its WAL, turned into noise, zeroes, or bits flipped here and there."""
    rng = random.Random(seed)
    files = [p for p in (path, path.with_name(path.name + "-wal")) if p.exists() and p.stat().st_size > PAGE]
    for _ in range(pages):
        file = rng.choices(files, [f.stat().st_size for f in files])[0]
        data = bytearray(file.read_bytes())
        start, step = (56, PAGE + 24) if file.name.endswith("-wal") else (0, PAGE)  # frames, or pages
        at = start + rng.randrange((len(data) - start) // step) * step
        kind = rng.choice(["noise", "zero", "bits"])
        if kind == "bits":
            for _ in range(rng.randint(1, 50)):
                data[at + rng.randrange(PAGE)] ^= 1 << rng.randrange(8)
        else:
            data[at : at + PAGE] = rng.randbytes(PAGE) if kind == "noise" else bytes(PAGE)
        file.write_bytes(bytes(data))


def told(path: Path) -> tuple[dict[str, Any], list[tuple[dict[str, Any], bytes]]]:
    """What the reader says of a file: its head, and its items."""
    out = io.BytesIO()
    salvage.tell(salvage.Found(salvage.Pages(path)), out)
    out.seek(0)
    items = []
    while line := out.readline():
        header = json.loads(line)
        items.append((header, out.read(header["bytes"])))
    return items[0][0], items[1:]


def jobs_of(path: Path) -> dict[int, bytes]:
    return {h["job"]["id"] & (1 << 40) - 1: raw for h, raw in told(path)[1] if "job" in h and not h["job"]["reason"]}


@pytest.mark.parametrize("checkpoint", [True, False], ids=["checkpointed", "much in the WAL"])
def test_of_a_whole_file_every_row_is_read(tmp_path: Path, checkpoint: bool) -> None:
    path = tmp_path / "capture.db"
    kept = fill(path, 600, 1, checkpoint)
    head, items = told(path)
    assert jobs_of(path) == kept
    assert list(head["last"].values()) == [600] and len(head["epochs"]) == 1
    assert sum("slip" in h for h, _ in items) == 6
    released = {h["job"]["id"] & (1 << 40) - 1 for h, _ in items if "job" in h and h["job"]["reason"] == "released"}
    assert released == set(range(1, 601)) - set(kept)


@pytest.mark.covers("F16", "F17")
def test_of_damaged_files_every_row_that_is_whole_is_read(tmp_path: Path) -> None:
    """One to ten pages of each file are ruined. A row whose bytes and hash are still in the file somewhere counts as
    whole, even where its page's own head is gone."""
    whole_rows = read_rows = 0
    for seed in range(4):
        path = tmp_path / f"{seed}" / "capture.db"
        path.parent.mkdir()
        kept = fill(path, 600, seed, seed % 2 == 0)
        ruin(path, random.Random(seed).randint(1, 10), seed)
        left = b"".join(p.read_bytes() for p in (path, path.with_name(path.name + "-wal")))
        whole = {
            n for n, raw in kept.items() if len(raw) < 4000 and raw in left and hashlib.sha256(raw).digest() in left
        }
        found = jobs_of(path)
        assert all(found[n] == kept[n] for n in found), "nothing is guessed"
        assert len(whole) > 450
        whole_rows, read_rows = whole_rows + len(whole), read_rows + len(whole & set(found))
    assert read_rows >= 0.99 * whole_rows, f"{read_rows} of {whole_rows} whole rows were read"


@pytest.mark.covers("F17", "F18")
@pytest.mark.parametrize("how", ["header", "tree", "wal gone", "half", "bits", "first page", "torn"])
def test_a_relay_with_a_damaged_journal_prints_and_accounts_for_every_receipt(
    make_box: Callable[..., Box], printer: SimulatedPrinter, how: str
) -> None:
    box = make_box()
    pos = box.pos()
    numbers = [b"\x1b@NUMBER %06d " % n + b"flat white 3.40\n" * 40 + b"\x1dV\x00" for n in range(1, 81)]
    for raw in numbers:
        pos.send(raw)
    printer.wait(lambda: printer.cuts == 80)
    with closing(box.agent()) as agent:
        epoch = agent.ask("hello")["epoch"]
        first, _ = agent.jobs(limit=5)
        agent.ask("release", jobs=[[*job["key"], job["sha256"]] for job, _ in first])
    file, wal = box.state / "capture.db", box.state / "capture.db-wal"
    before = file.read_bytes()
    box.kill(signal.SIGKILL if how == "wal gone" else signal.SIGTERM)
    data = bytearray(file.read_bytes())
    if how == "header":
        data[:100] = bytes(100)
    elif how == "tree":  # every page that stands above leaves: SQLite finds nothing any more
        for at in range(PAGE, len(data), PAGE):
            if data[at] in (2, 5):
                data[at : at + PAGE] = b"\xa5" * PAGE
    elif how == "wal gone":
        wal.unlink()
    elif how == "half":
        del data[len(data) // 2 // PAGE * PAGE :]
    elif how == "first page":  # the power failed in the first checkpoint, and the disk had lost the WAL's name
        del data[PAGE:]
    elif how == "torn":  # the same, with more of it written, the last of it by sectors
        old = before.ljust(len(data), b"\0")
        for at in range(0, len(data), PAGE):
            step = 512 if at > len(data) * 3 // 4 else PAGE
            for part in range(at, at + PAGE, step):
                if part // step % 3 == 2:
                    data[part : part + step] = old[part : part + step]
    else:
        rng = random.Random(4)
        for _ in range(40):
            data[PAGE + rng.randrange(len(data) - PAGE)] ^= 1 << rng.randrange(8)
    file.write_bytes(bytes(data))
    box.start()
    pos = box.pos()
    pos.send(RECEIPT)
    printer.wait(lambda: printer.cuts == 81)
    with closing(box.agent()) as agent:
        listed: list[tuple[dict[str, Any], bytes]] = []

        def settled() -> bool:
            """Damage may only be seen while the jobs are listed, and the file be set aside then."""
            listed[:] = _all(agent)
            return not agent.ask("hello")["salvaging"] and RECEIPT in (raw for _, raw in listed)

        until(settled)
        assert agent.ask("status")["capture"] == "ok"
        hello = agent.ask("hello")
    raws = {tuple(h["key"]): raw for h, raw in listed if "tomb" not in h}
    assert RECEIPT in raws.values()
    for (e, seq), raw in raws.items():
        assert e != epoch or raw == [*numbers, RECEIPT][seq - 1], "a job under its own key, or not at all"
    if hello["epoch"] != epoch and epoch in hello["epochs"]:
        last = hello["ends"][epoch]
        assert last >= (80 if how in ("header", "tree", "bits") else 1)
        rows = {row[0] for row in box.sql("SELECT id & 1099511627775 FROM jobs j JOIN epochs e ON j.id >> 40 = e.n"
                                          f" WHERE e.epoch = '{epoch}'")}  # fmt: skip
        tombs = [h["tomb"] for h, _ in listed if "tomb" in h and h["tomb"]["epoch"] == epoch]
        buried = {seq for tomb in tombs for seq in range(tomb["first"], tomb["last"] + 1)}
        assert rows | buried == set(range(1, last + 1)) and {t["reason"] for t in tombs} <= {"corrupt"}
        if how in ("header", "tree"):
            assert not buried, "every row of it was whole"
        acked = box.sql("SELECT count(*) FROM jobs WHERE acked_ran IS NOT NULL")
        assert how not in ("header", "tree") or acked == [(5,)]


def _all(agent: Any) -> list[tuple[dict[str, Any], bytes]]:
    listed, after, more = [], None, True
    while more:
        jobs, more = agent.jobs(after=after, limit=50)
        listed += jobs
        if jobs:
            last = jobs[-1][0]
            after = [last["tomb"]["epoch"], last["tomb"]["first"]] if "tomb" in last else last["key"]
    return listed


def test_a_rescue_that_is_killed_is_taken_up_again(make_box: Callable[..., Box], printer: SimulatedPrinter) -> None:
    box = make_box(start=False)
    box.state.mkdir(parents=True)
    kept = fill(box.state / "capture.db", 1500, 9, True)
    data = bytearray((box.state / "capture.db").read_bytes())
    data[:100] = bytes(100)
    (box.state / "capture.db").write_bytes(bytes(data))
    (box.state / "capture.db-wal").unlink(missing_ok=True)
    box.start()
    until(lambda: _count(box) > 50)
    box.kill()
    box.start()
    with closing(box.agent()) as agent:
        until(lambda: not agent.ask("hello")["salvaging"])
        jobs = {header["key"][1]: raw for header, raw in _all(agent)}
    assert jobs == kept
    waited = box.sql("SELECT DISTINCT state FROM slips")
    assert waited == [("failed",)], "a slip that waited is not printed from a file that cannot be trusted"


def _count(box: Box) -> int:
    try:
        return int(box.sql("SELECT count(*) FROM jobs")[0][0])
    except (sqlite3.Error, IndexError):
        return 0
