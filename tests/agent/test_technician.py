"""docs/technician.md: every tillwire command in it is run, every piece of settings is read."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from config.box import load_box
from tests.agent.rig import Rig, receipt
from tests.agent.test_doctor import tillwire
from tests.simulators.ports import free_port
from tests.simulators.printer import SimulatedPrinter

GUIDE = (Path(__file__).parents[2] / "docs" / "technician.md").read_text(encoding="utf-8")
SH = [line for block in re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL) for line in block.splitlines()]
COMMANDS = [shlex.split(line, comments=True) for line in SH if line.startswith("tillwire ")]
SETTINGS = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)


def test_the_guide_shows_commands_and_settings() -> None:
    assert len(COMMANDS) >= 12 and len(SETTINGS) >= 4
    assert {words[1] for words in COMMANDS} >= {"setup", "doctor", "slip", "status", "audit", "alert", "check-config"}


def test_every_command_of_the_guide_does_what_it_says(bench: Callable[..., Rig], tmp_path: Path) -> None:
    with SimulatedPrinter() as printer:
        rig = bench(**{"printer.main": {"url": printer.url}}).start("relay", "agent").online()
        rig.print(receipt(1))
        rig.wait_released(1)
        for words in COMMANDS:
            if words[1] == "setup" or words[2:] == ["--scan"]:
                continue
            here = [str(tmp_path / w) if w.endswith(".png") else w for w in words[1:]]
            if here[0] == "check-config":
                here[-1] = str(rig.config)
            else:
                here += ["--config", str(rig.config)]
            out = tillwire(*here)
            may = (0, 1) if here[:2] == ["alert", "test"] else (0,)  # this machine may have no sound card
            assert out.returncode in may and "Traceback" not in out.stderr, (words, out.stdout, out.stderr)
        printer.wait(lambda: printer.cuts == 4)  # the receipt, two pages of doctor, the slip


def test_the_scripted_set_ups_of_the_guide(tmp_path: Path) -> None:
    with SimulatedPrinter() as printer:
        for words in [words for words in COMMANDS if words[1] == "setup"]:
            folder = tmp_path / str(len(list(tmp_path.iterdir())))
            (folder / "box").mkdir(parents=True)
            config = folder / "agent.toml"
            config.write_text(f'[box]\nstate_dir = "{folder}/box"\ncontrol = "{folder}/relay.sock"\n')
            here = {
                "tcp://192.168.1.50:9100": printer.url,
                "https://cloud.example.net": f"http://127.0.0.1:{free_port()}",
            }
            out = tillwire(*[here.get(word, word) for word in words[1:]], "--config", str(config))
            assert out.returncode == (1 if "--claim" in words else 0), out.stdout + out.stderr  # nobody answers there
            box = load_box(config)
            assert box.pos["till"].url == "tcp://0.0.0.0:9100" and box.box.status_slip == ("--slip" in words)


@pytest.mark.parametrize("text", SETTINGS)
def test_the_settings_of_the_guide_are_right(text: str, tmp_path: Path) -> None:
    rest = "".join(
        f'[{section}]\nurl = "{url}"\n'
        for section, url in (("printer.main", "tcp://10.0.0.9:9100"), ("pos.till", "tcp://0.0.0.0:9100"))
        if f"[{section}]" not in text
    )
    path = tmp_path / "agent.toml"
    path.write_text(rest + text)
    load_box(path)


def test_every_key_and_link_of_the_guide_exists() -> None:
    reference = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    for name in re.findall(r"`(\w+_file|status_slip|listen)`", GUIDE):
        assert f"| `{name}` |" in reference
    headings = {re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.*)$", GUIDE, re.M)}
    for anchor in re.findall(r"\]\(#([^)]+)\)", GUIDE):
        assert anchor in headings
    for path in re.findall(r"\]\(([^#)][^)]*)\)", GUIDE):
        assert (Path(__file__).parents[2] / "docs" / path).exists(), path
