"""A wrong agent.toml does not stop a shop: the relay prints on with the settings that last worked, and says so."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from config import last_good
from config.box import load_box
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


def test_a_file_that_was_changed_since_it_was_read_is_not_kept_for_good(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(
        f'[box]\nstate_dir = "{tmp_path}"\n[printer.main]\nurl = "file:///tmp/x"\n[pos.till]\nurl = "gadget://"\n'
    )
    box = load_box(path)
    right = path.read_text()
    for changed in ("[box]\nwrong = 1\n", right.replace("file:///tmp/x", "file:///tmp/y")):
        path.write_text(changed)
        last_good.keep(path, box)
        assert not list(tmp_path.glob("last-good.*"))
