"""model = "auto": the printer is asked once, what it says is remembered, and counts after a restart too."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import closing
from typing import Any

from tests.relay.conftest import Box, until
from tests.simulators.printer import SimulatedPrinter


def told(box: Box) -> dict[str, Any]:
    with closing(box.agent()) as agent:
        return agent.ask("status")["printers"]["main"]


def up(box: Box) -> dict[str, Any]:
    return until(lambda: (now := told(box))["connected"] and now)


def test_what_a_printer_says_is_remembered_and_chooses_its_model(
    make_box: Callable[..., Box], printer: SimulatedPrinter
) -> None:
    box = make_box()
    assert up(box)["asks_for_probe"] and told(box)["model"] == "generic"
    assert bytes(printer.received) == b"", "opening a printer sends it nothing"
    with closing(box.agent()) as agent:
        device = agent.ask("probe", gently=True)["devices"][0]
    assert device["says"] and device["model"]
    model = told(box)["model"]
    assert model != "generic" and not told(box)["asks_for_probe"]
    until(lambda: box.sql("SELECT says FROM printers") == [(device["says"],)])
    asked = len(printer.received)
    assert box.kill(signal.SIGTERM) == 0
    box.start()
    until(lambda: told(box)["model"] == model)
    assert not up(box)["asks_for_probe"]
    assert len(printer.received) == asked, "it is not asked again"


def test_a_model_that_is_named_stays(make_box: Callable[..., Box], printer: SimulatedPrinter) -> None:
    box = make_box(model="xprinter-80")
    assert not up(box)["asks_for_probe"]
    with closing(box.agent()) as agent:
        assert agent.ask("probe")["devices"][0]["says"]
    assert told(box)["model"] == "XP-80"


def test_a_printer_that_says_nothing_is_asked_nothing_that_it_could_print(
    make_box: Callable[..., Box], printer: SimulatedPrinter
) -> None:
    printer.silent = True
    box = make_box()
    up(box)
    with closing(box.agent()) as agent:
        device = agent.ask("probe", gently=True)["devices"][0]
    assert (device["answers"], device["says"]) == (False, "")
    assert bytes(printer.received) == b"\x10\x04\x01\x10\x04\x02\x10\x04\x04"
    assert told(box)["model"] == "generic"
