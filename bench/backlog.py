"""A backlog of 9,000 receipts (30 days of a small shop) drains while the till goes on printing: how fast, how late.

The journal is filled beforehand through relay.store, then the whole system starts. A live receipt's delay is taken from
the cloud's own row: when it came in, less when the relay saw its cut (one machine, one clock).
On loopback, and over a line of 256 kbit/s and 300 ms each way (tests/simulators/line.py; needs root): there the bytes
of all packets both ways are counted too.
"""

from __future__ import annotations

import random
import sqlite3
import tempfile
import time
from pathlib import Path

from relay.recording import Recording
from relay.store import Store
from tests.simulators.line import Line, NoLine
from tests.simulators.proxy import Proxy
from tests.simulators.system import System, free_port, until
from tests.simulators.till import connect, receipt

WITHIN_S = 600.0


def main(quick: bool = False) -> int:
    count = 900 if quick else 9000
    run(count, None)
    try:
        line = Line(kbit=256, delay_ms=300)
    except NoLine as error:
        print(f"no line: {error}")
        return 0
    try:
        run(count, line)
    finally:
        line.close()
    return 0


def run(count: int, line: Line | None) -> None:
    way = Proxy(0, at=line.address) if line else None
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        address = {"broker": f"mqtt://{line.address}:{way.port}", "insecure": True} if line and way else {}
        system = System(
            Path(folder),
            printers={"main": f"file://{folder}/paper.prn"},
            pos={"till": f"tcp://127.0.0.1:{port}"},
            broker="nats",
            box={"cloud": address},
        )
        if line and way:
            way.target = ("127.0.0.1", system.mqtt_port)
            system.inside["agent"] = line.inside
        try:
            system.set_up()
            size = fill(system.capture_db, count)
            system.start("broker", "cloud", "relay")
            drained_s, delays = drain(system, port, count, 1.0 if line else 0.2)
        finally:
            system.close()
            if way:
                way.close()
    delays.sort()
    where = f"over {line.kbit:g} kbit/s, {line.delay_ms:g} ms each way" if line else "on loopback"
    print(f"backlog of {count} {where}: {drained_s:.1f} s, {count / drained_s:.0f} receipts/s")
    print(
        f"live meanwhile: {len(delays)}, cut to cloud p50 {delays[len(delays) // 2]:.0f} ms,"
        f" p99 {delays[int(len(delays) * 0.99)]:.0f} ms, worst {delays[-1]:.0f} ms"
    )
    if line:
        each, raw = (line.bytes_up + line.bytes_down) / (count + len(delays)), size / count
        print(f"on the line, all packets both ways: {each:.0f} bytes a receipt of {raw:.0f}, {each / raw:.2f}x")


def fill(path: Path, count: int) -> int:
    """A journal with so many receipts that nobody has acknowledged. -> their bytes"""
    rng, size = random.Random(1), 0
    store = Store(path, 0, 4 << 30)
    store.db.execute("BEGIN IMMEDIATE")
    for number in range(1, count + 1):
        recording = Recording("till", "main")
        raw = b"".join(receipt(number, rng).raw for _ in range(4))  # about 2 KB, as receipts of shops have
        size += len(raw)
        recording.hand(raw)
        store.finish(recording, "cut", "all", False)
    store.db.execute("COMMIT")
    store.close()
    return size


def drain(system: System, port: int, count: int, pause_s: float) -> tuple[float, list[float]]:
    """-> seconds from the agent's start to the last of the backlog in the cloud; the live receipts' delays, ms."""
    rng, live = random.Random(2), 0
    till = connect(f"tcp://127.0.0.1:{port}")
    began = time.monotonic()
    system.start("agent")
    until(lambda: "connected mqtt" in system.log("agent"), 90, "the agent is online")
    with sqlite3.connect(f"file:{system.cloud_db}?mode=ro", uri=True, timeout=5.0) as cloud:

        def came(sql: str) -> int:
            return int(cloud.execute(f"SELECT count(*) FROM jobs WHERE {sql}").fetchone()[0])

        while came(f"seq <= {count}") < count:
            if time.monotonic() - began > WITHIN_S:
                raise TimeoutError(f"only {came('1')} of {count} after {WITHIN_S:.0f} s")
            live += 1
            till.send(receipt(count + live, rng).raw)
            time.sleep(pause_s)
        took = time.monotonic() - began
        until(lambda: came("1") == count + live, 120, "the live receipts in the cloud")
        delays = [
            float(ms) for (ms,) in cloud.execute("SELECT received_at - ended_ms FROM jobs WHERE seq > ?", (count,))
        ]
    return took, delays


if __name__ == "__main__":
    raise SystemExit(main())
