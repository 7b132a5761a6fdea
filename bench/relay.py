"""The relay beside socat, and ser2net where it is installed: what a till could notice. All devices run in interleaved
rounds; the ratio is the figure.

tillwire        the relay alone: capture, journal, cut held
tillwire-busy   the same relay in a whole box: a second till prints a receipt every 100 ms meanwhile, which the agent
                reads and the cloud stores
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


def main(quick: bool = False) -> int:
    duts: list[dict[str, Any]] = [
        {
            "name": "socat",
            "command": "socat TCP-LISTEN:$pos_port,reuseaddr,nodelay,fork TCP:127.0.0.1:$printer_port,nodelay",
        },
        {
            "name": "tillwire",
            "command": f"{BIN / 'tillwire-relay'} --config $dir/agent.toml",
            "files": {"agent.toml": RELAY},
            "settle": 1.0,
        },
        {
            "name": "tillwire-busy",
            "command": f"env PYTHONPATH={harness.ROOT} {sys.executable} -m bench.busy_box $dir $pos_port $printer_port",
            "settle": 8.0,
        },
        {
            "name": "tillwire-serial",
            "command": f"{BIN / 'tillwire-relay'} --config $dir/agent.toml",
            "files": {"agent.toml": SERIAL},
            "pos": "pty",
            "settle": 1.0,
            "skip": ["exact", "throughput"],
        },
    ]
    if shutil.which("ser2net"):
        duts.append(
            {
                "name": "ser2net",
                "command": "ser2net -d -n -u -c $dir/ser2net.yaml",
                "files": {"ser2net.yaml": SER2NET},
                "printer": "pty",
                "settle": 1.0,
                "n": 100,
                "skip": ["exact", "throughput"],
            }
        )
    with tempfile.TemporaryDirectory() as folder:
        spec = harness.write(Path(folder, "duts.json"), duts)
        rounds, samples = ("1", "100") if quick else ("5", "500")
        return harness.run(
            "relay_bench.py", "--duts", spec, "--base", "socat", "--rounds", rounds, "-n", samples,
            "--tests", "oneway1,oneway64,status,throughput,idle,exact",
        )  # fmt: skip
