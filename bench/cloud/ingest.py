"""Receipts a second: one worker beside a paho subscriber that only counts, and what a second worker costs."""

from __future__ import annotations

import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from bench.cloud import rig
from bench.cloud.load import Load
from tests.cloud.postgres import Postgres

OWNERS = "SELECT count(*) FROM (SELECT owner FROM shards WHERE owner <> '' GROUP BY owner) AS o"
UNREAD = "SELECT count(*) FROM jobs WHERE state = 'stored'"


class Run(NamedTuple):
    rate: float  # receipts a second, until all are stored and acknowledged
    cpu: float  # seconds of CPU of all workers, for each of them, until all are stored
    whole: float  # the same until all are read and counted too


def main(quick: bool = False) -> None:
    count = 3_000 if quick else 20_000
    with closing(Postgres()) as postgres:
        counted, size = subscriber(count)
        print(f"paho, counting only: {counted:.0f} receipts/s; a message has {size:.0f} bytes")
        for name, store in (("SQLite", None), ("PostgreSQL", postgres.database("one"))):
            one = ingest(count, store, 1)
            print(f"{name}, one worker: {one.rate:.0f} receipts/s, {one.rate / counted:.2f} x paho; {says(one)}")
        two = ingest(count, postgres.database("two"), 2)
        each = f"{two.cpu / one.cpu:.2f} x one worker's ({two.whole / one.whole:.2f} x with reading)"
        print(f"PostgreSQL, two workers: {two.rate:.0f} receipts/s; {says(two)}: {each}")


def says(run: Run) -> str:
    return f"CPU a receipt {run.cpu * 1e6:.0f} us until it is stored, {run.whole * 1e6:.0f} us until it is read"


def subscriber(count: int) -> tuple[float, float]:
    """-> (receipts a second, bytes of a message)."""
    with tempfile.TemporaryDirectory() as folder, closing(rig.broker(Path(folder))) as one:
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
        return count / took, load.bytes_each


def ingest(count: int, store: str | None, workers: int) -> Run:
    """One process that does everything; with PostgreSQL, more that only ingest."""
    roles = ["all"] + ["ingest"] * (workers - 1)
    with rig.running(store, roles) as (one, clouds, _):
        if workers > 1:
            rig.wait(lambda: rig.count(clouds[0], store, OWNERS) == workers, 60)
        with closing(Load(one.port, count)) as load:
            before = sum(map(rig.cpu_of, clouds))
            began = load.start()
            while rig.count(clouds[0], store) < count:
                time.sleep(0.05)
                if time.monotonic() - began > 900:
                    raise TimeoutError(f"only {rig.count(clouds[0], store)} of {count} were stored")
            rate = count / (time.monotonic() - began)
            spent = sum(map(rig.cpu_of, clouds)) - before
        rig.wait(lambda: rig.count(clouds[0], store, UNREAD) == 0, 300)
        return Run(rate, spent / count, (sum(map(rig.cpu_of, clouds)) - before) / count)
