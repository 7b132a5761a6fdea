"""A backlog of 9,000 receipts (30 days of a small shop) drains while the till goes on printing: how fast, how late.

The journal is filled beforehand through relay.store, then the whole system starts. A live receipt's delay is taken from
the cloud's own row: when it came in, less when the relay saw its cut (one machine, one clock).
"""

from __future__ import annotations

import random
import sqlite3
import tempfile
import time
from pathlib import Path

from relay.store import Recording, Store
from tests.simulators.system import System, free_port, until
from tests.simulators.till import connect, receipt

WITHIN_S = 600.0


def main(quick: bool = False) -> int:
    count = 900 if quick else 9000
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        system = System(
            Path(folder),
            printers={"main": f"file://{folder}/paper.prn"},
            pos={"till": f"tcp://127.0.0.1:{port}"},
            broker="nats",
        )
        try:
            system.set_up()
            fill(system.capture_db, count)
            system.start("broker", "cloud", "relay")
            drained_s, delays = drain(system, port, count)
        finally:
            system.close()
    delays.sort()
    print(f"backlog of {count}: {drained_s:.1f} s, {count / drained_s:.0f} receipts/s")
    print(
        f"live meanwhile: {len(delays)}, cut to cloud p50 {delays[len(delays) // 2]:.0f} ms,"
        f" p99 {delays[int(len(delays) * 0.99)]:.0f} ms, worst {delays[-1]:.0f} ms"
    )
    return 0


def fill(path: Path, count: int) -> None:
    """A journal with so many receipts that nobody has acknowledged."""
    rng = random.Random(1)
    store = Store(path, 0, 4 << 30)
    store.db.execute("BEGIN IMMEDIATE")
    for number in range(1, count + 1):
        recording = Recording("till", "main")
        recording.hand(receipt(number, rng).raw)
        store.finish(recording, "cut", "all", False)
    store.db.execute("COMMIT")
    store.close()


def drain(system: System, port: int, count: int) -> tuple[float, list[float]]:
    """-> seconds from the agent's start to the last of the backlog in the cloud; the live receipts' delays, ms."""
    rng, live = random.Random(2), 0
    till = connect(f"tcp://127.0.0.1:{port}")
    began = time.monotonic()
    system.start("agent")
    until(lambda: "broker=" in system.log("agent") and "relay=" in system.log("agent"), 30, "the agent is online")
    with sqlite3.connect(f"file:{system.cloud_db}?mode=ro", uri=True, timeout=5.0) as cloud:

        def came(sql: str) -> int:
            return int(cloud.execute(f"SELECT count(*) FROM jobs WHERE {sql}").fetchone()[0])

        while came(f"seq <= {count}") < count:
            if time.monotonic() - began > WITHIN_S:
                raise TimeoutError(f"only {came('1')} of {count} after {WITHIN_S:.0f} s")
            live += 1
            till.send(receipt(count + live, rng).raw)
            time.sleep(0.2)
        took = time.monotonic() - began
        until(lambda: came("1") == count + live, 30, "the live receipts in the cloud")
        delays = [
            float(ms) for (ms,) in cloud.execute("SELECT received_at - ended_ms FROM jobs WHERE seq > ?", (count,))
        ]
    return took, delays


if __name__ == "__main__":
    raise SystemExit(main())
