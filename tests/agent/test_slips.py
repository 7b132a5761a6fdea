"""agent/fates.step: what the relay says -> what is true. Every order of events, no promise broken."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import printers, slips
from agent.fates import apply, receive, step
from agent.printers import render, trouble
from agent.slips import Slip
from agent.store import Store, get_meta
from wire import messages
from wire.messages import OrderContent, OrderItem, OrderState, PrintOrder, Proof

ORDER = messages.new(
    PrintOrder,
    order="o-1",
    content=OrderContent("A1", "dine_in", [OrderItem("Tea", 2, 300)], currency="JPY", total=600),
)
QUEUED = replace(slips.received(ORDER, "main", held=False), state=OrderState.QUEUED, attempt=1)


def fate(state: str, proof: str = "", attempt: int = 1, reason: str = "") -> dict[str, Any]:
    return {"id": 1, "slip": QUEUED.name, "attempt": attempt, "state": state, "proof": proof, "reason": reason}


def after(*fates: dict[str, Any], slip: Slip = QUEUED) -> Slip:
    for one in fates:
        slip = step(slip, one)
    return slip


def test_proof_makes_it_printed() -> None:
    done = after(fate("queued"), fate("started"), fate("done", "L1"))
    assert (done.state, done.proof, done.on_paper) == (OrderState.PRINTED, Proof.L1, 1)


@pytest.mark.covers("F47")
@pytest.mark.parametrize("proof", ["", "L0"])
def test_sent_without_proof_is_unconfirmed(proof: str) -> None:
    done = after(fate("started"), fate("done", proof))
    assert done.state is OrderState.UNCONFIRMED and done.reason and done.on_paper == 1


@pytest.mark.covers("F46")
def test_a_late_proof_lands() -> None:
    assert after(fate("started"), fate("done"), fate("done", "L2")).state is OrderState.PRINTED


@pytest.mark.covers("F46")
def test_a_late_proof_of_an_earlier_attempt_lands() -> None:
    waiting = replace(after(fate("started"), fate("done")), state=OrderState.QUEUED, attempt=2, copy=1, mark="copy")
    assert step(waiting, fate("done", "L2", attempt=1)).state is OrderState.PRINTED


def test_a_failed_one_left_no_paper() -> None:
    done = after(fate("started"), fate("failed", reason="paper out"))
    assert (done.state, done.on_paper, done.reason) == (OrderState.FAILED, 0, "paper out")


def test_an_expired_one_waits_for_a_go() -> None:
    assert after(fate("expired")).held


def test_a_withdrawn_one_is_cancelled() -> None:
    cancelling = replace(QUEUED, state=OrderState.CANCELLING, reason="sold out")
    done = after(fate("withdrawn"), slip=cancelling)
    assert (done.state, done.reason) == (OrderState.CANCELLED, "sold out")


FATES = st.builds(
    fate,
    st.sampled_from(["queued", "started", "done", "expired", "withdrawn", "failed"]),
    st.sampled_from(["", "L0", "L1", "L2", "L3"]),
    st.integers(1, 3),
)


@given(told=st.lists(FATES, max_size=8))
def test_printed_is_never_said_without_proof_and_never_taken_back(told: list[dict[str, Any]]) -> None:
    slip, printed = QUEUED, False
    for one in told:
        attempt = slip.attempt
        slip = step(slip, one)
        assert slip.attempt >= attempt and slip.on_paper >= 0
        if slip.state is OrderState.PRINTED:
            assert slip.proof in (Proof.L1, Proof.L2, Proof.L3)
        if printed and slip.attempt == attempt:
            assert slip.state is OrderState.PRINTED
        printed = slip.state is OrderState.PRINTED


@given(told=st.lists(FATES, max_size=6))
def test_told_twice_changes_nothing(told: list[dict[str, Any]]) -> None:
    for one in told:
        if one["state"] in ("done", "failed", "expired", "withdrawn"):
            once = step(QUEUED, one)
            assert step(once, one) == once


def test_a_stored_slip_is_the_same_slip(tmp_path: Path) -> None:
    async def body() -> Slip | None:
        store = Store(tmp_path / "agent.db")
        await store.open()
        await store.run(lambda c: slips.put(c, QUEUED))
        found = await store.run(lambda c: slips.get(c, "o-1", "main", 1))
        await store.close()
        return found

    assert asyncio.run(body()) == QUEUED


def test_after_a_restart_of_the_board_nothing_has_expired_and_a_cancelled_one_is_cancelled() -> None:
    """The relay expires what waited over the restart; for how long it waited, nobody knows."""
    held = step(QUEUED, fate("expired"), age_known=False)
    assert (held.state, held.held) == (OrderState.RECEIVED, True)
    stop = step(replace(QUEUED, part="main.stop", mark="stop"), fate("expired"), age_known=False)
    assert (stop.state, stop.held) == (OrderState.RECEIVED, False), "nobody is asked about it"
    assert step(replace(QUEUED, state=OrderState.CANCELLING), fate("expired")).state is OrderState.CANCELLED


def test_only_a_fate_that_came_in_its_turn_is_not_asked_for_again(tmp_path: Path) -> None:
    """News that overtake the list of what was missed must not shorten that list."""

    async def body() -> list[str]:
        store, found = Store(tmp_path / "agent.db"), []
        await store.open()
        await store.run(lambda c: slips.put(c, QUEUED))
        for number, state, in_turn in ((7, "started", True), (9, "done", False)):
            one = fate(state, "L2") | {"id": number}
            await store.run(lambda c, one=one, in_turn=in_turn: apply(c, one, in_turn))
            found.append(await store.run(lambda c: get_meta(c, "last_fate")))
        await store.close()
        return found

    assert asyncio.run(body()) == ["7", "7"]


def test_an_order_sent_again_is_not_reported_again_while_its_report_is_on_the_way(tmp_path: Path) -> None:
    async def body() -> list[bool]:
        store = Store(tmp_path / "agent.db")
        await store.open()
        _, first, _ = await store.run(lambda c: receive(c, ORDER, "main"))
        assert first is not None
        _, second, _ = await store.run(lambda c: receive(c, ORDER, "main", told=first.id))
        await store.run(lambda c: c.execute("DELETE FROM outbox"))  # the cloud has acknowledged it
        _, third, _ = await store.run(lambda c: receive(c, ORDER, "main", told=first.id))
        await store.close()
        return [second is not None, third is not None]

    assert asyncio.run(body()) == [False, True]


def test_a_slip_of_an_order_is_rendered_with_its_mark_and_money() -> None:
    assert b"COPY" not in render(QUEUED) and re.search(rb"TOTAL +JPY 600", render(QUEUED))
    assert b"** COPY 2 **" in render(replace(QUEUED, mark="copy", copy=2))
    assert b"** STOP PREPARING" in render(replace(QUEUED, mark="stop"))


def test_a_line_is_as_wide_as_the_models_paper() -> None:
    assert printers.paper("auto", "TM-T88VI").columns == 48 and printers.paper("epson-tm-u220").columns == 40
    assert printers.paper("auto", "nobody knows it").columns == 42
    assert b"-" * 48 in render(QUEUED, printers.Paper(48)) and b"-" * 43 not in render(QUEUED)


def test_trouble_is_told_in_words() -> None:
    assert trouble(None) is None and trouble({"connected": True, "paper": "near"}) is None
    assert trouble({"connected": False}) and trouble({"connected": True, "paper": "out"}) == "its paper is out"
    assert trouble({"connected": True, "cover_open": True}) and trouble({"connected": True, "online": False})


def test_letters_that_neither_printer_nor_box_has_are_told(caplog: pytest.LogCaptureFixture) -> None:
    known = OrderContent("A1", "dine_in", [OrderItem("Crème brûlée 2 x", options=["Grieß"])])
    slip = slips.received(messages.new(PrintOrder, order="o-2", content=known), "main", held=False)
    assert render(slip) and not caplog.records
    odd = OrderContent("A1", "dine_in", [OrderItem("Soup", note="\U000ffffd please")])
    slip = slips.received(messages.new(PrintOrder, order="o-3", content=odd), "main", held=False)
    assert render(slip) and "fonts-noto" in caplog.text
