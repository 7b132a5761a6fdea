"""Clocks that are wrong, jump, and come right: order comes from seq, expiry from monotonic time, nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.agent.rig import Rig, number_in, receipt
from tests.agent.test_orders import head, order
from wire.messages import Trust

Bench = Callable[..., Rig]
FAKE = """
import time, pathlib
from pathlib import Path
_offset, _synced = Path({offset!r}), Path({synced!r})
_ns, _time = time.time_ns, time.time
time.time_ns = lambda: _ns() + int(float(_offset.read_text() or 0) * 1e9)
time.time = lambda: _time() + float(_offset.read_text() or 0)
import relay.clock
relay.clock.trust = lambda: "ntp" if _synced.exists() else "none"
try:
    import agent.clock
    agent.clock.SYNCED, agent.clock.RTC, agent.clock.NOBODY_KNOWS = _synced, Path("/nowhere"), 0
except ImportError:
    pass
"""
YEARS = 365 * 86_400.0


class Clock:
    """What the box's wall clock says, as an offset to the right time, and whether it is known to be right."""

    def __init__(self, folder: Path) -> None:
        self.offset, self.synced = folder / "offset", folder / "synced"
        self.set(0.0)

    def set(self, offset: float, synced: bool = False) -> None:
        part = self.offset.with_suffix(".new")
        part.write_text(str(offset))
        part.rename(self.offset)
        if synced:
            self.synced.touch()

    def preamble(self, program: str) -> str:
        text = FAKE.format(offset=str(self.offset), synced=str(self.synced))
        return text if program == "agent" else text.partition("try:")[0]


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


@pytest.fixture
def box(bench: Bench, clock: Clock) -> Rig:
    rig = bench()
    rig.first = {name: clock.preamble(name) for name in ("relay", "agent")}
    return rig


def times(box: Rig) -> dict[int, tuple[float, Trust]]:
    """Of each receipt: how far its time is off, in s, and what it is said to be worth."""
    return {
        number_in(box.cloud.raws[key] or b""): (abs(job.ended.wall_ms / 1000 - time.time()), job.ended.trust)
        for key, job in box.cloud.jobs.items()
    }


@pytest.mark.covers("F22")
def test_times_before_the_first_sync_come_right_with_it(box: Rig, clock: Clock) -> None:
    """The box boots in 1970 and prints; the broker cannot be reached until the clock is right."""
    clock.set(-time.time() + 100)
    box.start("relay", "agent").online()
    box.kill("broker")
    box.print(*[receipt(n) for n in range(1, 6)])
    box.wait_outbox(5)
    clock.set(0.0, synced=True)
    box.print(receipt(6))
    box.wait_outbox(6)
    box.start("broker")
    box.cloud.wait_jobs(6, within=60)
    assert all(off < 300 and trust is Trust.NTP for off, trust in times(box).values())
    seqs = {number_in(box.cloud.raws[key] or b""): key[1] for key in box.cloud.jobs}
    assert seqs == {n: n for n in range(1, 7)}, "order comes from seq"


@pytest.mark.covers("F24")
def test_a_clock_that_never_comes_right_is_told_as_such(box: Rig, clock: Clock) -> None:
    clock.set(-time.time() + 100)
    box.start("relay", "agent").online()
    box.print(*[receipt(n) for n in range(1, 4)])
    box.cloud.wait_jobs(3, within=60)
    assert all(off > YEARS and trust is Trust.NONE for off, trust in times(box).values())


def live(box: Rig, clock: Clock, *offsets: float) -> int:
    """Receipts and orders while the clock jumps -> how many of each."""
    box.start("relay", "agent").online()
    for number, offset in enumerate(offsets, 1):
        clock.set(offset)
        box.print(receipt(number))
        box.cloud.order(order(f"o-{number}"))
        box.cloud.wait_state(f"o-{number}", "printed", within=60)
    box.cloud.wait_jobs(len(offsets), within=60)
    return len(offsets)


@pytest.mark.covers("F23")
def test_a_clock_that_jumps_deletes_nothing_and_delays_nothing(box: Rig, clock: Clock) -> None:
    """An hour back, ten years on, an hour of summer time."""
    count = live(box, clock, 0.0, -3600.0, 10 * YEARS, 10 * YEARS + 3600.0)
    box.wait_released(count)
    kept = box.query("capture.db", "SELECT count(*) FROM jobs WHERE reason IS NULL")
    assert kept == [(count,)], "kept seven days, by monotonic time"
    for number in range(1, count + 1):
        assert box.printer.paper.count(head(f"o-{number}") + b"\n") == 1
    box.kill("relay")
    box.hang_up()
    box.start("relay")
    box.print(receipt(count + 1))
    box.cloud.wait_jobs(count + 1, within=60)
    assert box.query("capture.db", "SELECT count(*) FROM jobs WHERE reason IS NULL") == [(count + 1,)]


def test_the_rig_sees_an_expiry_by_the_wall_clock(box: Rig, clock: Clock) -> None:
    box.first["relay"] += "\nfrom tests.rigs.seeded import FAULTS\nFAULTS['expiry_by_wall_clock']()"
    box.start("relay", "agent").online()
    box.print(receipt(1))
    box.wait_released(1)
    clock.set(10 * YEARS)
    box.kill("relay")
    box.hang_up()
    box.start("relay")
    box.wait_value("capture.db", "SELECT reason FROM jobs WHERE reason IS NOT NULL", "released")
