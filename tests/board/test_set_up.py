"""`apt install ./tillwire.deb`, then `tillwire setup`, on a fresh Debian with systemd: that is all. By `make board`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.board.container import OUT, Container, missing
from tests.board.test_package import build, install, print_a_receipt
from tests.simulators.printer import SimulatedPrinter

pytestmark = [pytest.mark.board, pytest.mark.timeout(1800), pytest.mark.skipif(bool(missing()), reason=missing())]


@pytest.fixture
def container() -> Iterator[Container]:
    folder = OUT / "test-setup"
    shutil.rmtree(folder, ignore_errors=True)
    one = Container(folder / "tree").unpack("bookworm").boot()
    yield one
    one.close()
    shutil.rmtree(folder, ignore_errors=True)


def test_installed_set_up_printing_reloaded(container: Container) -> None:
    with container.network():
        printer = SimulatedPrinter("tcp", port=9101)
    try:
        install(container, build("bookworm", "0.8.9"))
        before = container.run("tillwire doctor", check=False)
        assert "`tillwire setup` writes it" in before and "WRONG  tillwire-relay: does not run" in before

        said = container.run(
            "tillwire setup --yes --printer tcp://127.0.0.1:9101 --pos tcp://0.0.0.0:9100 --name bakery-box-1 --slip"
        )
        assert "OK     services: tillwire-relay, tillwire-agent run, and start with the board" in said
        assert "status slip on printer main: printed, proof L2" in said
        assert container.run("stat -c '%a %U %G' /etc/tillwire/agent.toml").split() == ["640", "root", "tillwire"]
        printer.wait(lambda: printer.cuts == 2, 120)  # set-up's, and the one after a boot, by the agent in its sandbox
        assert all(b"Box: bakery-box-1" in piece for piece in printer.paper[:2])

        print_a_receipt(container)
        printer.wait(lambda: printer.cuts == 3, 120)
        after = container.run("tillwire doctor", check=False)
        for line in (
            "OK     settings:",
            "OK     tillwire-relay: runs",
            "OK     tillwire-agent: runs",
            "bytes have come in",
        ):
            assert line in after, after
        assert "this box belongs to nobody yet" in after and "WRONG" not in after, after

        container.run("sed -i 's/^\\[box\\]/[log]\\nlevel = \"debug\"\\n[box]/' /etc/tillwire/agent.toml")
        container.run("systemctl reload tillwire-relay tillwire-agent")
        for unit in ("tillwire-relay", "tillwire-agent"):
            container.wait(f"journalctl -o cat -u {unit}", lambda text: "config=reloaded log.level" in text)
        container.run("sed -i 's/^level = .*/levle = 1/' /etc/tillwire/agent.toml")
        container.run("systemctl reload tillwire-relay tillwire-agent")
        container.wait("tillwire doctor", lambda text: "did you mean 'level'?" in text)
        print_a_receipt(container)
        printer.wait(lambda: printer.cuts == 4, 120)
    finally:
        printer.close()
