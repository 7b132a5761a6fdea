"""The units: every line is known to systemd, and the sandbox is as tight as promised."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parent.parent / "systemd"
EXPOSURE = {
    "tillwire-relay.service": 2.0,
    "tillwire-agent.service": 2.0,
    "tillwire-cloud@.service": 1.5,
    "tillwire-gadget.service": 4.5,  # root: it makes the gadget and mounts
    "tillwire-trial.service": 2.0,
    "tillwire-trial-watch.service": 2.0,
    "tillwire-update.service": 2.0,
}

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units as they would be installed, but for their program, which is one that exists."""
    for path in UNITS.glob("*.service"):
        text = re.sub(r"^(Exec\w+)=\S+", r"\1=/bin/true", path.read_text(), flags=re.M)
        (tmp_path / path.name.replace("@.", "@all.")).write_text(text)
    return tmp_path


def test_every_unit_has_a_promise_about_its_sandbox() -> None:
    assert {path.name for path in UNITS.glob("*.service")} == set(EXPOSURE)


@needs_systemd
@pytest.mark.parametrize("unit", sorted(EXPOSURE))
def test_systemd_knows_every_line(installed: Path, unit: str) -> None:
    path = installed / unit.replace("@.", "@all.")
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True)
    about = [line for line in (done.stdout + done.stderr).splitlines() if "tillwire" in line]
    assert not [line for line in about if "not found" not in line and "does not exist" not in line]


@needs_systemd
@pytest.mark.parametrize(("unit", "most"), sorted(EXPOSURE.items()))
def test_the_sandbox_is_as_tight_as_promised(unit: str, most: float) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", UNITS / unit], capture_output=True, text=True
    )
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stderr
    assert float(found[1]) <= most
