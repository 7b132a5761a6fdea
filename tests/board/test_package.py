"""The Debian package on a fresh Debian: installed, printing, killed, hung, upgraded, cut off, removed.

Run by `make board`; builds trees and packages into out/board the first time.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.board.container import OUT, Container, missing
from tests.simulators.printer import SimulatedPrinter

pytestmark = [pytest.mark.board, pytest.mark.timeout(1800), pytest.mark.skipif(bool(missing()), reason=missing())]
ROOT = Path(__file__).parents[2]
COMMIT = subprocess.run(
    ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
).stdout.strip()
DEBIAN = {"bookworm": "deb12", "trixie": "deb13"}
RECEIPT = b"\x1b@CORNER BAKERY\nBread 2.40\nTOTAL 2.40\n\x1dV\x00"
CONFIG = """\
[box]
id = "bakery-box-1"
[printer.main]
url = "tcp://127.0.0.1:9101"
[pos.till]
url = "tcp://0.0.0.0:9100"
[alerts]
sound = false
"""


def build(suite: str, version: str, source: Path = ROOT) -> Path:
    subprocess.run(
        ["sh", "systemd/board/build-deb.sh", suite], cwd=source, check=True, timeout=1500, capture_output=True,
        env={**os.environ, "VERSION": version, "COMMIT": COMMIT},
    )  # fmt: skip
    return next((source / "out" / "board").glob(f"tillwire_{version}+{DEBIAN[suite]}_*.deb"))


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def suite(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def container(suite: str) -> Iterator[Container]:
    folder = OUT / f"test-{suite}"
    shutil.rmtree(folder, ignore_errors=True)
    one = Container(folder / "tree").unpack(suite).boot()
    yield one
    one.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def package(suite: str) -> Path:
    return build(suite, "0.9.0")


@pytest.fixture
def printer(container: Container) -> Iterator[SimulatedPrinter]:
    with container.network():
        printer = SimulatedPrinter("tcp", port=9101)
    yield printer
    printer.close()


def install(container: Container, package: Path) -> str:
    shutil.copy(package, container.tree / "root" / package.name)
    return container.run(f"apt-get install -y -o Dpkg::Use-Pty=0 /root/{package.name} 2>&1", timeout=300)


def print_a_receipt(container: Container) -> None:
    with container.network(), socket.create_connection(("127.0.0.1", 9100), timeout=30) as till:
        till.sendall(RECEIPT)


def pid(container: Container, unit: str) -> str:
    return container.run(f"systemctl show -P MainPID {unit}").strip()


def restarted(container: Container, unit: str, was: str, within: float = 90) -> str:
    return container.wait(
        f"systemctl is-active {unit} && systemctl show -P MainPID {unit}",
        lambda text: text.startswith("active") and text.split()[-1] not in ("0", was),
        within,
    ).split()[-1]


@pytest.mark.covers("F7", "F60", "A36")
def test_it_lives(container: Container, package: Path, suite: str, printer: SimulatedPrinter) -> None:
    """One story in one boot: each step stands on the one before."""
    said = install(container, package)
    assert "tillwire setup" in said
    assert container.run("systemctl is-enabled tillwire-relay tillwire-agent").split() == ["enabled", "enabled"]
    assert "inactive" in container.run("systemctl is-active tillwire-relay", check=False), "no settings yet"

    # set up as a technician may: by hand
    (container.tree / "etc/tillwire/agent.toml").write_text(CONFIG)
    container.run("tillwire check-config /etc/tillwire/agent.toml")
    container.run("systemctl start tillwire-relay tillwire-agent")
    print_a_receipt(container)
    printer.wait(lambda: printer.cuts == 1)
    container.wait("tillwire status", lambda text: "last job 1" in text)
    container.run("tillwire audit")

    # the sandbox holds: neither may write elsewhere, or see what it need not
    for unit in ("tillwire-relay", "tillwire-agent"):
        status = container.run(f"cat /proc/{pid(container, unit)}/status")
        assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status and "CapEff:\t0000000000000000" in status
        assert container.run(f"systemctl show -P ProtectSystem {unit}").strip() == "strict"

    # killed: back at once, with what was captured
    was = pid(container, "tillwire-relay")
    container.run(f"kill -9 {was}")
    was = restarted(container, "tillwire-relay", was)
    print_a_receipt(container)
    printer.wait(lambda: printer.cuts == 2)

    # hung: the watchdog sees it
    container.run(f"kill -STOP {was}")
    was = restarted(container, "tillwire-relay", was, within=120)
    print_a_receipt(container)
    printer.wait(lambda: printer.cuts == 3)

    assert "current 0.9.0" in container.run("tillwire-switch status")

    # an upgrade that changes nothing of the relay leaves it running; the agent is new
    agent = pid(container, "tillwire-agent")
    install(container, build(suite, "0.9.1"))
    assert container.run("readlink /opt/tillwire/current").strip().endswith("/0.9.1")
    assert pid(container, "tillwire-relay") == was
    restarted(container, "tillwire-agent", agent)
    assert "current 0.9.1  previous 0.9.0  trial none" in container.run("tillwire-switch status")
    container.wait("tillwire status", lambda text: "last job 3" in text)

    # the power goes, and comes back
    container.power_cut()
    container.boot()
    with container.network():
        again = SimulatedPrinter("tcp", port=9101)
    try:
        restarted(container, "tillwire-relay", "0")
        print_a_receipt(container)
        again.wait(lambda: again.cuts == 1)
        container.wait("tillwire status", lambda text: "last job 4" in text)

        # back to the one before, by hand
        container.run("tillwire-switch back")
        assert "current 0.9.0" in container.run("tillwire-switch status")
        print_a_receipt(container)
        container.wait("tillwire status", lambda text: "last job 5" in text)
    finally:
        again.close()

    # removed, even purged: the receipts stay
    container.run("apt-get remove -y -o Dpkg::Use-Pty=0 tillwire 2>&1")
    assert "inactive" in container.run("systemctl is-active tillwire-relay", check=False)
    assert (container.tree / "var/lib/tillwire/capture.db").exists()
    said = container.run("dpkg --purge tillwire 2>&1")
    assert "was kept" in said and (container.tree / "var/lib/tillwire/capture.db").exists()
    assert not (container.tree / "opt/tillwire").exists()
