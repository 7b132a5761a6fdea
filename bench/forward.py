"""Receipts from the till to the cloud's table: how fast, and what kill -9 of each process loses or doubles.

The harness is the till and the printer. A receipt counts as accepted when the printer saw its cut.
"""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

from bench import forward_peers, harness
from tests.simulators.system import BIN, BOX, MERCHANT, PASSWORD, USER

AGENT = f"""\
[box]
id = "{BOX}"
state_dir = "$dir/box"
control = "$dir/relay.sock"
[printer.main]
url = "tcp://127.0.0.1:$port1"
[pos.till]
url = "tcp://127.0.0.1:$port2"
[cloud]
broker = "mqtt://127.0.0.1:$port3"
password_file = "$dir/password"
[alerts]
sound = false
"""
DELETES = "[capture]\nkeep_days = 0\n"  # what is acknowledged is deleted at once, and not after a week
CLOUD = """\
[web]
listen = "127.0.0.1:$port4"
[broker]
url = "mqtt://127.0.0.1:$port3"
[store]
url = "sqlite://$dir/cloud/cloud.db"
"""
BROKER = """\
server_name: bench
listen: "127.0.0.1:$port5"
max_payload: 8MB
jetstream { store_dir: "$dir/nats", max_mem: 128MB, max_file: 2GB }
mqtt { listen: "127.0.0.1:$port3", ack_wait: "5s", max_ack_pending: 1000 }
"""
START_CLOUD = f"""\
[ -e $dir/password ] || {{
  mkdir -p $dir/cloud $dir/box
  cloud="{BIN}/tillwire-cloud --config $dir/cloud.toml"
  echo '{PASSWORD}' | $cloud merchant add '{MERCHANT}' --user {USER} --password-stdin
  $cloud box add '{MERCHANT}' {BOX} | tail -n 1 > $dir/password
}}
exec {BIN}/tillwire-cloud --config $dir/cloud.toml all
"""
SPEC: dict[str, Any] = {
    "name": "tillwire",
    "feed": "pos:127.0.0.1:$port2",
    # What a killed relay had not finished, or not put on paper, arrives too (partial; delivered none): the till
    # prints it again. A second arrival is one of a job that was whole and on paper.
    "watch": "sqlite:$dir/cloud/cloud.db?SELECT raw FROM papers JOIN jobs ON jobs.id = papers.job_id"
    " WHERE boundary != 'partial' AND delivered = 'all'",
    "processes": {
        "broker": {"command": f"{BIN}/nats-server -c $dir/nats.conf", "files": {"nats.conf": BROKER}, "settle": 0.5},
        "cloud": {
            "command": "sh $dir/cloud.sh",
            "files": {"cloud.toml": CLOUD, "cloud.sh": START_CLOUD},
            "settle": 8.0,  # it makes a merchant and a box first
        },
        "agent": {
            "command": f"{BIN}/tillwire-agent --config $dir/agent.toml",
            "files": {"agent.toml": AGENT},
            "settle": 1.0,
        },
        # Last: the harness' printer listens only after everything is started, and a printer is tried again ever later:
        # after 3.0 s once more. By then the agent's reading child is there too: a box that has just started is slower.
        "relay": {"command": f"{BIN}/tillwire-relay --config $dir/agent.toml", "settle": 2.8},
    },
}


def main(quick: bool = False) -> int:
    with tempfile.TemporaryDirectory() as folder:
        deletes = copy.deepcopy(SPEC)
        deletes["processes"]["agent"]["files"]["agent.toml"] += DELETES
        specs = harness.write(Path(folder, "agents.json"), [deletes])
        beside = harness.write(Path(folder, "beside.json"), [SPEC, *forward_peers.specs(f"{BIN}/nats-server")])
        speed = harness.run(
            "forward_bench.py", beside, "--victims", "none", "--trials", "1" if quick else "3", "-n", "500",
            "--window", "1", "--quiet", "15",
        )  # fmt: skip
        if quick:
            return speed
        kills = harness.run(
            "forward_bench.py", specs, "--victims", "relay,agent,cloud,broker", "--trials", "3",
            "-n", "150", "--rate", "100", "--quiet", "5",
        )  # fmt: skip
        return speed | kills
