"""The relay beside socat, ser2net and p910nd, as far as they are installed: what a till could notice. All devices run
in interleaved rounds; the ratio is the figure.

tillwire               the relay alone: capture, journal, cut held
tillwire-from-serial   a till on a serial line
tillwire-to-serial     a printer on one, as ser2net and p910nd have it

What goes on beside it: bench/relay_loads.py. What it costs: bench/relay_costs.py.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import harness
from tests.simulators.system import BIN

RELAY = """\
[box]
id = "bench-box"
state_dir = "$dir"
control = "$dir/relay.sock"
[printer.main]
url = "tcp://127.0.0.1:$printer_port"
[pos.till]
url = "tcp://127.0.0.1:$pos_port"
"""
SER2NET = """\
connection: &pos
  accepter: tcp,127.0.0.1,$pos_port
  connector: serialdev,$printer_path,115200n81,local
  options: {kickolduser: true}
"""
SERIAL = RELAY.replace("tcp://127.0.0.1:$pos_port", "serial://$pos_path")
PRINTS_SERIAL = RELAY.replace("tcp://127.0.0.1:$printer_port", "serial://$printer_path?baud=115200")
SOCAT = {
    "name": "socat",
    "command": "socat TCP-LISTEN:$pos_port,reuseaddr,nodelay,fork TCP:127.0.0.1:$printer_port,nodelay",
}
START = f"{BIN / 'tillwire-relay'} --config $dir/agent.toml"
TILLWIRE = {"name": "tillwire", "command": START, "files": {"agent.toml": RELAY}, "settle": 1.0}


def busy(load: str, settle: float) -> dict[str, Any]:
    """A box with that load, for the harness."""
    box = f"{sys.executable} -m bench.busy_box $dir $pos_port $printer_port {load}"
    return {
        "name": f"tillwire-{load}",
        "command": f"env PYTHONPATH={harness.ROOT} {box}",
        "settle": settle,
    }


def main(quick: bool = False) -> int:
    line = {"printer": "pty", "settle": 1.0, "n": 100, "skip": ["exact", "throughput"]}
    duts: list[dict[str, Any]] = [
        SOCAT,
        TILLWIRE,
        {"name": "tillwire-from-serial", "command": START, "files": {"agent.toml": SERIAL}, **line,
         "pos": "pty", "printer": "tcp", "n": 500},
        {"name": "tillwire-to-serial", "command": START, "files": {"agent.toml": PRINTS_SERIAL}, **line},
    ]  # fmt: skip
    if shutil.which("ser2net"):
        duts.append({"name": "ser2net", "command": "ser2net -d -n -u -c $dir/ser2net.yaml",
                     "files": {"ser2net.yaml": SER2NET}, **line})  # fmt: skip
    if shutil.which("p910nd"):  # listens on 9100 and its number; its lock has a folder that not every package makes
        command = "sh -c 'mkdir -p /var/lock/p910nd; exec p910nd -b -d -i 127.0.0.1 -f $printer_path 2'"
        duts.append({"name": "p910nd", "command": command, "pos_port": 9102, **line, "n": 40})
    return measured(duts, "oneway1,oneway64,status,throughput,idle,exact", quick)


def measured(duts: list[dict[str, Any]], tests: str, quick: bool) -> int:
    with tempfile.TemporaryDirectory() as folder:
        spec = harness.write(Path(folder, "duts.json"), duts)
        rounds, samples = ("1", "100") if quick else ("5", "500")
        return harness.run(
            "relay_bench.py", "--duts", spec, "--base", "socat", "--rounds", rounds, "-n", samples, "--tests", tests
        )
