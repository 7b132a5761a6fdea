"""Updates on a Debian with its own systemd: a good one runs, a bad one is gone within a minute, and the till prints on.

The bad ones are made of the good one, and signed: what is tested is not the signature (test_switch.py) but what happens
when somebody signed what should not have been.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.board.container import OUT, Container, missing
from tests.board.test_package import COMMIT, CONFIG, ROOT, install, pid, print_a_receipt
from tests.simulators.printer import SimulatedPrinter
from tests.simulators.system import DIE_WITH_PARENT

pytestmark = [
    pytest.mark.board,
    pytest.mark.timeout(3000),
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.skipif(not shutil.which("mosquitto"), reason="needs mosquitto"),
]
WITHIN_S = 60 + 30  # the watch, and the way back on a busy machine
BROKEN = {
    "crashes": ("agent/__main__.py", "raise SystemExit('a bad release')\n", False),
    "never ready": ("agent/supervise.py", "def notify(state):\n    pass\n", False),
    "deaf": ("agent/mqtt.py", "async def _deaf(self):\n    await asyncio.sleep(1e9)\nMqtt.run = _deaf\n", False),
    "relay crashes": ("relay/__main__.py", "raise SystemExit('a bad release')\n", True),
}


class Releases:
    """Signed releases, made of the one in the package."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run(["sh", ROOT / "systemd/board/sign", "keys", folder], check=True, capture_output=True)

    def package(self) -> Path:
        subprocess.run(
            ["sh", "systemd/board/build-deb.sh", "bookworm"], cwd=ROOT, check=True, timeout=1500, capture_output=True,
            env={**os.environ, "VERSION": "0.9.0", "COMMIT": COMMIT, "UPDATE_KEY": str(self.folder / "update.pub")},
        )  # fmt: skip
        self.tar = next(OUT.glob("tillwire_0.9.0+deb12_*.tar.gz"))
        return next(OUT.glob("tillwire_0.9.0+deb12_*.deb"))

    def make(self, version: str, broken: str = "") -> Path:
        tree = self.folder / version
        tree.mkdir()
        subprocess.run(["tar", "-C", tree, "-xf", self.tar], check=True)
        (tree / "VERSION").write_text(version + "\n")
        for program in (tree / "bin").glob("tillwire*"):
            program.write_text(program.read_text().replace("/releases/0.9.0/", f"/releases/{version}/"))
        if broken:
            name, lines, relay = BROKEN[broken]
            module = next(tree.glob(f"lib/python*/site-packages/{name}"))
            module.write_text(module.read_text().replace("\nif __name__", f"\n{lines}\nif __name__", 1) + lines)
            shutil.rmtree(module.parent / "__pycache__")
            if relay:
                (tree / "relay.sha256").write_text("another\n")
        path = self.folder / f"tillwire_{version}.tar.gz"
        subprocess.run(["tar", "-C", tree, "-czf", path, "."], check=True)
        shutil.rmtree(tree)
        subprocess.run(["sh", ROOT / "systemd/board/sign", path, self.folder / "update.key"], check=True)
        return path


@pytest.fixture
def container() -> Iterator[Container]:
    folder = OUT / "test-update"
    shutil.rmtree(folder, ignore_errors=True)
    one = Container(folder / "tree").unpack("bookworm").boot()
    yield one
    one.close()
    shutil.rmtree(folder, ignore_errors=True)


def broker(container: Container) -> subprocess.Popen[bytes]:
    with container.network():
        return subprocess.Popen(
            [*DIE_WITH_PARENT, "mosquitto", "-p", "1883"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )


def ask(container: Container, release: Path) -> float:
    """As the agent does: the files, then `go`. -> when."""
    folder = container.tree / "var/lib/tillwire/update"
    folder.mkdir(exist_ok=True)
    shutil.copy(release, folder / "release.tar.gz")
    shutil.copy(f"{release}.sig", folder / "release.tar.gz.sig")
    (folder / "go").touch()
    return time.monotonic()


def outcome(container: Container, version: str, within: float = 240) -> str:
    return container.wait("cat /opt/tillwire/result", lambda text: text.startswith(version), within).strip()


@pytest.mark.covers("F61", "F60")
def test_a_bad_release_is_gone_within_a_minute(container: Container, tmp_path: Path) -> None:
    releases = Releases(tmp_path)
    install(container, releases.package())
    (container.tree / "etc/tillwire/agent.toml").write_text(CONFIG)
    mosquitto = broker(container)
    with container.network():
        printer = SimulatedPrinter("tcp", port=9101)
    try:
        container.run("systemctl start tillwire-relay tillwire-agent")
        online = "systemctl show -P StatusText tillwire-agent"
        container.wait(online, lambda text: text.strip() == "online")
        relay = pid(container, "tillwire-relay")

        began = ask(container, releases.make("0.9.1"))
        assert outcome(container, "0.9.1") == "0.9.1 runs"
        print(f"figure: an update, until it is kept: {time.monotonic() - began:.0f} s")
        assert pid(container, "tillwire-relay") == relay, "its code is the same: the till's line is let alone"

        for number, broken in enumerate(BROKEN):
            version = f"0.9.{number + 2}"
            container.wait(online, lambda text: text.strip() == "online")
            release = releases.make(version, broken)
            began = ask(container, release)
            container.wait("tillwire-switch status", lambda text, v=version: f"current {v}" in text)  # type: ignore[misc]
            switched = time.monotonic()
            told = outcome(container, version)
            assert told == f"{version} back was not well within 60 s; 0.9.1 runs again", broken
            took = time.monotonic() - switched
            assert took < WITHIN_S, broken
            print(f"figure: back from one that {broken}: {took:.0f} s")
            container.wait("tillwire status", lambda text: "epoch" in text)
            cuts = printer.cuts
            print_a_receipt(container)
            printer.wait(lambda cuts=cuts: printer.cuts == cuts + 1)  # type: ignore[misc]
            if not BROKEN[broken][2]:
                assert pid(container, "tillwire-relay") == relay, f"{broken}: the till's line was let alone"

        # the power goes while a bad release is on trial: the next start goes back by itself
        container.run("systemctl reset-failed tillwire-update.service tillwire-update.path")  # six in ten minutes
        container.run("systemctl restart tillwire-update.path")
        ask(container, releases.make("0.9.9", "relay crashes"))
        container.wait("tillwire-switch status", lambda text: "current 0.9.9" in text)
        container.power_cut()
        printer.close()
        mosquitto.kill()
        mosquitto.wait()
        container.boot()
        mosquitto = broker(container)
        with container.network():
            printer = SimulatedPrinter("tcp", port=9101)
        assert outcome(container, "0.9.9").endswith("0.9.1 runs again")
        container.wait("tillwire status", lambda text: "last job 4" in text)
        print_a_receipt(container)
        printer.wait(lambda: printer.cuts == 1)
    finally:
        printer.close()
        mosquitto.kill()
        mosquitto.wait()
