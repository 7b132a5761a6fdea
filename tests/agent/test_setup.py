"""tillwire setup in a pseudo-terminal, as a technician types it; then the box that it made really prints."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.setup import Plan, tills, with_baud, write
from config.box import load_box
from config.load import ConfigError
from tests.agent.rig import receipt
from tests.agent.test_doctor import board, tillwire
from tests.simulators.ports import free_port
from tests.simulators.printer import SimulatedPrinter
from tests.simulators.system import DIE_WITH_PARENT
from tests.simulators.terminal import Terminal

ROOT = Path(__file__).parents[2]
WITHIN_S = 60.0


@pytest.fixture
def printer() -> Iterator[SimulatedPrinter]:
    with SimulatedPrinter() as made:
        yield made


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """What the .deb leaves: nothing but where the folders are."""
    (tmp_path / "box").mkdir()
    path = tmp_path / "agent.toml"
    path.write_text(f'[box]\nstate_dir = "{tmp_path}/box"\ncontrol = "{tmp_path}/relay.sock"\n# a remark that stays\n')
    return path


def test_from_nothing_to_a_receipt_on_paper(config: Path, printer: SimulatedPrinter) -> None:
    port = free_port()
    terminal = Terminal("setup", "--config", str(config))
    terminal.until("1. The printer")
    terminal.until(": ")
    terminal.types("nonsense://")
    assert "must begin with one of" in terminal.until("network; or type")
    terminal.until(": ")
    terminal.types(printer.url.removeprefix("tcp://"))  # an address is enough... with its port
    terminal.until(": ")
    terminal.types(printer.url)
    terminal.until("EPSON TM-T88V, proof L2")
    terminal.until("2. The till")
    terminal.until("type a url")
    terminal.types(f"tcp://127.0.0.1:{port}")
    terminal.until("Address, https://HOST [later]: ")
    terminal.types("")
    assert "epson-tm-t88" in terminal.until("Write this and start? [Y/n]: ")
    assert "[printer.main]" not in config.read_text()  # nothing before the last yes
    terminal.types("y")
    said = terminal.end()
    assert terminal.code == 0 and "is written and right" in said and "Next: at the till" in said, said
    assert "a remark that stays" in config.read_text()
    assert "[printer.main]" not in config.with_name("agent.toml.old").read_text()
    box = load_box(config)
    assert box.printer["main"].model == "epson-tm-t88" and box.pos["till"].url == f"tcp://127.0.0.1:{port}"

    with (config.parent / "relay.log").open("wb") as log:
        relay = subprocess.Popen(
            [*DIE_WITH_PARENT, sys.executable, "-m", "relay", "--config", str(config)], stdout=log, stderr=log, cwd=ROOT
        )
    try:
        end = time.monotonic() + WITHIN_S
        with socket.socket() as till:
            while till.connect_ex(("127.0.0.1", port)):
                assert time.monotonic() < end and relay.poll() is None, (config.parent / "relay.log").read_text()
                time.sleep(0.05)
            till.sendall(receipt(1))
            printer.wait(lambda: printer.cuts == 1)
        # a second time, with the relay there: the slip is printed at once, and the model's proof is used
        again = tillwire(
            "setup", "--yes", "--config", str(config), "--printer", printer.url, "--pos", box.pos["till"].url
        )
        assert again.returncode == 0, again.stdout + again.stderr
        assert "status slip on printer main: printed, proof L2" in again.stdout
        printer.wait(lambda: printer.cuts == 2)
        assert b"TILLWIRE" in printer.paper[1]
    finally:
        relay.terminate()
        relay.wait(30)


def test_ended_in_the_middle_it_changes_nothing(config: Path, printer: SimulatedPrinter) -> None:
    before = config.read_text()
    terminal = Terminal("setup", "--config", str(config), "--printer", printer.url, "--pos", "tcp://127.0.0.1:9100")
    terminal.until("Address, https://HOST [later]: ")
    terminal.types("\x04")  # Ctrl-D, the end of what is typed
    assert "nothing was changed" in terminal.end() and terminal.code == 1
    terminal = Terminal("setup", "--config", str(config), "--printer", printer.url, "--pos", "tcp://127.0.0.1:9100")
    terminal.until("Address, https://HOST [later]: ")
    terminal.types("")
    terminal.until("[Y/n]: ")
    terminal.types("n")
    assert "nothing was changed" in terminal.end() and terminal.code == 1
    assert config.read_text() == before and not list(config.parent.glob("agent.toml.*"))


def test_scripted_it_says_what_is_missing(config: Path) -> None:
    out = tillwire("setup", "--yes", "--config", str(config))
    assert out.returncode == 1 and "--printer URL" in out.stderr
    out = tillwire("setup", "--yes", "--config", str(config), "--printer", "tcp://127.0.0.1:9", "--claim", "X")
    assert out.returncode == 1 and "needs --cloud" in out.stderr
    out = tillwire("setup", "--yes", "--config", str(config), "--printer", "usb:4")
    assert out.returncode == 78 and "usb:4" in out.stderr
    assert "[printer" not in config.read_text()


def test_a_code_that_cannot_be_used_now_waits(config: Path, printer: SimulatedPrinter) -> None:
    out = tillwire(
        "setup", "--yes", "--config", str(config), "--printer", printer.url, "--pos", "tcp://127.0.0.1:9100",
        "--cloud", "http://127.0.0.1:9", "--claim", "ABCD-1234", "--slip",
    )  # fmt: skip
    assert out.returncode == 1 and "`tillwire claim ABCD-1234 --cloud http://127.0.0.1:9`" in out.stdout
    assert (config.parent / "box" / "claim-code").read_text() == "ABCD-1234\n"
    box = load_box(config)
    assert box.cloud.web == "http://127.0.0.1:9" and box.box.status_slip
    shown = tillwire("check-config", str(config))
    assert shown.returncode == 0, shown.stderr


def test_settings_that_would_be_wrong_never_replace_right_ones(config: Path) -> None:
    write(config, Plan(printer="file:///tmp/x.prn", pos="tcp://127.0.0.1:9100"))
    right = config.read_text()
    with pytest.raises(ConfigError):
        write(config, Plan(printer="file:///tmp/x.prn", pos="tcp://127.0.0.1:9100", name="No Such Name!"))
    assert config.read_text() == right and not config.with_name("agent.toml.new").exists()


def test_the_tills_that_are_offered(tmp_path: Path) -> None:
    tools = board(
        tmp_path, {"sys/class/udc/fe980000.usb/state": "", "sys/class/tty/ttyUSB0/device/x": "", "dev/ttyUSB0": ""}
    )
    assert [choice.url for choice in tills(tools, "tcp://10.0.0.9:9100")] == [
        "gadget://", "serial:///dev/ttyUSB0?baud=9600", "tcp://0.0.0.0:9100",
    ]  # fmt: skip
    assert [c.url for c in tills(tools, "serial:///dev/ttyUSB0?baud=38400")] == ["gadget://", "tcp://0.0.0.0:9100"]
    assert with_baud("serial:///dev/ttyUSB0?baud=9600", "115200") == "serial:///dev/ttyUSB0?baud=115200"
