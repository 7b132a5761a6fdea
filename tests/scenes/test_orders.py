"""An order's life, from the API to paper: printed with its proof, or the truth about why not."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest

from tests.scenes.conftest import Shop
from tests.simulators.system import until
from tests.simulators.till import SHOPS, receipt


def reaches(shop: Shop, order: str, *states: str, within: float = 180) -> dict[str, Any]:
    def now() -> dict[str, Any] | None:
        answer = shop.system.order_state(order)
        return answer if answer["state"] in states else None

    return until(now, within, f"order is {' or '.join(states)}, not {shop.system.order_state(order)['state']}")


def slips(shop: Shop, table: str) -> list[bytes]:
    """The pieces of paper, cut off, that name this table."""
    return [piece for piece in list(shop.printer.paper) if table.encode() in piece]


def states_of(answer: dict[str, Any]) -> list[str]:
    return [step["state"] for step in answer["history"]]


def test_an_order_is_printed_once_with_proof_and_its_history_says_how(shop: Shop) -> None:
    order = shop.system.order(table="T-101")
    answer = reaches(shop, order, "printed")
    assert answer["proof"] in ("L1", "L2")
    steps = ["submitted", "accepted", "queued", "sent", "received", "printing", "printed"]
    assert [state for state in states_of(answer) if state in steps] == steps
    (paper,) = slips(shop, "T-101")
    assert b"Flat white" in paper and b"two forks" in paper
    assert f"alert=new_order:{order} raised" in shop.system.log("agent")


@pytest.mark.covers("F51")
def test_a_slip_never_stands_inside_a_receipt(shop: Shop) -> None:
    """The till prints in bytes and bits, with pauses; orders come all the while."""
    stop, sent = threading.Event(), list[bytes]()

    def print_slowly() -> None:
        rng, till, n = random.Random(9), shop.till(), 700
        while not stop.is_set():
            n += 1
            raw = receipt(n, rng, SHOPS[0]).raw
            for at in range(0, len(raw), 120):
                till.send(raw[at : at + 120])
                stop.wait(0.02)
            sent.append(raw)
            stop.wait(1.3)
        till.close()

    thread = threading.Thread(target=print_slowly, daemon=True)
    thread.start()
    for n in range(4):
        seen = len(sent)
        until(lambda seen=seen: len(sent) > seen, 180, "the till prints")
        reaches(shop, shop.system.order(table=f"T-2{n}0"), "printed")
    stop.set()
    thread.join(10)
    until(lambda: bytes(shop.printer.received).count(sent[-1]) == 1, 180, "the last receipt is on paper")
    everything = bytes(shop.printer.received)
    for raw in sent:
        assert raw[: -len(b"\x1bp\x00\x19\xfa")] in everything, "a receipt was broken up"
    for n in range(4):
        (paper,) = slips(shop, f"T-2{n}0")
        assert paper.count(b"Flat white") == 1
        assert b"Receipt No" not in paper


def test_the_same_order_again_is_the_same_order_and_one_slip(shop: Shop) -> None:
    first = shop.system.order(table="T-301", external_id="again-1")
    assert shop.system.order(table="T-301", external_id="again-1") == first
    with pytest.raises(RuntimeError, match="409"):
        shop.system.order(table="T-302", external_id="again-1")
    reaches(shop, first, "printed")
    assert len(slips(shop, "T-301")) == 1


@pytest.mark.covers("F44")
def test_without_paper_the_order_waits_loudly_and_prints_when_there_is_paper(shop: Shop) -> None:
    shop.printer.set(paper="out")
    try:
        order = shop.system.order(table="T-401")
        until(lambda: "alert=printer" in shop.system.log("agent"), 180, "the box raises an alert for its printer")
        assert shop.system.order_state(order)["state"] in ("queued", "sent", "received", "failed", "printing")
        assert not slips(shop, "T-401")
    finally:
        shop.printer.set(paper="ok")
    reaches(shop, order, "printed")
    assert len(slips(shop, "T-401")) == 1


@pytest.mark.covers("A1")
@pytest.mark.parametrize("field", ["name", "note", "table"])
def test_control_characters_are_refused_at_the_door(shop: Shop, field: str) -> None:
    drawer = "tea\x1bp\x00\x19\xfa"
    changes: dict[str, Any] = (
        {"table": drawer} if field == "table" else {"items": [{"name": "tea", "quantity": 1, field: drawer}]}
    )
    with pytest.raises(RuntimeError, match="POST /v1/orders: 4"):
        shop.system.order(**changes)


@pytest.mark.covers("F4", "F5")
def test_a_killed_agent_prints_its_order_once_after_its_restart(fragile: Shop) -> None:
    order = fragile.system.order(table="T-501")
    until(
        lambda: fragile.system.order_state(order)["state"] not in ("queued", "accepted"),
        180,
        "the order left the cloud",
    )
    fragile.system.kill("agent")
    fragile.system.start("agent")
    answer = reaches(fragile, order, "printed", "unconfirmed")
    assert answer["state"] == "printed"
    assert len(slips(fragile, "T-501")) == 1


@pytest.mark.covers("F47")
def test_a_printer_that_swallows_bytes_is_never_called_printed(fragile: Shop) -> None:
    fragile.printer.silent = True
    order = fragile.system.order(table="T-601")
    answer = reaches(fragile, order, "unconfirmed", "printed")
    assert answer["state"] == "unconfirmed"
    assert "printed" not in states_of(answer)
    assert len(slips(fragile, "T-601")) <= 1
