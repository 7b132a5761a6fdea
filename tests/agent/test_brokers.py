"""The box with each kind of broker: receipts up, orders down, a broker that dies and forgets all, one that lies.

mosquitto with MQTT 5 and with 3.1.1, and the embedded one (NATS). Three nodes of it: tests/rigs/test_cluster.py.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.agent.rig import BOX, Rig, number_in, receipt
from tests.agent.test_orders import head, order
from wire import topics

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
Bench = Callable[..., Rig]
needs_mosquitto = pytest.mark.skipif(not MOSQUITTO, reason="mosquitto is not installed")


@pytest.mark.covers("F26", "F31", "F37")
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("program", "version"),
    [
        pytest.param(MOSQUITTO, "5", id="mosquitto, MQTT 5", marks=needs_mosquitto),
        pytest.param(MOSQUITTO, "3.1.1", id="mosquitto, MQTT 3.1.1", marks=needs_mosquitto),
        pytest.param(None, "3.1.1", id="embedded"),
    ],
)
def test_receipts_and_orders_pass_a_broker_that_dies_and_loses_all_it_knew(
    bench: Bench, program: str | None, version: str
) -> None:
    box = bench(mosquitto=program, cloud={"version": "auto" if version == "5" else version})
    box.start("relay", "agent").online()
    assert f"connected mqtt={version}" in box.log("agent")
    large = b"\x1b@\x1dv0\x00" + (72).to_bytes(2, "little") + (4000).to_bytes(2, "little")
    large += random.Random(1).randbytes(72 * 4000) + b"\x1dVB\x00"
    box.print(receipt(1), large)
    keys = box.cloud.wait_jobs(2, within=60)
    assert box.cloud.raws[keys[1]] == large, "in parts, each within what the broker takes"
    box.cloud.order(order("o-1"))
    box.cloud.wait_state("o-1", "printed", within=60)
    box.wait_released(2, within=60)
    box.cloud.ack = False
    box.print(*[receipt(n) for n in range(2, 12)])
    carried = set(box.cloud.wait_jobs(12, within=60)) - set(keys)
    box.wipe_broker()  # it had taken these ten, and the cloud said nothing yet
    box.print(*[receipt(n) for n in range(12, 41)])
    box.cloud.ack = True
    box.start("broker")
    box.cloud.wait(lambda: all(box.cloud.times[key] > 1 for key in carried), "what was not acknowledged again", 90)
    box.cloud.wait_jobs(41, within=90)
    numbers = sorted(number_in(raw) for raw in box.cloud.raws.values() if raw and raw != large)
    assert numbers == list(range(1, 41))
    box.cloud.order(order("o-2"))
    box.cloud.wait_state("o-2", "printed", within=60)
    box.wait_released(41, within=60)
    box.wait_empty(60)
    for name in ("o-1", "o-2"):
        assert box.printer.paper.count(head(name) + b"\n") == 1


@needs_mosquitto
@pytest.mark.covers("F33")
@pytest.mark.timeout(300)
def test_a_broker_that_says_success_and_drops_receipts_is_told_by_the_missing_acknowledgements(
    bench: Bench, tmp_path: Path
) -> None:
    """MQTT 3.1.1 and a wrong rule: each receipt gets its PUBACK, and reaches nobody. Nothing is let go of."""
    acl = tmp_path / "acl"
    acl.write_text(f"topic deny {topics.up(BOX, 'receipts')}\ntopic readwrite #\n")
    box = bench(mosquitto=MOSQUITTO, cloud={"version": "3.1.1"})
    box.kill("broker")
    box.broker_lines = [f"acl_file {acl}"]
    box.first["agent"] = "import agent.health as h\nh.NO_ACK_S, h.LOOK_S, h.EVERY_S = 2.0, 0.2, 2.0"
    box.start("broker", "relay", "agent").online()
    box.print(receipt(1), receipt(2))
    box.cloud.wait(lambda: any("no_ack" in alert for alert in box.cloud.alerts), "the alarm", within=90)
    assert not box.cloud.jobs
    box.wait_outbox(2)
    assert box.query("capture.db", "SELECT count(*) FROM jobs WHERE acked_ran IS NOT NULL") == [(0,)]
    box.kill("broker")
    box.broker_lines = []
    box.start("broker")
    box.cloud.wait_jobs(2, within=90)
    box.wait_released(2, within=60)
    box.cloud.wait(lambda: not any("no_ack" in alert for alert in box.cloud.alerts), "the alarm's end", within=90)
