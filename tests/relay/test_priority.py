"""Real-time priority: the print path has it, nothing else does, and whoever spins loses it."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from relay import priority
from tests.relay.conftest import LIMIT, Box
from tests.simulators.printer import SimulatedPrinter

RECEIPT = b"\x1b@TOTAL 1.00\n\x1dV\x00"
granted_here = pytest.mark.skipif(
    bool(subprocess.run(["chrt", "-f", str(priority.PRIORITY), "true"], capture_output=True).returncode),
    reason="real-time priority is refused here",
)
TELL = """
import sys
from relay import priority, store
def told(name):
    work = getattr(store.Store, name)
    def tell(self, *rest):
        print("granted", name, priority.granted(), file=sys.stderr, flush=True)
        return work(self, *rest)
    setattr(store.Store, name, tell)
told("finish")
told("settle")
"""
SPIN = """
import relay.link, time
take = relay.link.PosLink._take
def spin(link, data):
    end = time.thread_time() + 60
    while b"SPIN" in data and time.thread_time() < end and %s:
        pass
    take(link, data)
relay.link.PosLink._take = spin
"""
STUCK = """
import relay.link, resource
resource.setrlimit(resource.RLIMIT_RTTIME, (1_000_000, 1_000_000))
take = relay.link.PosLink._take
def stick(link, data):
    if b"SPIN" in data:
        sum(range(10**13))
    take(link, data)
relay.link.PosLink._take = stick
"""


def policies(box: Box) -> dict[str, int]:
    """Thread name -> its policy, of the relay."""
    assert box.process
    found = {}
    for task in Path(f"/proc/{box.process.pid}/task").iterdir():
        name = "loop" if task.name == str(box.process.pid) else (task / "comm").read_text().strip()
        found[name] = os.sched_getscheduler(int(task.name))
    return found


def status(box: Box) -> dict[str, Any]:
    with closing(box.agent()) as agent:
        return agent.ask("status")


@granted_here
def test_the_loop_has_it_and_the_journal_only_while_a_cut_waits_for_it(make_box: Callable[..., Box]) -> None:
    box = make_box(start=False).start(first=TELL, ordinary=False)
    box.pos().send(RECEIPT)
    box.jobs(1)
    found = policies(box)
    assert found.pop("loop") == os.SCHED_FIFO
    assert found and set(found.values()) == {os.SCHED_OTHER}
    assert status(box)["priority"] == "real-time"
    assert [line for line in box.log.read_text().splitlines() if line.startswith("granted ")] == [
        "granted finish True",
        "granted settle False",
    ]


@granted_here
def test_a_relay_that_spins_loses_it_says_so_and_prints_on(
    make_box: Callable[..., Box], printer: SimulatedPrinter
) -> None:
    box = make_box(start=False).start(first=SPIN % "relay.priority.granted()", ordinary=False)
    pos = box.pos()
    pos.send(b"SPIN\n" + RECEIPT)
    printer.wait(lambda: printer.cuts == 1)
    said = status(box)
    assert (said["priority"], said["counters"]["priority_lost"]) == ("ordinary", 1)
    assert set(policies(box).values()) == {os.SCHED_OTHER}
    assert box.log.read_text().count("priority=given_up") == 1
    pos.send(RECEIPT)
    assert len(box.jobs(2)) == 2
    assert box.process and box.process.poll() is None


@granted_here
def test_one_that_is_stuck_where_no_signal_is_heard_is_ended(make_box: Callable[..., Box]) -> None:
    box = make_box(start=False).start(first=STUCK, ordinary=False)
    box.pos().send(b"SPIN\n")
    assert box.process and box.process.wait(LIMIT) == -signal.SIGKILL


def test_where_it_is_refused_everything_works(make_box: Callable[..., Box]) -> None:
    if os.geteuid() and resource.getrlimit(resource.RLIMIT_RTPRIO)[0]:
        pytest.skip("it is granted here, and cannot be taken away")
    box = make_box()
    box.pos().send(RECEIPT)
    box.jobs(1)
    said = status(box)
    assert (said["priority"], said["counters"]["priority_lost"]) == ("ordinary", 0)
    assert os.SCHED_FIFO not in policies(box).values()
