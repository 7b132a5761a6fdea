"""Kill -9 of every process of the box and of the broker, at random moments, while the till prints and orders come.

At the end: every receipt that left the printer cut is in the cloud exactly once under its own key, its seqs have no
hole, and every order has either its proof or an alert, and never a second unmarked slip.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Callable

import pytest

from tests.agent.rig import Rig, number_in, receipt
from tests.agent.test_orders import head, order

Bench = Callable[..., Rig]


def campaign(box: Rig, rounds: int, seed: int) -> None:
    rng = random.Random(seed)
    printed, orders = 0, 0
    for _ in range(rounds):
        for _ in range(rng.randint(1, 4)):
            printed += 1
            box.print(receipt(printed))
        if rng.random() < 0.5:
            orders += 1
            box.cloud.order(order(f"c-{orders}"))
        box.printer.wait(b"\x1dVB\x00", printed, within=30)
        with contextlib.suppress(TimeoutError):
            box.cloud.wait(lambda: False, "a moment passes", within=rng.random() * 0.3)
        victim = rng.choice(["agent", "agent", "relay", "broker"])
        box.kill(victim)
        if victim == "relay":
            box.hang_up()
        box.start(victim)
    _receipts_are_whole(box, printed)
    _orders_are_honest(box, orders)


def _receipts_are_whole(box: Rig, printed: int) -> None:
    def all_there() -> bool:
        return {number_in(raw or b"") for raw in box.cloud.raws.values()} >= set(range(1, printed + 1))

    box.cloud.wait(all_there, f"{printed} receipts", within=90)
    box.wait_empty(within=60)
    numbers = Counter(number_in(raw or b"") for raw in box.cloud.raws.values())
    assert set(numbers.values()) == {1}, "no receipt came under two keys"
    for epoch in {epoch for epoch, _ in box.cloud.jobs}:
        seqs = {seq for e, seq in box.cloud.jobs if e == epoch}
        buried = {n for t in box.cloud.tombs if t.epoch == epoch for n in range(t.first, t.last + 1)}
        assert seqs | buried == set(range(1, max(seqs | buried) + 1)), "no hole"


def _orders_are_honest(box: Rig, orders: int) -> None:
    for number in range(1, orders + 1):
        name = f"c-{number}"

        def ended(name: str = name) -> str | None:
            states = [str(r.state) for r in box.cloud.reports if r.order == name]
            return next((s for s in ("printed", "unconfirmed") if s in states), None)

        try:
            state = box.cloud.wait(ended, f"order {name} ends", within=40)
        except TimeoutError:  # sent while nobody was subscribed: the cloud offers it again
            box.cloud.order(order(name))
            state = box.cloud.wait(ended, f"order {name} ends", within=40)
        slips = box.printer.paper.count(head(name) + b"\n")
        assert slips <= 1, f"{name} stands on paper {slips} times without a mark"
        assert slips == 1 or state == "unconfirmed", f"{name} is told as {state} and is not on paper"


@pytest.mark.covers("F1", "F5", "F6", "F34")
@pytest.mark.timeout(240)
def test_nothing_is_lost_or_doubled_by_kills(bench: Bench) -> None:
    campaign(bench().start("relay", "agent").online(), rounds=16, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(2, 8))
def test_nothing_is_lost_or_doubled_by_many_kills(bench: Bench, seed: int) -> None:
    campaign(bench().start("relay", "agent").online(), rounds=100, seed=seed)
