"""What the agent has loaded when, and how much memory both programs take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.agent.rig import Rig, receipt
from tests.agent.test_orders import order

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


def tree(pid: int) -> list[int]:
    """The process and all below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += tree(int(child))
    return found


def pss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


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
