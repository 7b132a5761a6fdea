"""The box with a mosquitto as its broker, MQTT 5: receipts up, orders down, and a kill of the broker in between."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable

import pytest

from tests.agent.rig import Rig, number_in, receipt
from tests.agent.test_orders import head, order

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")

pytestmark = pytest.mark.skipif(not MOSQUITTO, reason="mosquitto is not installed")


@pytest.mark.covers("F26")
def test_receipts_and_orders_pass_a_mosquitto_that_is_killed_in_between(bench: Callable[..., Rig]) -> None:
    box = bench(mosquitto=MOSQUITTO).start("relay", "agent").online()
    assert "connected mqtt=5" in box.log("agent")
    large = b"\x1b@\x1dv0\x00" + (72).to_bytes(2, "little") + (4000).to_bytes(2, "little")
    large += random.Random(1).randbytes(72 * 4000) + b"\x1dVB\x00"
    box.print(receipt(1), large)
    keys = box.cloud.wait_jobs(2)
    assert box.cloud.raws[keys[1]] == large, "in parts, each within what the broker takes"
    box.cloud.order(order("o-1"))
    box.cloud.wait_state("o-1", "printed")
    box.kill("broker")
    box.print(*[receipt(n) for n in range(2, 60)])
    box.start("broker")
    box.cloud.wait_jobs(60, within=40)
    numbers = sorted(number_in(raw) for raw in box.cloud.raws.values() if raw and raw != large)
    assert numbers == list(range(1, 60))
    box.cloud.order(order("o-2"))
    box.printer.wait(head("o-2"))
    box.cloud.wait_state("o-2", "printed")
    box.wait_released(60)
    box.wait_empty()
