"""What the agent has loaded when, and how much memory both programs take."""

from __future__ import annotations

from collections.abc import Callable

from tests.agent.rig import Rig, receipt
from tests.agent.test_orders import order
from tests.simulators.memory import pss_mb, tree

TELL = """
import logging, sys
import agent.daemon as daemon
def tell(when):
    loaded = [name for name in ("escpos", "sqlite_utils", "PIL") if name in sys.modules]
    logging.getLogger("tillwire.agent").info("loaded %s: %s", when, " ".join(loaded) or "nothing")
notify, load = daemon.notify, daemon._load_encoder
def notified(text):
    if text == "READY=1":
        tell("when ready")
    notify(text)
def loading():
    load()
    tell("afterwards")
daemon.notify, daemon._load_encoder = notified, loading
"""
RELAY_MB, AGENT_MB = 20, 72


def test_the_slips_encoder_is_loaded_once_it_is_ready_and_before_an_order(bench: Callable[..., Rig]) -> None:
    box = bench()
    box.first["agent"] = TELL
    box.start("relay", "agent").online()
    box.wait_log("agent", "loaded when ready: nothing")
    box.wait_log("agent", "loaded afterwards: escpos", within=60)
    assert "sqlite_utils" not in box.log("agent"), "only the tools need it"
    box.cloud.order(order("o-1"))
    box.print(*[receipt(n) for n in range(1, 31)])
    box.cloud.wait_state("o-1", "printed", within=40)
    box.cloud.wait_jobs(30, within=40)
    assert pss_mb(box.running["relay"].pid) < RELAY_MB
    assert sum(map(pss_mb, tree(box.running["agent"].pid))) < AGENT_MB
