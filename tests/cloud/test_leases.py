"""Several workers on PostgreSQL: a shard has one at a time, and a worker that dies loses and doubles nothing."""

from __future__ import annotations

import signal
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from cloud.batch import Intake
from cloud.events import Bell
from cloud.leases import Leases, Stale
from cloud.store import schema
from cloud.store.database import Store
from config.cloud import CloudConfig
from tests.cloud.conftest import Cloud, until
from tests.cloud.mosquitto import Mosquitto
from tests.cloud.postgres import Postgres
from tests.cloud.test_batch import BOX, packet, rows
from tests.simulators.box import SimulatedBox, job
from wire.messages import OrderState
from wire.topics import SHARDS, shard_of


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with closing(Postgres()) as server:
        yield server


@pytest.fixture
def store(postgres: Postgres) -> Iterator[Store]:
    with closing(Store(postgres.database(f"t{uuid.uuid4().hex}"))) as one:
        with one.write() as connection:
            connection.execute(sa.insert(schema.boxes).values(id=BOX, merchant_id="m", password_hash="-", created_at=1))
        yield one


def worker(store: Store) -> Leases:
    return Leases(store, Bell(), threading.Event())


def dies(store: Store, one: Leases) -> None:
    """Its time has run out."""
    with store.write() as connection:
        connection.execute(sa.update(schema.workers).where(schema.workers.c.id == one.worker).values(until=0))


def test_workers_share_all_shards_and_each_has_one_owner(store: Store) -> None:
    first, second, third = (worker(store) for _ in range(3))
    first.beat()
    assert sorted(first.held) == list(SHARDS)
    for _ in range(2):
        for one in (first, second, third):
            one.beat()
    assert {len(one.held) for one in (first, second, third)} == {85, 86}
    assert sorted([*first.held, *second.held, *third.held]) == list(SHARDS)
    second.release()
    dies(store, third)
    first.beat()
    assert sorted(first.held) == list(SHARDS)
    assert set(first.held.values()) == {1, 3}  # what changed hands has another term


def test_a_worker_that_was_thought_dead_writes_nothing_any_more(store: Store) -> None:
    first, second = worker(store), worker(store)
    first.beat()
    late, quick = Intake(store, CloudConfig(), first), Intake(store, CloudConfig(), second)
    epoch = str(uuid.uuid4())
    assert late.take([packet(job(epoch, 1))]).stored == 1
    dies(store, first)
    second.beat()
    with pytest.raises(Stale) as stale:
        late.take([packet(job(epoch, 2))])
    assert stale.value.lost == {shard_of(BOX)}
    assert shard_of(BOX) not in first.held
    assert quick.take([packet(job(epoch, 2)), packet(job(epoch, 1))]).stored == 1
    assert rows(store, schema.jobs, "seq") == [(1,), (2,)]


def test_a_shard_is_not_taken_while_a_transaction_works_for_it(store: Store) -> None:
    first, second = worker(store), worker(store)
    first.beat()
    with store.write() as connection:
        first.check(connection, [shard_of(BOX)])
        dies(store, first)
        second.beat()  # does not wait
        assert len(second.held) == 255
        assert shard_of(BOX) not in second.held
    second.beat()
    assert shard_of(BOX) in second.held


def test_a_worker_that_comes_back_to_life_gets_its_share_again(store: Store) -> None:
    first, second = worker(store), worker(store)
    first.beat()
    dies(store, first)
    second.beat()
    for _ in range(2):
        first.beat()
        second.beat()
    first.beat()
    assert (len(first.held), len(second.held)) == (128, 128)
    with store.write() as connection:
        first.check(connection, first.held)
        second.check(connection, second.held)


JOBS = 40


@pytest.mark.covers("F6")
def test_of_two_workers_one_is_killed_and_nothing_is_lost_or_twice(postgres: Postgres, tmp_path: Path) -> None:
    """Real processes, broker and database. The boxes send again what is not acknowledged, like real ones."""
    names = [f"shop-{n:02d}-front" for n in range(12)]
    broker = Mosquitto(tmp_path, {name: name * 2 for name in ["cloud", *names]})
    url = postgres.database("two-workers")
    clouds = []
    for name in ("one", "two", "web"):
        (tmp_path / name).mkdir()
        role = "web" if name == "web" else "ingest"
        clouds.append(Cloud(tmp_path / name, store=url, role=role, broker=broker.settings, extra=""))
    one, _, web = clouds
    boxes: list[SimulatedBox] = []
    try:
        client = web.merchant("Corner Cafe", "anna")
        with closing(Store(url)) as direct, direct.write() as connection:
            merchant = connection.execute(sa.select(schema.merchants.c.id)).scalar_one()
            rows_of = [{"id": n, "merchant_id": merchant, "password_hash": "-", "created_at": 1} for n in names]
            connection.execute(sa.insert(schema.boxes), rows_of)
        for cloud in clouds:
            cloud.start()

        def owners() -> list[int]:
            query = "SELECT count(*) FROM shards WHERE owner <> '' GROUP BY owner"
            with psycopg.connect(url) as connection:
                return sorted(row[0] for row in connection.execute(query))

        until(lambda: owners() == [128, 128])
        boxes = [SimulatedBox(name, name * 2, "127.0.0.1", broker.port).ready() for name in names]
        order_of = {}
        for box in boxes:
            box.status()
            order = {"kind": "dine_in", "items": [{"name": "Soup"}], "box": box.name}
            answer = client.post("/v1/orders", json=order)
            assert answer.status_code == 201, answer.text
            order_of[box.name] = answer.json()["id"]
        for box in boxes:
            for _ in range(JOBS):
                box.capture()
        until(lambda: sum(len(box.acks) for box in boxes) > JOBS)
        one.stop(signal.SIGKILL)

        def all_acked(count: int = JOBS) -> bool:
            for box in boxes:
                for seq in {*range(1, count + 1)} - {seq for _, seq in box.acks}:
                    box.publish("receipts", job(box.epoch, seq))
            return all(len(box.acks) == count for box in boxes)

        until(all_acked, within=60, every=0.5)
        assert owners() == [256]
        for box in boxes:
            box.order(order_of[box.name])
            box.report(order_of[box.name], OrderState.RECEIVED)
        until(lambda: {o["state"] for o in client.get("/v1/orders").json()["orders"]} == {"received"})

        def count(what: str) -> int:
            with psycopg.connect(url) as connection:
                (row,) = connection.execute(what).fetchall()  # type: ignore[arg-type,call-overload]
                return int(row[0])

        total = JOBS * len(names)
        assert count("SELECT count(*) FROM jobs") == total
        assert count("SELECT count(DISTINCT (box, epoch, seq)) FROM jobs") == total
        assert count("SELECT count(*) FROM conflicts") == 0
        until(lambda: count("SELECT count(*) FROM jobs WHERE state = 'stored'") == 0)
        assert count("SELECT count(DISTINCT object) FROM events WHERE kind = 'receipt.read'") == total
        one.start()
        until(lambda: owners() == [128, 128])
        until(lambda: all_acked(JOBS + 1), within=60, every=0.5)
    finally:
        for box in boxes:
            box.close()
        for cloud in clouds:
            cloud.close()
        broker.close()
