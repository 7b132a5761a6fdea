"""What the parts share: a broker, clouds with known boxes, and looking at processes and tables from outside."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import sqlalchemy as sa

from bench.cloud.load import NAMES
from cloud.store import schema
from cloud.store.database import Store
from tests.cloud.conftest import Cloud
from tests.cloud.mosquitto import Mosquitto


def broker(folder: Path) -> Mosquitto:
    return Mosquitto(folder, {"cloud": "cloud", "crowd": "crowd"})


@contextmanager
def clouds(folder: Path, one: Mosquitto, store: str | None, roles: list[str]) -> Iterator[tuple[list[Cloud], Any]]:
    """Processes of these roles on one store, not started yet -> (they, an API client of the merchant who has NAMES)."""
    made: list[Cloud] = []
    for n, role in enumerate(roles):
        (mine := folder / str(n)).mkdir()
        made.append(Cloud(mine, store=store, role=role, broker=one.settings, extra=""))
    try:
        with made[0].merchant("Corner Cafe", "anna") as client:
            yield made, client
    finally:
        for cloud in made:
            cloud.close()


@contextmanager
def running(store: str | None, roles: list[str]) -> Iterator[tuple[Mosquitto, list[Cloud], Any]]:
    """The same, started, with a broker of their own: -> (it, they, the API client)."""
    with (
        tempfile.TemporaryDirectory() as base,
        closing(broker(Path(base))) as one,
        clouds(Path(base), one, store, roles) as (made, client),
    ):
        add_boxes(made[0], store, NAMES)
        for cloud in made:
            cloud.start()
        yield one, made, client


def add_boxes(cloud: Cloud, store: str | None, names: list[str]) -> None:
    path = None if store else cloud.database
    with closing(Store(store or "sqlite:///unused", path)) as direct, direct.write() as connection:
        merchant = connection.execute(sa.select(schema.merchants.c.id)).scalar_one()
        rows = [{"id": n, "merchant_id": merchant, "password_hash": "-", "created_at": 1} for n in names]
        connection.execute(sa.insert(schema.boxes), rows)


def count(cloud: Cloud, store: str | None, query: str = "SELECT count(*) FROM jobs") -> int:
    if store is None:
        with closing(sqlite3.connect(f"file:{cloud.database}?mode=ro", uri=True)) as connection:
            return int(connection.execute(query).fetchone()[0])
    with psycopg.connect(store) as postgres:
        row = postgres.execute(query).fetchone()  # type: ignore[arg-type,call-overload]
        return int(row[0]) if row else 0


def cpu_of(cloud: Cloud) -> float:
    """Seconds of CPU that the process has used."""
    assert cloud.process is not None
    fields = Path(f"/proc/{cloud.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(cloud: Cloud) -> float:
    """MB that are the process's own."""
    assert cloud.process is not None
    text = Path(f"/proc/{cloud.process.pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(("Private_", "Anonymous"))) / 1024


def metric(cloud: Cloud, name: str) -> float:
    text = httpx.get(f"{cloud.url}/metrics", timeout=30).text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def wait(true: Callable[[], Any], within: float) -> None:
    end = time.monotonic() + within
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"not in {within} s")
        time.sleep(0.2)
