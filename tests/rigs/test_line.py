"""The box behind a line as mobile ones are: slow, far away, and it loses packets. Two namespaces, real TCP between."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.agent.rig import Rig, number_in, receipt
from tests.simulators.line import Line, NoLine
from tests.simulators.proxy import Proxy

Bench = Callable[..., Rig]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def line() -> Iterator[Line]:
    try:
        made = Line()
    except NoLine as error:
        pytest.skip(str(error))
    yield made
    made.close()


@pytest.fixture
def box(bench: Bench, line: Line) -> Iterator[Rig]:
    """A box whose agent is behind the line."""
    way = Proxy(0, at=line.address)
    rig = bench(cloud={"broker": f"mqtt://{line.address}:{way.port}", "insecure": True})
    way.target = ("127.0.0.1", rig.mqtt_port)
    rig.inside["agent"] = line.inside
    yield rig
    way.close()


def delays(box: Rig, first: int, count: int, pause_s: float) -> list[float]:
    """Live receipts, one each `pause_s` -> from cut to arrival, s, sorted."""
    cut: dict[int, float] = {}
    came: dict[int, float] = {}

    def look() -> bool:
        for raw in list(box.cloud.raws.values()):
            if raw and (number := number_in(raw)) in cut and number not in came:
                came[number] = time.monotonic()
        return len(came) == count

    for number in range(first, first + count):
        cut[number] = time.monotonic()
        box.print(receipt(number))
        try:
            box.cloud.wait(lambda: look() and False, "", within=pause_s)
        except TimeoutError:
            pass
    box.cloud.wait(look, f"{count} live receipts (there are {len(came)})", within=300)
    return sorted(came[number] - cut[number] for number in cut)


@pytest.mark.covers("F28")
def test_on_a_gprs_like_line_live_receipts_pass_a_backlog(box: Rig, line: Line) -> None:
    """40 kbit/s, 300 ms and more each way, one packet in twenty lost; a hundred receipts wait, ten are printed."""
    line.kbit, line.delay_ms, line.jitter_ms, line.loss = 40, 300, 100, 0.05
    box.start("relay")
    box.print(*[receipt(number) for number in range(1, 101)])
    box.printer.wait(b"\x1dVB\x00", 100, within=60)
    box.start("agent").wait_log("agent", "connected mqtt", within=120)
    late = delays(box, 101, 10, 2.0)
    before = sum(1 for raw in box.cloud.raws.values() if raw and number_in(raw) <= 100)
    box.cloud.wait_jobs(110, within=300)
    box.wait_empty(120)
    assert sorted(number_in(raw) for raw in box.cloud.raws.values() if raw) == list(range(1, 111))
    print(f"live: median {late[5]:.1f} s, worst {late[-1]:.1f} s; {before} of the backlog by then; lost {line.lost}")


@pytest.mark.covers("F28")
def test_two_seconds_there_and_back_and_a_third_of_all_packets_lost(box: Rig, line: Line) -> None:
    line.delay_ms, line.loss = 1000, 0.15  # each way: of a question and its answer, a third
    box.start("relay", "agent").wait_log("agent", "connected mqtt", within=300)
    box.print(*[receipt(number) for number in range(1, 21)])
    box.cloud.wait_jobs(20, within=600)
    box.wait_empty(300)
    assert sorted(number_in(raw) for raw in box.cloud.raws.values() if raw) == list(range(1, 21))
