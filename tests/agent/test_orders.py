"""The order's path, with a real relay, broker and printer on TCP: stored, printed once, and truthfully reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.agent.rig import BOX, Printer, Rig, receipt
from tests.simulators.printer import SimulatedPrinter
from wire import messages, topics
from wire.messages import CancelOrder, CloseOrder, GoOrder, Held, OrderContent, OrderItem, OrderState, PrintOrder, Proof

Bench = Callable[..., Rig]


def order(number: str = "o-1", **fields: Any) -> PrintOrder:
    content = OrderContent(f"#{number}", "dine_in", [OrderItem("Flat white", 2, 340)], table="12")
    return messages.new(PrintOrder, **{"order": number, "content": content} | fields)


def head(number: str) -> bytes:
    return f"##{number}".encode()


def test_an_order_is_printed_and_proven(box: Rig) -> None:
    box.cloud.order(order())
    box.printer.wait(head("o-1"))
    report = box.cloud.wait_state("o-1", "printed")
    assert report.proof in (Proof.L1, Proof.L2) and report.copy == 0 and report.clock is not None
    assert box.cloud.states("o-1") == ["received", "printing", "printed"]
    assert b"TABLE 12" in box.printer.paper
    box.wait_empty()


@pytest.mark.covers("F34", "A22")
def test_an_order_that_comes_again_prints_once(box: Rig) -> None:
    first = order()
    box.cloud.order(first)
    box.cloud.wait_state("o-1", "printed")
    for again in (order(), first, order()):  # a new message of the same order, the same message
        box.cloud.wait(lambda: box.query("agent.db", "SELECT count(*) FROM outbox") == [(0,)], "its reports are heard")
        count = len(box.cloud.reports)
        box.cloud.order(again)
        box.cloud.wait(lambda count=count: len(box.cloud.reports) > count, "it is told again what became of it")
        assert {r.state for r in box.cloud.reports[count:]} == {OrderState.PRINTED}
    assert box.printer.paper.count(head("o-1")) == 1


def test_parts_and_copies_are_slips_of_their_own(box: Rig) -> None:
    box.cloud.order(order(part="kitchen", copies=2))
    box.cloud.order(order(part="kitchen", copy_number=2, copies=2))
    box.cloud.order(order(part="bar"))
    box.printer.wait(head("o-1"), 3)
    box.cloud.wait(lambda: sum(r.state is OrderState.PRINTED for r in box.cloud.reports) == 3, "three printed")
    assert b"Kitchen 1/2" in box.printer.paper and b"Kitchen 2/2" in box.printer.paper


@pytest.mark.covers("F47")
def test_a_printer_that_only_swallows_makes_it_unconfirmed(box: Rig) -> None:
    box.printer.answers = False
    box.cloud.order(order())
    report = box.cloud.wait_state("o-1", "unconfirmed", within=40)
    assert report.reason and box.printer.paper.count(head("o-1")) == 1
    assert not any(r.state is OrderState.PRINTED for r in box.cloud.reports)
    box.cloud.wait(lambda: any("unconfirmed:o-1" in a for a in box.cloud.alerts), "the alert is in the status")


def test_the_policy_copy_prints_one_marked_copy(bench: Bench) -> None:
    box = bench(orders={"unconfirmed": "copy"}).start("relay", "agent").online()
    box.printer.answers = False
    box.cloud.order(order())
    box.printer.wait(b"** COPY 1 **", 2, within=40)
    box.cloud.wait(lambda: any(r.copy == 1 for r in box.cloud.reports), "told as a copy", within=40)
    assert box.printer.paper.count(head("o-1")) == 2


def test_a_reprint_by_the_cloud_is_marked(box: Rig) -> None:
    box.cloud.order(order())
    box.cloud.wait_state("o-1", "printed")
    box.cloud.order(order(attempt=2))
    box.printer.wait(b"** COPY 1 **")
    box.cloud.wait(
        lambda: any(r.attempt == 2 and r.state is OrderState.PRINTED for r in box.cloud.reports), "printed again"
    )


@pytest.mark.covers("F51")
def test_a_slip_never_stands_inside_a_pos_job(box: Rig) -> None:
    half, rest = receipt(1)[:30], receipt(1)[30:]
    box.print(half)
    box.printer.wait(half)
    box.cloud.order(order())
    box.cloud.wait(lambda: box.cloud.reports, "received")
    box.print(rest)
    paper = box.printer.wait(head("o-1"))
    assert paper.index(b"\x1dVB\x00") < paper.index(head("o-1"))


def test_cancelled_before_it_came_it_is_not_printed(box: Rig) -> None:
    box.cloud.say("orders", messages.new(CancelOrder, order="o-1", reason="customer"))
    box.cloud.order(order())
    report = box.cloud.wait_state("o-1", "cancelled")
    assert report.reason == "customer" and head("o-1") not in box.printer.paper


def test_cancelled_after_printing_the_kitchen_is_told_to_stop(box: Rig) -> None:
    box.cloud.order(order())
    box.cloud.wait_state("o-1", "printed")
    box.cloud.say("orders", messages.new(CancelOrder, order="o-1", reason="sold out"))
    box.printer.wait(b"** STOP PREPARING **"[:18])
    box.printer.wait(head("o-1"), 2)
    box.cloud.wait(lambda: any(r.cancelled for r in box.cloud.reports), "it says that it knows")
    assert box.cloud.states("o-1")[-1] == "printed" and not box.cloud.reports[0].cancelled


def test_cancelled_while_it_waits_it_is_withdrawn(box: Rig) -> None:
    half, rest = receipt(1)[:30], receipt(1)[30:]
    box.print(half)  # the till holds the printer
    box.printer.wait(half)
    box.cloud.order(order())
    box.wait_log("agent", "state=received")
    box.cloud.say("orders", messages.new(CancelOrder, order="o-1", reason="customer"))
    box.cloud.wait_state("o-1", "cancelled")
    box.print(rest)
    box.cloud.order(order("o-2"))
    box.printer.wait(head("o-2"))
    assert head("o-1") not in box.printer.paper


@pytest.mark.covers("F5")
def test_an_agent_killed_while_an_order_waits_prints_it_once(box: Rig) -> None:
    half, rest = receipt(1)[:30], receipt(1)[30:]
    box.print(half)
    box.printer.wait(half)
    box.cloud.order(order())
    box.cloud.wait_state("o-1", "received")
    box.kill("agent")
    box.print(rest)
    box.start("agent")
    box.cloud.wait_state("o-1", "printed")
    assert box.printer.paper.count(head("o-1")) == 1


@pytest.mark.covers("F5", "F18")
def test_a_lost_agent_db_prints_nothing_twice(box: Rig) -> None:
    first = order()
    box.cloud.order(first)
    box.cloud.wait_state("o-1", "printed")
    box.kill("agent")
    for path in (box.folder / "box").glob("agent.db*"):
        path.unlink()
    box.start("agent")
    count = len(box.cloud.reports)
    box.cloud.order(first)
    box.cloud.wait(lambda: any(r.state is OrderState.PRINTED for r in box.cloud.reports[count:]), "told as printed")
    box.cloud.order(order("o-2"))
    box.printer.wait(head("o-2"))
    assert box.printer.paper.count(head("o-1")) == 1


@pytest.mark.covers("F1")
def test_orders_under_kills_of_the_agent_print_once_each(box: Rig) -> None:
    for n in range(8):
        box.cloud.order(order(f"k-{n}"))
        if n % 2:
            box.kill("agent")
            box.start("agent")
    for n in range(8):
        box.cloud.wait_state(f"k-{n}", "printed", within=60)
    assert [box.printer.paper.count(head(f"k-{n}")) for n in range(8)] == [1] * 8


def test_an_order_too_old_waits_for_a_go(bench: Bench) -> None:
    box = bench().start("relay", "agent").online()
    box.cloud.order(order(max_age_s=0))
    report = box.cloud.wait_state("o-1", "expired")
    assert "go" in report.reason and head("o-1") not in box.printer.paper
    box.cloud.wait(lambda: any("held:o-1" in a for a in box.cloud.alerts), "an alert shows it")
    box.cloud.say("orders", messages.new(GoOrder, order="o-1", go=False))
    box.cloud.wait_state("o-1", "cancelled")


def test_an_expired_order_that_gets_its_go_prints_once_and_without_a_copy_mark(bench: Bench) -> None:
    box = bench().start("relay", "agent").online()
    box.printer.paper_out = True
    box.cloud.order(order(max_age_s=5))
    box.cloud.wait_state("o-1", "expired")
    assert head("o-1") not in box.printer.paper
    box.printer.paper_out = False
    box.cloud.say("orders", messages.new(GoOrder, order="o-1", go=True))
    report = box.cloud.wait_state("o-1", "printed")
    assert report.copy == 0 and box.printer.paper.count(head("o-1")) == 1 and b"COPY" not in box.printer.paper
    box.cloud.wait(lambda: not any("held:o-1" in a for a in box.cloud.alerts), "the alert is over")


def test_a_bad_message_is_set_aside_and_blocks_nothing(box: Rig) -> None:
    box.cloud.say_raw("orders", b"\x07 nonsense")
    box.cloud.say_raw("orders", b"")
    box.cloud.order(order())
    box.cloud.wait_state("o-1", "printed")
    assert len(box.query("agent.db", "SELECT problem FROM aside")) >= 1


def test_a_test_slip_is_printed_and_is_no_order(box: Rig) -> None:
    box.cloud.say("commands", messages.new(messages.Command, name="test_slip", args={"printer": "main"}))
    box.printer.wait(b"#TEST")

    def result() -> messages.Result | None:
        return next((m for m in box.cloud.others if isinstance(m, messages.Result)), None)

    told = box.cloud.wait(result, "a result")
    assert told.ok and told.data["proof"] in ("L1", "L2"), told.text
    box.cloud.order(order())
    box.cloud.wait_state("o-1", "printed")
    assert {r.order for r in box.cloud.reports} == {"o-1"}


def test_a_command_is_done_once_and_answered(box: Rig) -> None:
    command = messages.new(messages.Command, name="acknowledge", args={})
    box.cloud.say("commands", command)
    box.cloud.say("commands", command)
    box.cloud.say("commands", messages.new(messages.Command, name="fly", args={}))

    def results() -> list[messages.Result]:
        return [m for m in box.cloud.others if isinstance(m, messages.Result)]

    box.cloud.wait(lambda: len(results()) >= 2, "two results")
    assert [(r.command == command.id, r.ok) for r in results()] == [(True, True), (False, False)]
    assert "knows no command" in results()[1].text


@pytest.mark.covers("F44")
def test_without_paper_it_is_told_and_printed_when_there_is_some(box: Rig) -> None:
    box.printer.paper_out = True
    box.cloud.order(order())
    box.cloud.wait(
        lambda: any(":o-1" in a and "paper" in a for a in box.cloud.alerts),
        "an alert says paper",
        within=15,
    )
    assert not any(r.state is OrderState.PRINTED for r in box.cloud.reports)
    box.printer.paper_out = False
    box.cloud.wait_state("o-1", "printed", within=40)
    assert box.printer.paper.count(head("o-1")) == 1
    box.cloud.wait(lambda: not any(":o-1" in a for a in box.cloud.alerts), "the alert is gone")


@pytest.mark.covers("F46")
def test_without_a_printer_it_waits_and_is_printed_once(box: Rig) -> None:
    box.printer.unplug()
    box.cloud.order(order())
    box.cloud.wait(lambda: any("waiting:o-1" in a for a in box.cloud.alerts), "an alert says that it waits", within=20)
    box.printer.plug_in()
    box.cloud.wait_state("o-1", "printed", within=40)
    assert box.printer.paper.count(head("o-1")) == 1


def test_what_the_box_held_over_an_outage_is_told_and_goes_on(box: Rig) -> None:
    box.printer.unplug()
    box.cloud.order(order())
    box.cloud.wait_state("o-1", "received")
    box.kill("broker")
    box.start("broker")
    box.cloud.wait(lambda: any(isinstance(m, Held) and m.orders == ["o-1"] for m in box.cloud.others), "it tells o-1")
    box.printer.plug_in()
    box.cloud.wait_state("o-1", "printed", within=40)
    assert box.printer.paper.count(head("o-1")) == 1


@pytest.mark.covers("F48")
def test_a_second_order_waits_for_the_first(box: Rig) -> None:
    for n in range(10):
        box.cloud.order(order(f"q-{n}"))
    for n in range(10):
        box.cloud.wait_state(f"q-{n}", "printed", within=40)
    places = [box.printer.paper.index(head(f"q-{n}") + b"\n") for n in range(10)]
    assert places == sorted(places)


@pytest.fixture
def two_printers(bench: Bench) -> Iterator[tuple[Rig, Printer]]:
    """A box whose second printer may stand in for the first."""
    bar = Printer()
    yield bench(**{"printer.bar": {"url": bar.url}}).start("relay", "agent").online(), bar
    bar.close()


@pytest.mark.covers("F44", "F48")
def test_another_printer_of_the_box_stands_in_without_a_mark(two_printers: tuple[Rig, Printer]) -> None:
    box, bar = two_printers
    box.cloud.order(order("o-0", printer="bar"))
    box.cloud.wait_state("o-0", "printed", within=30)  # the bar's printer is known to be well
    box.printer.unplug()
    box.cloud.order(order(instead=["bar"]))
    report = box.cloud.wait_state("o-1", "printed", within=60)
    assert report.printer == "bar" and report.copy == 0
    assert bar.paper.count(head("o-1")) == 1 and b"COPY" not in bar.paper
    box.printer.plug_in()
    box.cloud.order(order("o-2"))
    box.cloud.wait_state("o-2", "printed", within=40)
    assert head("o-1") not in box.printer.paper  # the relay gave it back before it moved


def test_a_slip_that_another_box_takes_is_given_back_and_a_later_attempt_is_printed(box: Rig) -> None:
    box.printer.unplug()
    box.cloud.order(order(part="kitchen"))
    box.cloud.order(order(part="bar"))
    box.cloud.wait_state("o-1", "received", "kitchen")
    move = messages.new(CancelOrder, order="o-1", reason="moves", part="kitchen", copy_number=1, attempt=1)
    box.cloud.say("orders", move)
    box.cloud.wait_state("o-1", "cancelled", "kitchen")
    box.cloud.order(order(part="kitchen", attempt=3))  # it comes back
    box.printer.plug_in()
    for part in ("bar", "kitchen"):
        assert box.cloud.wait_state("o-1", "printed", part, within=60).copy == 0
    assert b"STOP" not in box.printer.paper and b"COPY" not in box.printer.paper


def test_what_another_box_may_have_printed_is_headed_copy(box: Rig) -> None:
    box.cloud.order(order(attempt=2, copy=1))
    assert box.cloud.wait_state("o-1", "printed").copy == 1
    assert b"** COPY 1 **" in box.printer.paper


@pytest.mark.covers("F47")
def test_a_person_settles_an_unconfirmed_order_and_the_box_falls_silent(box: Rig) -> None:
    box.printer.answers = False
    box.cloud.order(order())
    box.cloud.wait_state("o-1", "unconfirmed", within=40)
    box.cloud.wait(lambda: any("unconfirmed:o-1" in a for a in box.cloud.alerts), "the alert is in the status")
    box.cloud.say("orders", messages.new(CloseOrder, order="o-1", reason="it lay on the counter"))
    box.cloud.wait_state("o-1", "closed")
    box.cloud.wait(lambda: not any(":o-1" in a for a in box.cloud.alerts), "the alert is over")


def test_an_order_that_waits_for_a_person_is_announced_until_it_is_decided(box: Rig) -> None:
    facts = {"order": "o-1", "kind": "takeaway", "number": "42"}
    box.cloud.say("commands", messages.new(messages.Command, name="announce", args=facts))
    box.cloud.wait(lambda: any("new_order:o-1 (sounding)" in a for a in box.cloud.alerts), "it sounds")
    named = {"alerts": ["new_order:o-1"]}
    box.cloud.say("commands", messages.new(messages.Command, name="acknowledge", args=named))
    box.cloud.wait(lambda: any("new_order:o-1 (acknowledged)" in a for a in box.cloud.alerts), "it is silent")
    box.cloud.say("commands", messages.new(messages.Command, name="hush", args={"order": "o-1"}))
    box.cloud.wait(lambda: not any("new_order:o-1" in a for a in box.cloud.alerts), "it is over")


def test_the_printers_feed_button_acknowledges(box: Rig) -> None:
    args = {"order": "r-1", "kind": "takeaway", "number": "41", "table": ""}
    box.cloud.say("commands", messages.new(messages.Command, name="announce", args=args))
    box.cloud.wait(lambda: any("new_order:r-1 (sounding)" in a for a in box.cloud.alerts), "it sounds")
    box.printer.feed_button = True
    box.cloud.wait(lambda: any("new_order:r-1 (acknowledged)" in a for a in box.cloud.alerts), "it is acknowledged")
    box.printer.feed_button = False


@pytest.mark.covers("A25")
def test_an_order_recorded_and_played_again_later_prints_nothing(box: Rig) -> None:
    """The same message after a restart, and one whose slip was printed by an earlier agent.db."""
    first = order()
    box.cloud.order(first)
    box.cloud.wait_state("o-1", "printed")
    box.kill("agent")
    box.start("agent")
    count = len(box.cloud.reports)
    box.cloud.order(first)
    box.cloud.wait(lambda: len(box.cloud.reports) > count, "it is told what became of it")
    box.cloud.order(order("o-2"))
    box.cloud.wait_state("o-2", "printed")
    assert box.printer.paper.count(head("o-1")) == 1


@pytest.mark.covers("A26")
def test_a_retained_order_is_ignored_and_told(bench: Bench) -> None:
    """Who can leave an order at the broker could have it printed at every reconnect: ours are never retained."""
    payload = messages.encode(order("evil"))
    box = bench()
    box.cloud.client.publish(topics.down(BOX, "orders"), payload, qos=1, retain=True).wait_for_publish(20)
    box.start("relay", "agent").online()
    box.wait_log("agent", "a retained order is set aside")
    box.cloud.order(order("o-2"))
    box.cloud.wait_state("o-2", "printed")
    assert head("evil") not in box.printer.paper
    assert box.query("agent.db", "SELECT count(*) FROM aside WHERE problem LIKE '%retained%'")[0][0] >= 1
    box.cloud.client.publish(topics.down(BOX, "orders"), b"", qos=1, retain=True)


@pytest.mark.covers("F45")
@pytest.mark.parametrize("fault", ["cover", "error", "online"])
def test_a_printer_that_stands_still_is_told_by_its_cause(bench: Bench, fault: str) -> None:
    with SimulatedPrinter() as printer:
        box = bench(**{"printer.main": {"url": printer.url}}).start("relay", "agent").online()
        printer.set(**{fault: fault != "online"})
        box.cloud.order(order())
        words = {"cover": "cover", "error": "error", "online": "offline"}[fault]
        box.cloud.wait(
            lambda: any("waiting:o-1" in a and words in a for a in box.cloud.alerts), f"told: {words}", within=40
        )
        assert not any(head("o-1") in piece for piece in printer.paper)
        printer.set(**{fault: fault == "online"})
        box.cloud.wait_state("o-1", "printed", within=60)
        assert sum(piece.count(head("o-1")) for piece in printer.paper) == 1


@pytest.mark.covers("F50")
def test_a_printer_without_process_ids_proves_less_and_garbage_proves_nothing(bench: Bench) -> None:
    with SimulatedPrinter(process_id=False) as printer:
        box = bench(**{"printer.main": {"url": printer.url}}).start("relay", "agent").online()
        printer.say(b"\x37\x22!!!!\0\x37\x22    \0\xff\xfe")  # ids of no slip, and noise
        box.cloud.order(order())
        assert box.cloud.wait_state("o-1", "printed", within=40).proof is Proof.L1
        printer.silent = True
        box.cloud.order(order("o-2"))
        printer.wait(lambda: any(head("o-2") in piece for piece in printer.paper))  # it fell silent: 15 s later
        printer.say(b"\x37\x22!!!!\0")  # a wrong id is no proof of it
        report = box.cloud.wait_state("o-2", "unconfirmed", within=120)
        assert report.proof in (Proof.NONE, Proof.L0)
