"""Kill -9 at random while boxes bring receipts: an ingest worker, PostgreSQL, the broker. 0 lost, 0 twice.

    python -m tests.cloud.killing --seed 7 --kills 60 --boxes 20

Real processes: mosquitto, PostgreSQL, two ingest workers. (test_broker_files.py kills a node of a NATS cluster.) Boxes
number their receipts, keep each until it is acknowledged by name and hash, and send again what is not, as real ones do.
At the end every receipt that any box ever made is in the table once, none is acknowledged that is not there, and each
was read, counted and told once.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

import psycopg
import sqlalchemy as sa

from cloud.store import schema
from cloud.store.database import Store
from receipt.extract import RULES_VERSION
from tests.cloud.conftest import Cloud, until
from tests.cloud.mosquitto import Mosquitto
from tests.cloud.postgres import Postgres
from tests.simulators.box import SimulatedBox

COUNTS = {
    "stored": "SELECT count(*) FROM jobs",
    "different": "SELECT count(DISTINCT (merchant_id, box, epoch, seq)) FROM jobs",
    "papers": "SELECT count(*) FROM papers",
    "facts": "SELECT count(*) FROM facts",
    "told": "SELECT count(*) FROM events WHERE kind = 'receipt.read'",
    "told of different": "SELECT count(DISTINCT object) FROM events WHERE kind = 'receipt.read'",
    "summed": "SELECT coalesce(sum(receipts), 0) FROM sums WHERE dim = 'all'",
    "conflicts": "SELECT count(*) FROM conflicts",
    "set aside": "SELECT count(*) FROM set_aside",
    "holes": "SELECT count(*) FROM holes",
}


class Told(NamedTuple):
    """What became of a campaign."""

    kills: Counter[str]
    made: int
    counts: dict[str, int]
    lost: int  # not stored, or acknowledged and not stored
    resent: int

    def __str__(self) -> str:
        kills = ", ".join(f"{count} x {what}" for what, count in sorted(self.kills.items()))
        twice = self.counts["stored"] - self.counts["different"]
        return (
            f"{self.made} receipts, killed: {kills}; {self.lost} lost, {twice} twice,"
            f" {self.counts['conflicts']} conflicts; sent again {self.resent}"
        )


def campaign(folder: Path, seed: int, kills: int, boxes: int, between_s: tuple[float, float] = (0.3, 2.0)) -> Told:
    """Raises AssertionError where a promise is broken, with the seed."""
    rng, killed = random.Random(seed), Counter[str]()
    names = [f"kill-{n:03d}-front" for n in range(boxes)]
    with ExitStack() as ending:
        postgres = ending.enter_context(closing(Postgres()))
        broker = ending.enter_context(closing(Mosquitto(folder, {name: name * 2 for name in ["cloud", *names]})))
        url = postgres.database("killing")
        clouds = []
        for n in range(2):
            (folder / str(n)).mkdir()
            clouds.append(Cloud(folder / str(n), store=url, role="ingest", broker=broker.settings, extra=""))
            ending.callback(clouds[-1].close)
        clouds[0].merchant("Corner Cafe", "anna").close()
        with closing(Store(url)) as direct, direct.write() as connection:
            merchant = connection.execute(sa.select(schema.merchants.c.id)).scalar_one()
            rows = [{"id": name, "merchant_id": merchant, "password_hash": "-", "created_at": 1} for name in names]
            connection.execute(sa.insert(schema.boxes), rows)
        for cloud in clouds:
            cloud.start()
        fleet = [SimulatedBox(name, name * 2, "127.0.0.1", broker.port) for name in names]
        for box in fleet:
            ending.callback(box.close)
        for box in fleet:
            box.ready(60)
        resent = 0

        def worker() -> None:
            victim = rng.choice(clouds)
            victim.stop(signal.SIGKILL)
            _capture(rng, fleet)
            victim.start()

        def database() -> None:
            postgres.kill()
            _capture(rng, fleet)
            postgres.start()

        def the_broker() -> None:
            broker.kill()
            time.sleep(rng.uniform(0, 0.3))  # part of the fault: how long it is away
            broker.start()

        for _ in range(kills):
            _capture(rng, fleet)
            time.sleep(rng.uniform(*between_s))  # part of the fault: where in its work it is hit
            what, strike = rng.choice([("a worker", worker), ("PostgreSQL", database), ("the broker", the_broker)])
            strike()
            killed[what] += 1
            resent += _again(fleet)
        made = sum(box.seq for box in fleet)

        def all_acked() -> bool:
            nonlocal resent
            open_ones = _again(fleet)
            resent += open_ones
            return not open_ones

        until(all_acked, within=120, every=1)
        until(lambda: _count(url, "SELECT count(*) FROM jobs WHERE state = 'stored'") == 0, within=120, every=0.3)
        counts = {what: _count(url, query) for what, query in COUNTS.items()}
        stored = _stored(url)
    owned = {(box.name, epoch, seq) for box in fleet for epoch, seq in box.kept}
    told = Told(killed, made, counts, len(owned - stored), resent)
    assert stored == owned, f"seed {seed}: {told}"
    once = {"stored", "different", "papers", "facts", "told", "told of different", "summed"}
    assert {counts[what] for what in once} == {made}, f"seed {seed}: {counts}"
    assert {counts[what] for what in set(COUNTS) - once} == {0}, f"seed {seed}: {counts}"
    return told


def _capture(rng: random.Random, fleet: list[SimulatedBox]) -> None:
    for box in fleet:
        for _ in range(rng.randint(1, 6)):
            box.capture(rules=RULES_VERSION)  # others would be read, and told, twice


def _again(fleet: list[SimulatedBox]) -> int:
    """Every box sends again what nobody acknowledged -> how many."""
    count = 0
    for box in fleet:
        for key in box.kept.keys() - box.acks.keys():
            box.publish("receipts", box.kept[key])
            count += 1
    return count


def _count(url: str, query: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[arg-type,call-overload]
        return int(row[0]) if row else 0


def _stored(url: str) -> set[tuple[str, str, int]]:
    with psycopg.connect(url) as connection:
        return set(connection.execute("SELECT box, epoch, seq FROM jobs").fetchall())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(2), "big"))
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--boxes", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(f"seed {given.seed}: {campaign(Path(folder), given.seed, given.kills, given.boxes)}")


if __name__ == "__main__":
    main()
