"""kill -9 of each process while a till prints: nothing that was cut is lost, nothing is stored twice."""

from __future__ import annotations

import random
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.scenes.conftest import Shop
from tests.simulators.system import until
from tests.simulators.till import SHOPS, TcpTill, receipt

NUMBER = re.compile(rb"Receipt No: (\d{6})")


class BusyTill:
    """Prints numbered receipts, one after the other; after a broken line it connects again and repeats the receipt
    that it was at, as tills do. `cut` are the numbers whose cut the printer saw."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.sent, self.repeated = shop, 0, set[int]()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self) -> None:
        rng, till = random.Random(5), None
        while not self.stop.is_set():
            raw = receipt(self.sent + 1, rng, SHOPS[0]).raw
            while not self.stop.is_set():
                try:
                    till = till or self.shop.till()
                    till.send(raw)
                    until(
                        lambda till=till: self.sent + 1 in self.cut() or hung_up(till),
                        30,
                        f"receipt {self.sent + 1} is cut",
                    )
                    if self.sent + 1 in self.cut():
                        break
                    raise ConnectionError
                except OSError:
                    self.repeated.add(self.sent + 1)
                    till = None
                    self.stop.wait(0.05)
            self.sent += 1

    def cut(self) -> set[int]:
        """Numbers of the receipts that are on paper down to their cut."""
        return {
            int(n)
            for piece in bytes(self.shop.printer.received).split(b"\x1dVB\x00")[:-1]
            for n in NUMBER.findall(piece)
        }


def hung_up(till: TcpTill | None) -> bool:
    if till is None:
        return True
    till.socket.setblocking(False)
    try:
        return till.socket.recv(64) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        till.socket.settimeout(5)


@contextmanager
def busy(shop: Shop) -> Iterator[BusyTill]:
    till = BusyTill(shop)
    till.thread.start()
    try:
        yield till
    finally:
        till.stop.set()
        till.thread.join(35)


def in_the_cloud(shop: Shop) -> Counter[int]:
    """How many stored jobs hold each receipt down to its cut."""
    return Counter(int(n) for job in shop.stored() if b"\x1dVB\x00" in job.raw for n in NUMBER.findall(job.raw))


def everything_arrived(shop: Shop, till: BusyTill) -> None:
    cut = till.cut()
    until(lambda: cut <= set(in_the_cloud(shop)), 40, "every receipt that was cut is in the cloud")
    twice = {n for n, count in in_the_cloud(shop).items() if count > 1} - till.repeated
    assert not twice, "stored twice, though the till sent them once"
    rows = shop.system.query(shop.system.cloud_db, "SELECT box, epoch, seq, count(*) FROM jobs GROUP BY 1, 2, 3")
    assert all(row[3] == 1 for row in rows)
    until(lambda: shop.left_on_the_box() == 0, 30, "everything was acknowledged and released")


@pytest.mark.covers("F5")
def test_the_agent_is_killed_and_the_till_prints_on_without_a_gap(fragile: Shop) -> None:
    with busy(fragile) as till:
        for _ in range(3):
            until(lambda have=till.sent: till.sent >= have + 8, 20, "the till prints")
            fragile.system.kill("agent")
            until(lambda have=till.sent: till.sent >= have + 10, 20, "the till prints on, with no agent")
            assert not till.repeated
            fragile.system.start("agent")
    everything_arrived(fragile, till)


@pytest.mark.covers("F5", "F2")
def test_the_relay_is_killed_and_only_the_receipt_it_was_at_is_partial(fragile: Shop) -> None:
    kills = 4
    with busy(fragile) as till:
        for _ in range(kills):
            until(lambda have=till.sent: till.sent >= have + 8, 20, "the till prints")
            fragile.system.kill("relay")
            fragile.system.start("relay")
        until(lambda have=till.sent: till.sent >= have + 5, 20, "the till prints again")
    everything_arrived(fragile, till)
    partial = fragile.system.query(fragile.system.cloud_db, "SELECT count(*) FROM jobs WHERE boundary = 'partial'")
    assert partial[0][0] <= kills
    assert len(till.repeated) <= kills


@pytest.mark.covers("F6", "F31")
@pytest.mark.parametrize("victims", [("broker",), ("cloud",), ("broker", "cloud")], ids=" and ".join)
def test_broker_and_cloud_are_killed_and_everything_arrives_once(fragile: Shop, victims: tuple[str, ...]) -> None:
    with busy(fragile) as till:
        for _ in range(2):
            until(lambda have=till.sent: till.sent >= have + 8, 20, "the till prints")
            for name in victims:
                fragile.system.kill(name)
            until(lambda have=till.sent: till.sent >= have + 8, 20, "the till prints on, with no cloud")
            fragile.system.start(*victims)
    assert not till.repeated
    everything_arrived(fragile, till)
