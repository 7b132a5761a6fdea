"""A wrong agent.toml does not stop a shop: the relay prints on with the settings that last worked, and says so."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import closing

from tests.relay.conftest import Box
from tests.simulators.printer import SimulatedPrinter

RECEIPT = b"\x1b@TOTAL 1.00\n\x1dV\x00"


def test_the_last_good_settings_print_on_until_the_file_is_right(
    make_box: Callable[..., Box], printer: SimulatedPrinter
) -> None:
    box = make_box()
    right = box.config.read_text()
    for wrong in (right + "\nunknown_key = 1\n", right.replace("[pos.", "[pos.\x00"), f"state_dir = '{box.state}'"):
        assert box.kill(signal.SIGTERM) == 0
        box.config.write_text(wrong)
        box.start()
        printed = len(b"".join(printer.paper))
        box.pos().send(RECEIPT)
        printer.wait(lambda printed=printed: len(b"".join(printer.paper)) >= printed + len(RECEIPT))  # type: ignore[misc]
        with closing(box.agent()) as agent:
            assert agent.ask("status")["config_problems"]
    assert box.kill(signal.SIGTERM) == 0
    box.config.write_text(right)
    box.start()
    with closing(box.agent()) as agent:
        assert agent.ask("status")["config_problems"] == []


def test_a_box_that_never_ran_has_nothing_to_fall_back_to(make_box: Callable[..., Box]) -> None:
    box = make_box(start=False)
    box.config.write_text(box.config.read_text().replace("[pos.", "[till."))
    box.start(wait=False)
    assert box.process and box.process.wait(30) == 78
