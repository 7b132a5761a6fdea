"""What durability costs: receipts a second into the journal, beside the disk's floor and a bare SQLite loop.

Rounds are interleaved, and the median of the rounds' ratios counts: the machine's other work hits all alike. The
journal is the relay's own store (relay/store.py), fed with 2-KB receipts; `floor` appends the same bytes to a file and
waits for the disk after each; `bare` is sqlite3 with WAL and synchronous=FULL, a row and a commit for each.
"""

from __future__ import annotations

import os
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from relay.recording import Recording
from relay.store import Store

SIZE, GROUP = 2048, 50


def main(quick: bool = False) -> int:
    rounds, each, rows = (3, 100, 50_000) if quick else (9, 300, 1_000_000)
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        home = Path(folder)
        full = home / "full"
        full.mkdir()
        began = time.monotonic()
        fill(full / "capture.db", rows)
        print(f"a journal of {rows:,} receipts made in {time.monotonic() - began:.0f} s")
        ways: dict[str, Callable[[int], None]] = {
            "floor: append, fdatasync": Floor(home / "floor"),
            "bare sqlite3": Bare(home / "bare.db"),
            "journal, one a commit": Ours(home / "capture.db", 1),
            f"journal, {GROUP} a commit": Ours(home / "groups.db", GROUP),
            f"journal of {rows:,}, one a commit": Ours(full / "capture.db", 1),
            f"journal of {rows:,}, {GROUP} a commit": Ours(full / "capture.db", GROUP),
        }
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                began = time.perf_counter()
                way(each)
                rates[name].append(each / (time.perf_counter() - began))
    names = list(rates)
    for name in names:
        against = [
            f"{statistics.median(a / b for a, b in zip(rates[name], rates[other], strict=True)):.2f}x {other}"
            for other in names[:4]
            if other != name
        ]
        print(f"{name}: {statistics.median(rates[name]):.0f} receipts/s ({', '.join(against)})")
    return 0


def receipts(count: int) -> list[bytes]:
    rng = random.Random(1)
    return [rng.randbytes(SIZE) for _ in range(count)]


class Floor:
    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def __call__(self, count: int) -> None:
        for raw in receipts(count):
            os.write(self.fd, raw)
            os.fdatasync(self.fd)


class Bare:
    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = FULL")
        self.db.execute("CREATE TABLE r (id INTEGER PRIMARY KEY, raw BLOB)")

    def __call__(self, count: int) -> None:
        for raw in receipts(count):
            self.db.execute("BEGIN IMMEDIATE")
            self.db.execute("INSERT INTO r (raw) VALUES (?)", (raw,))
            self.db.execute("COMMIT")


class Ours:
    def __init__(self, path: Path, group: int) -> None:
        self.store, self.group = Store(path, 0, 1 << 40), group

    def __call__(self, count: int) -> None:
        """As the journal thread does it, with its checkpoint when nothing waits."""
        store, raws = self.store, receipts(count)
        for start in range(0, count, self.group):
            store.db.execute("BEGIN IMMEDIATE")
            for raw in raws[start : start + self.group]:
                recording = Recording("till", "main")
                recording.hand(raw)
                store.finish(recording, "cut", "all", False)
            store.db.execute("COMMIT")
        store.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


def fill(path: Path, rows: int) -> None:
    """A journal in which so many receipts were captured; their bytes are short, their rows are not."""
    store = Store(path, 0, 1 << 40)
    store.db.execute("PRAGMA synchronous = OFF")
    for start in range(0, rows, 5000):
        store.db.execute("BEGIN IMMEDIATE")
        for number in range(start, min(start + 5000, rows)):
            recording = Recording("till", "main")
            recording.hand(b"%d" % number)
            store.finish(recording, "cut", "all", False)
        store.db.execute("COMMIT")
        store.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    store.close()


if __name__ == "__main__":
    raise SystemExit(main())
