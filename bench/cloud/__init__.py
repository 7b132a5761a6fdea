"""The cloud: `python -m bench cloud [PART ...] [--quick]`. Each part takes three minutes at most.

ingest   3-KB receipts a second, one worker, beside a paho subscriber that only counts; SQLite, PostgreSQL, two workers
lookup   GET /v1/orders/ID while boxes bring receipts: p50, p99
crowd    10,000 connected boxes: what each costs the cloud in memory
replay   a campaign stored three times, shuffled, with duplicates: the database's digest is the same
depth    what a receipt costs in a table of 10,000 and of millions: pages touched, depth of the indexes

Real processes: mosquitto, tillwire-cloud, SQLite or PostgreSQL. The load is made of packets that were built beforehand,
by processes of their own, so that making it costs as little as can be.
"""

from __future__ import annotations

import importlib
import os

PARTS = ("ingest", "lookup", "crowd", "replay", "depth")


def main(quick: bool = False, parts: tuple[str, ...] = PARTS) -> int:
    for part in parts:
        load = os.getloadavg()[0]
        print(f"\n### {part} (load average before: {load:.1f}; figures mean little above 1)", flush=True)
        importlib.import_module(f"bench.cloud.{part}").main(quick)
    return 0
