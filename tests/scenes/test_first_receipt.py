"""From a bare board to the first acknowledged receipt, as docs/technician.md tells it: set-up typed into a terminal, a
real cloud that made the claim code, and a receipt that is stored there under the box's new name."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.agent.rig import receipt
from tests.agent.test_doctor import tillwire
from tests.simulators.printer import SimulatedPrinter
from tests.simulators.system import MERCHANT, System, free_port, until
from tests.simulators.terminal import Terminal
from tests.simulators.till import TcpTill

WITHIN_S = 60.0


@pytest.mark.timeout(300)
def test_from_a_bare_board_to_the_first_acknowledged_receipt(tmp_path: Path) -> None:
    port = free_port()
    with SimulatedPrinter() as printer:
        system = System(tmp_path / "s", printers={"main": printer.url}, pos={"till": f"tcp://127.0.0.1:{port}"})
        try:
            system.set_up()
            system.start("cloud")
            code = system.cloud_command("claim", "new", MERCHANT).split()[-1]
            here = system.folder
            system.agent_toml.write_text(f'[box]\nstate_dir = "{here}/box"\ncontrol = "{here}/relay.sock"\n')

            terminal = Terminal("setup", "--config", str(system.agent_toml), "--name", "corner-cafe-1")
            terminal.until("url: ")
            terminal.types(printer.url)
            terminal.until("EPSON TM-T88V, proof L2")
            terminal.until("2. The till")
            terminal.until("[1]: ")
            terminal.types(f"tcp://127.0.0.1:{port}")
            terminal.until("Address, https://HOST [later]: ")
            terminal.types(system.url)
            terminal.until("Claim code [later]: ")
            terminal.types(code.lower())
            terminal.until("Write this and start? [Y/n]: ")
            terminal.types("")
            said = terminal.end()
            assert terminal.code == 0 and "this is box corner-cafe-1 now" in said, said

            system.start("relay", "agent")
            with closing(TcpTill(f"127.0.0.1:{port}")) as till:
                till.send(receipt(1))
                printer.wait(lambda: printer.cuts == 1)
            sql = "SELECT count(*) FROM jobs WHERE acked_ran IS NOT NULL OR reason = 'released'"
            until(lambda: system.query(system.capture_db, sql) == [(1,)], WITHIN_S, "the cloud acknowledged it")
            assert system.query(system.cloud_db, "SELECT box FROM jobs") == [("corner-cafe-1",)]

            doctor = tillwire("doctor", "--config", str(system.agent_toml))
            assert doctor.returncode == 0 and "WRONG" not in doctor.stdout, doctor.stdout
            assert f"cloud {system.url}: answers" in doctor.stdout and "secrets: only their owners" in doctor.stdout
            assert tillwire("slip", "--config", str(system.agent_toml)).returncode == 0
            assert b"Box: corner-cafe-1" in printer.paper[1] and b"Cloud: connected" in printer.paper[1]
        finally:
            system.close()
