"""GET /v1/orders/ID while boxes bring receipts: at a steady rate, and as fast as the broker delivers."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

from bench.cloud import rig
from bench.cloud.load import NAMES, Load
from tests.cloud.postgres import Postgres

STEADY = 200  # receipts a second: what 20,000 shops bring at their peak (docs/operator.md)
PAUSE_S = 0.02  # between two lookups


def main(quick: bool = False) -> None:
    seconds = 5 if quick else 25
    with closing(Postgres()) as postgres:
        for name, roles in (("SQLite, one process", ["all"]), ("PostgreSQL, web and ingest apart", ["web", "ingest"])):
            for rate, count in ((0, 200), (STEADY, STEADY * seconds), (0, 600 * seconds)):
                store = postgres.database(f"d{rate}-{count}") if len(roles) > 1 else None
                took = lookups(store, roles, rate, count)
                load = f"{rate} receipts/s" if rate else "boxes at rest" if count == 200 else "as fast as can be"
                worst = f"p50 {at(took, 0.5):.1f} ms, p99 {at(took, 0.99):.1f} ms, worst {took[-1]:.1f} ms"
                print(f"{name}, {load}: {worst} ({len(took)} lookups)", flush=True)


def at(took: list[float], share: float) -> float:
    return took[min(len(took) - 1, int(len(took) * share))]


def lookups(store: str | None, roles: list[str], rate: float, count: int) -> list[float]:
    """-> ms, sorted. `count` receipts come meanwhile; few and fast ones are over before the first lookup."""
    with rig.running(store, roles) as (one, clouds, client):
        order: dict[str, Any] = {"kind": "takeaway", "items": [{"name": "Soup"}], "box": NAMES[0]}
        made = client.post("/v1/orders", json=order)
        made.raise_for_status()
        address = f"/v1/orders/{made.json()['id']}"
        for _ in range(20):  # the first ones load code
            client.get(address).raise_for_status()
        took: list[float] = []
        with closing(Load(one.port, count, rate=rate)) as load:
            began = load.start()
            rest = 3 if count <= 200 else 0
            while time.monotonic() - began < rest or rig.count(clouds[0], store) < count:
                for _ in range(10):
                    start = time.perf_counter()
                    client.get(address).raise_for_status()
                    took.append((time.perf_counter() - start) * 1000)
                    time.sleep(PAUSE_S)
                if time.monotonic() - began > 300:
                    raise TimeoutError("the receipts were not stored")
        return sorted(took)
