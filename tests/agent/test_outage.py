"""Orders that waited while the board was off, or whose age this box's clock has wrong: the cloud says whether they are
still wanted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.agent.rig import Rig
from tests.agent.test_orders import head, order
from wire import messages
from wire.messages import GoOrder, Held, PrintOrder

Bench = Callable[..., Rig]
BOOT = {
    "relay": "import relay.clock\nrelay.clock.BOOT = open({boot!r}).read()\n",
    "agent": "import agent.clock, pathlib\nagent.clock.BOOT_ID = pathlib.Path({boot!r})\n",
}
AHEAD = """
import time, agent.clock
from wire.messages import Trust
_ns = time.time_ns
time.time_ns = lambda: _ns() + 86_400 * 10**9
agent.clock.trust = lambda: Trust.NTP
"""


class Board:
    """A box whose power can be cut: what it knew of time means nothing afterwards."""

    def __init__(self, box: Rig, boot: Path) -> None:
        self.box, self._boot = box, boot
        boot.write_text("first")
        box.first = {name: text.format(boot=str(boot)) for name, text in BOOT.items()}
        box.start("relay", "agent").online()

    def off_and_on(self, between: Callable[[], None] = lambda: None) -> None:
        for name in ("agent", "relay"):
            self.box.kill(name)
        self._boot.write_text("second")
        between()
        self.box.start("relay", "agent")

    def was_off_with_an_order(self) -> None:
        """An order that could not be printed before the power went; afterwards the cloud is asked for it."""
        self.box.printer.unplug()
        self.box.cloud.order(order())
        self.box.cloud.wait_state("o-1", "received")
        self.off_and_on(self.box.cloud.others.clear)
        asks(self.box)


@pytest.fixture
def board(bench: Bench, tmp_path: Path) -> Board:
    return Board(bench(), tmp_path / "boot")


def asks(box: Rig) -> None:
    box.cloud.wait(
        lambda: any(isinstance(m, Held) and m.orders == ["o-1"] for m in box.cloud.others), "it asks for o-1"
    )


def states(box: Rig) -> set[str]:
    return {str(report.state) for report in box.cloud.reports if report.order == "o-1"}


def test_what_waited_while_the_board_was_off_is_asked_for_and_printed_once(board: Board) -> None:
    box = board.box
    board.was_off_with_an_order()
    box.printer.plug_in()
    box.cloud.say("orders", messages.new(GoOrder, order="o-1", go=True))
    report = box.cloud.wait_state("o-1", "printed", within=60)
    assert report.copy == 0 and box.printer.paper.count(head("o-1")) == 1 and b"COPY" not in box.printer.paper
    assert "expired" not in states(box), "nobody was told that it will not be printed"


def test_without_a_go_it_is_not_printed_and_an_alert_stands(board: Board) -> None:
    box = board.box
    board.was_off_with_an_order()
    box.cloud.say("orders", messages.new(GoOrder, order="o-1", go=False))
    box.cloud.wait_state("o-1", "expired", within=60)
    box.cloud.wait(lambda: any("held:o-1" in a and "no go" not in a for a in box.cloud.alerts), "an alert stands")
    box.printer.plug_in()
    box.cloud.order(order("o-2"))
    box.cloud.wait_state("o-2", "printed", within=60)
    assert head("o-1") not in box.printer.paper


@pytest.mark.covers("F46")
@pytest.mark.parametrize("go", [True, False])
def test_a_slip_that_was_cut_short_by_a_power_cut_is_copied_with_a_go_and_unconfirmed_without(
    bench: Bench, tmp_path: Path, go: bool
) -> None:
    board = Board(bench(orders={"unconfirmed": "copy"}), tmp_path / "boot")
    box = board.box
    box.printer.answers = False
    box.cloud.order(order())
    box.cloud.wait_state("o-1", "printing")
    box.printer.wait(head("o-1"))
    board.off_and_on(lambda: box.cloud.others.clear())
    asks(box)
    box.printer.answers = True
    box.cloud.say("orders", messages.new(GoOrder, order="o-1", go=go))
    if go:
        report = box.cloud.wait_state("o-1", "printed", within=60)
        assert report.copy == 1 and box.printer.paper.count(head("o-1")) == 2 and b"** COPY 1 **" in box.printer.paper
    else:
        box.cloud.wait(lambda: any("unconfirmed:o-1" in a for a in box.cloud.alerts), "the alert stands again")
        assert box.printer.paper.count(head("o-1")) == 1 and "expired" not in states(box)


def test_a_go_that_was_lost_is_asked_for_again(board: Board) -> None:
    box = board.box
    board.was_off_with_an_order()
    box.cloud.others.clear()
    asks(box)


def test_a_clock_that_is_a_day_ahead_delays_an_order_by_a_question(bench: Bench) -> None:
    box = bench()
    box.first = {"agent": AHEAD}
    box.start("relay", "agent").online()
    box.cloud.others.clear()
    new: PrintOrder = order()
    box.cloud.order(new)
    asks(box)
    assert head("o-1") not in box.printer.paper
    box.cloud.say("orders", messages.new(GoOrder, order="o-1", go=True))
    box.cloud.wait_state("o-1", "printed", within=60)
    assert box.printer.paper.count(head("o-1")) == 1
