"""The cloud: how fast one ingest worker stores 3-KB receipts beside a paho subscriber that only counts them, what two
workers cost, how long a lookup takes meanwhile, and what ten thousand connected boxes weigh.

Real processes: mosquitto, tillwire-cloud, SQLite or PostgreSQL. The load is made of packets that were built beforehand,
by processes of their own, so that making it costs as little as can be. Skips what is not installed.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import statistics
import string
import tempfile
import threading
import time
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as paho
import psycopg
import sqlalchemy as sa
from paho.mqtt.enums import CallbackAPIVersion

from cloud.mqtt import Address, Mqtt
from cloud.store import schema
from cloud.store.database import Store
from tests.cloud.conftest import Cloud
from tests.cloud.mosquitto import Mosquitto
from tests.cloud.postgres import Postgres
from tests.simulators.box import job
from wire import topics
from wire.messages import Status, encode, new

NAMES = [f"shop-{n:03d}-front" for n in range(40)]
WINDOW = 400  # unacknowledged PUBLISHes of one connection
LETTERS = string.ascii_letters + string.digits + " "
TEN_THOUSAND = 10_000


def main(quick: bool = False) -> int:
    count = 2_000 if quick else 20_000
    print(f"load average {os.getloadavg()[0]:.1f} (figures mean little above 1)")
    with closing(Postgres()) as postgres:
        counted = subscriber(count)
        print(f"paho, counting only: {counted:.0f} receipts/s")
        for name, store in (("SQLite", None), ("PostgreSQL", postgres.database("one"))):
            rate, cpu, slow = ingest(count, store, workers=1)
            print(
                f"{name}, one worker: {rate:.0f} receipts/s, {rate / counted:.2f} x paho, {cpu * 1e6:.0f} us CPU each"
            )
            if slow:
                print(f"   GET /v1/orders/ID meanwhile: p50 {slow[0]:.1f} ms, p99 {slow[1]:.1f} ms")
            if store is not None:
                rate, both, _ = ingest(count, postgres.database("two"), workers=2)
                print(f"{name}, two workers: {rate:.0f} receipts/s, CPU per receipt {both / cpu:.2f} x one worker's")
    crowd(200 if quick else TEN_THOUSAND)
    return 0


def payloads(count: int) -> list[tuple[str, bytes]]:
    """(topic, message) of receipts whose message has about 3 KB."""
    rng = random.Random(1)
    epochs = {name: str(uuid.UUID(int=rng.getrandbits(128))) for name in NAMES}
    out = []
    for n in range(count):
        name = NAMES[n % len(NAMES)]
        text = "\n".join("".join(rng.choices(LETTERS, k=46)) for _ in range(38))
        out.append((topics.up(name, "receipts"), encode(job(epochs[name], n // len(NAMES) + 1, text))))
    return out


def publish(port: int, messages: list[tuple[str, bytes]], ready: Any, go: Any) -> None:
    """A process's work: everything is built, then sent."""
    line = Mqtt(Address("127.0.0.1", port, "crowd", "crowd"), f"load-{os.getpid()}")
    packets = [line.packet(topic, payload)[1] for topic, payload in messages]
    ready.release()
    go.wait()
    sent = 0
    while sent < len(packets):
        while sent - len(line.acked) >= WINDOW:
            line.receive(1)
        line.send(b"".join(packets[sent : sent + 50]))
        sent += 50
        line.receive(0)
    while len(line.acked) < len(packets):
        line.receive(1)
    line.close()


class Load:
    """The publishers, waiting for `start()`."""

    def __init__(self, port: int, count: int) -> None:
        context = multiprocessing.get_context("fork")
        self._ready, self._go = context.Semaphore(0), context.Event()
        everything = payloads(count)
        halves = [everything[:half] if first else everything[half:] for half in [count // 2] for first in (True, False)]
        self._processes = [context.Process(target=publish, args=(port, h, self._ready, self._go)) for h in halves]
        for process in self._processes:
            process.start()
        for _ in self._processes:
            self._ready.acquire()

    def start(self) -> float:
        self._go.set()
        return time.monotonic()

    def close(self) -> None:
        for process in self._processes:
            process.join(60)
            process.kill()


def broker(folder: Path) -> Mosquitto:
    return Mosquitto(folder, {"cloud": "cloud", "crowd": "crowd"})


def subscriber(count: int) -> float:
    """-> receipts a second."""
    with tempfile.TemporaryDirectory() as folder, closing(broker(Path(folder))) as one:
        seen, done, heard = 0, threading.Event(), threading.Event()

        def counts(*_: Any) -> None:
            nonlocal seen
            seen += 1
            if seen == count:
                done.set()

        client = paho.Client(CallbackAPIVersion.VERSION2, client_id="counter")
        client.username_pw_set("cloud", "cloud")
        client.on_message, client.on_subscribe = counts, lambda *_: heard.set()
        client.on_connect = lambda *_: client.subscribe("tillwire/1/+/+/up/receipts", 1)
        client.connect("127.0.0.1", one.port)
        client.loop_start()
        heard.wait(30)
        with closing(Load(one.port, count)) as load:
            began = load.start()
            done.wait(600)
            took = time.monotonic() - began
        client.disconnect()
        client.loop_stop()
        return count / took


def ingest(count: int, store: str | None, workers: int) -> tuple[float, float, tuple[float, float] | None]:
    """-> (receipts a second, CPU seconds a receipt of all workers, (p50, p99) of a lookup in ms or None)."""
    with tempfile.TemporaryDirectory() as base, closing(broker(Path(base))) as one:
        clouds = []
        for n in range(workers):
            (folder := Path(base, str(n))).mkdir()
            role = "all" if n == 0 else "ingest"
            clouds.append(Cloud(folder, store=store, role=role, broker=one.settings))
        try:
            client = clouds[0].merchant("Corner Cafe", "anna")
            add_boxes(clouds[0], store, NAMES)
            for cloud in clouds:
                cloud.start()
            order = {"kind": "takeaway", "items": [{"name": "Soup"}], "box": NAMES[0]}
            address = "/v1/orders/" + client.post("/v1/orders", json=order).json()["id"]
            if workers > 1:
                wait(lambda: shares(store) == workers, 60)
            before = sum(cpu_of(cloud) for cloud in clouds)
            took: list[float] = []
            with closing(Load(one.port, count)) as load:
                began = load.start()
                while stored(clouds[0], store) < count:
                    if workers == 1:
                        at = time.perf_counter()
                        client.get(address).raise_for_status()
                        took.append((time.perf_counter() - at) * 1000)
                    time.sleep(0.02)
                    if time.monotonic() - began > 900:
                        raise TimeoutError(f"only {stored(clouds[0], store)} of {count} were stored")
                rate = count / (time.monotonic() - began)
            spent = sum(cpu_of(cloud) for cloud in clouds) - before
            took.sort()
            slow = (statistics.median(took), took[int(len(took) * 0.99)]) if len(took) > 20 else None
            client.close()
            return rate, spent / count, slow
        finally:
            for cloud in clouds:
                cloud.close()


def add_boxes(cloud: Cloud, store: str | None, names: list[str]) -> None:
    path = None if store else cloud.database
    with closing(Store(store or "sqlite:///unused", path)) as direct, direct.write() as connection:
        merchant = connection.execute(sa.select(schema.merchants.c.id)).scalar_one()
        rows = [{"id": n, "merchant_id": merchant, "password_hash": "-", "created_at": 1} for n in names]
        connection.execute(sa.insert(schema.boxes), rows)


def stored(cloud: Cloud, store: str | None) -> int:
    import sqlite3

    query = "SELECT count(*) FROM jobs"
    if store is None:
        with closing(sqlite3.connect(f"file:{cloud.database}?mode=ro", uri=True)) as connection:
            return int(connection.execute(query).fetchone()[0])
    with psycopg.connect(store) as postgres:
        row = postgres.execute(query).fetchone()
        return int(row[0]) if row else 0


def shares(store: str | None) -> int:
    assert store is not None
    with psycopg.connect(store) as postgres:
        return len(postgres.execute("SELECT owner FROM shards WHERE owner <> '' GROUP BY owner").fetchall())


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


def crowd(count: int) -> None:
    """So many boxes connect, and each says how it is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 500
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
        if hard < wanted:
            print(f"crowd: skipped, only {hard} files may be open")
            return
    names = [f"crowd-{n:06d}" for n in range(count)]
    with tempfile.TemporaryDirectory() as base, closing(broker(Path(base))) as one:
        cloud = Cloud(Path(base), broker=one.settings)
        lines: list[Mqtt] = []
        try:
            client = cloud.merchant("Corner Cafe", "anna")
            add_boxes(cloud, None, names)
            cloud.start()
            before = memory_of(cloud)
            began = time.monotonic()
            for name in names:
                lines.append(Mqtt(Address("127.0.0.1", one.port, "crowd", "crowd"), name, keepalive_s=600))
                status = new(Status, online=True, version="0.1.0", boot=name, epoch=str(uuid.uuid4()))
                lines[-1].publish(topics.up(name, "status"), encode(status), retain=True)
            wait(lambda: online(cloud) == count, 300)
            took, after = time.monotonic() - began, memory_of(cloud)
            each = (after - before) * 1024 / count
            print(
                f"{count} boxes connected in {took:.0f} s; the cloud's memory {before:.0f} -> {after:.0f} MB,"
                f" {each:.1f} KB a box"
            )
            client.close()
        finally:
            for line in lines:
                line.close()
            cloud.close()


def online(cloud: Cloud) -> int:
    text = httpx.get(f"{cloud.url}/metrics", timeout=30).text
    found = [line for line in text.splitlines() if line.startswith("tillwire_cloud_boxes_online ")]
    return int(float(found[0].split()[1])) if found else 0


def wait(true: Any, within: float) -> None:
    end = time.monotonic() + within
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"not in {within} s")
        time.sleep(0.2)


if __name__ == "__main__":
    raise SystemExit(main())
