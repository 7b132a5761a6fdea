"""A campaign stored three times, in another order each time and some of it several times: one digest of the database.

What a campaign holds: receipts of many boxes and journals, jobs in parts, tombstones, damaged messages. What is
compared: every row of what is stored, read, counted and summed, without ids and moments of arrival.
"""

from __future__ import annotations

import hashlib
import logging
import random
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from bench.cloud.load import NAMES
from cloud.batch import Intake
from cloud.events import Bell
from cloud.mqtt import Publish
from cloud.reading import Readings
from cloud.store import figures, schema
from cloud.store.columns import metadata
from cloud.store.database import Store
from config.cloud import CloudConfig
from receipt.extract import RULES_VERSION
from tests.cloud.postgres import Postgres
from tests.simulators.box import in_parts, job
from wire import topics
from wire.messages import Tombstone, encode, new

TIMES, BATCH = 3, 500
COMPARED: dict[str, tuple[str, ...]] = {
    "jobs": ("box", "epoch", "seq", "sha256", "size", "boundary", "delivered", "started_ms", "state", "lines"),
    "epochs": ("box", "epoch", "highest"),
    "holes": ("box", "epoch", "first", "last"),
    "tombstones": ("box", "epoch", "first", "last", "reason"),
    "facts": ("box", "kind", "counted", "day", "at", "currency", "total", "number"),
    "sums": ("shop", "currency", "dim", "day", "value", "receipts", "amount"),
    "receipts": ("kind", "number", "issued_at", "currency", "total"),
}


def main(quick: bool = False) -> None:
    messages = campaign(100 if quick else 400)
    logging.getLogger("cloud").setLevel(logging.CRITICAL)  # each damaged message is told
    with closing(Postgres()) as postgres, tempfile.TemporaryDirectory() as folder:

        def sqlite(n: int) -> Store:
            return Store("sqlite:///unused", Path(folder, f"{n}.db"))

        def server(n: int) -> Store:
            return Store(postgres.database(f"replay{n}"))

        seen: set[str] = set()
        for name, make in (("SQLite", sqlite), ("PostgreSQL", server)):
            began = time.monotonic()
            digests = [replayed(make, n, messages) for n in range(TIMES)]
            seen |= set(digests)
            took = time.monotonic() - began
            print(
                f"{name}: {len(messages)} messages, {TIMES} times in {took:.0f} s: {', '.join(d[:12] for d in digests)}"
            )
    if len(seen) > 1:
        raise SystemExit("the digests differ: order or repetition changed what is stored")
    print("every digest is the same")


def campaign(each: int) -> list[Publish]:
    """`each`: receipts of a box; every 40th is missing, every 25th comes in parts."""
    rng, out = random.Random(5), list[Publish]()
    for name in NAMES[:10]:
        epoch, topic = str(uuid.UUID(int=rng.getrandbits(128))), topics.up(name, "receipts")
        for seq in range(1, each + 1):
            if seq % 40 == 0:
                continue
            text = None if seq % 25 else "\n".join(f"{rng.random():.12f} x Soup" for _ in range(4_000))
            whole = job(epoch, seq, text, RULES_VERSION)
            pieces = in_parts(whole) if text else [whole]
            out += [Publish(topic, encode(piece), 1, False, 1) for piece in pieces]
        tomb = new(Tombstone, epoch=epoch, first=40, last=40, reason="corrupt")
        out.append(Publish(topic, encode(tomb), 1, False, 1))
        out.append(Publish(topic, b"\x02 damaged", 1, False, 1))
    return out


def replayed(make: Callable[[int], Store], n: int, messages: list[Publish]) -> str:
    """-> the digest of a fresh database that got them in this order."""
    rng = random.Random(n)
    order = [*messages, *rng.sample(messages, len(messages) // 5)]
    rng.shuffle(order)
    with closing(make(n)) as store:
        with store.write() as connection:
            rows = [{"id": name, "merchant_id": "m", "password_hash": "-", "created_at": 1} for name in NAMES]
            connection.execute(sa.insert(schema.boxes), rows)
        intake, readings = Intake(store, CloudConfig()), Readings(store, CloudConfig(), Bell(), threading.Event())
        for start in range(0, len(order), BATCH):
            intake.take(order[start : start + BATCH])
        while readings.some():
            pass
        readings._reader.stop()
        return digest(store)


def digest(store: Store) -> str:
    whole = hashlib.sha256()
    known = {table.name: table for table in (*metadata.sorted_tables, figures.facts, figures.sums)}
    with store.read() as connection:
        for name, columns in COMPARED.items():
            rows = connection.execute(sa.select(*(known[name].c[column] for column in columns)))
            for line in sorted(repr([bytes(v).hex() if isinstance(v, bytes) else v for v in row]) for row in rows):
                whole.update(line.encode())
    return whole.hexdigest()
