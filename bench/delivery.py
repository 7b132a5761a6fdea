"""From the till's cut to the cloud's commit: how long; how soon again after a kill of each process; how much memory.

The whole system on loopback, each process the real one. Times are of one machine and one clock: the relay's of the cut,
the cloud's of its commit, and the journal's row for when the acknowledgement was back.
"""

from __future__ import annotations

import queue
import random
import statistics
import tempfile
import threading
import time
from pathlib import Path

from tests.simulators.memory import pss_mb, tree
from tests.simulators.system import System, free_port, until
from tests.simulators.till import TcpTill, connect, receipt

PROCESSES = ("agent", "relay", "broker", "cloud")


def main(quick: bool = False) -> int:
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
            system.start("broker", "cloud", "relay", "agent")
            bench = Bench(system, f"tcp://127.0.0.1:{port}")
            bench.latency(20 if quick else 150, 0.2)
            bench.memory("at rest")
            bench.recovery(1 if quick else 5)
            bench.memory("after it")
        finally:
            system.close()
    return 0


class Bench:
    def __init__(self, system: System, till: str) -> None:
        self.started: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.system, self.url, self.rng, self.printed = system, till, random.Random(1), 0
        self.till: TcpTill = connect(till)
        self.send()
        self.arrived(1)

    def send(self) -> None:
        raw = receipt(self.printed + 1, self.rng).raw
        while True:
            try:
                self.till.send(raw)
                break
            except OSError:
                self.till = self.connect()
        self.printed += 1

    def connect(self) -> TcpTill:
        while True:
            try:
                return connect(self.url)
            except OSError:
                time.sleep(0.01)

    def arrived(self, count: int, within: float = 60) -> None:
        def all_here() -> bool:
            found = self.system.query(self.system.cloud_db, "SELECT count(*) FROM jobs WHERE boundary = 'cut'")
            return bool(found) and found[0][0] >= count

        until(all_here, within, f"{count} receipts in the cloud")

    def latency(self, count: int, pause_s: float) -> None:
        """One receipt each `pause_s`, as a busy shop does at most."""
        first = self.printed
        for _ in range(count):
            self.send()
            time.sleep(pause_s)
        self.arrived(first + count)
        delays = sorted(
            float(ms)
            for (ms,) in self.system.query(
                self.system.cloud_db, "SELECT received_at - ended_ms FROM jobs WHERE seq > ?", (first,)
            )
        )
        print(
            f"cut to cloud commit, {len(delays)} receipts: p50 {statistics.median(delays):.0f} ms,"
            f" p99 {delays[int(len(delays) * 0.99)]:.0f} ms, worst {delays[-1]:.0f} ms"
        )

    def recovery(self, rounds: int) -> None:
        """kill -9; the till prints (a dead relay: as soon as it listens); the process is started again. Until that
        receipt's acknowledgement is in the journal."""
        for name in PROCESSES:
            took = []
            for _ in range(rounds):
                self.system.kill(name)
                before = self.acked()
                if name != "relay":
                    self.send()
                began = time.monotonic()
                self.start(name)
                if name == "relay":
                    self.till = self.connect()
                    self.send()
                until(lambda before=before: self.acked() > before, 60, f"a receipt is acknowledged after {name}")  # type: ignore[misc]
                took.append(time.monotonic() - began)
                self.started.get(timeout=60)
            print(
                f"{name} killed and started, {rounds} times: a receipt acknowledged after"
                f" {statistics.median(took):.2f} s (median), {max(took):.2f} s (worst)"
            )

    def start(self, name: str) -> None:
        """Without waiting for it. The thread stays: a process ends with the thread that made it."""

        def body() -> None:
            self.system.start(name)
            self.started.put(name)
            threading.Event().wait()

        threading.Thread(target=body, daemon=True).start()

    def acked(self) -> int:
        found = self.system.query(self.system.capture_db, "SELECT count(*) FROM jobs WHERE acked_ran IS NOT NULL")
        return int(found[0][0])

    def memory(self, when: str) -> None:
        told = []
        for name in ("relay", "agent"):
            parts = [pss_mb(pid) for pid in tree(self.system.running[name].pid)]
            children = f" + {sum(parts[1:]):.1f} in its children" if len(parts) > 1 else ""
            told.append(f"{name} {parts[0]:.1f} MB{children}")
        print(f"Pss {when}: {', '.join(told)}")


if __name__ == "__main__":
    raise SystemExit(main())
