"""agent/flights.py: what is sent again, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from agent import flights
from agent.flights import BACKLOG_BYTES, BACKLOG_LEAST, LATE_S, WINDOW, Flights, Pace


class Line:
    """The uplink's part: what is to be sent once more is sent, and the broker takes it at once."""

    def __init__(self) -> None:
        self.flights = Flights(self.send)
        self.again: list[int] = []
        self.changed = asyncio.Event()

    def send(self, row_id: int) -> None:
        if row_id in self.flights:
            self.again.append(row_id)
            self.changed.set()
        sent = self.flights.begin(row_id)
        self.flights.taken(row_id, sent)

    async def wait(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.again) < count:
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flights, "RESEND_S", 0.01)


def in_a_loop(story: Callable[[Line], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        await story(Line())

    asyncio.run(run())


@pytest.mark.covers("F39")
def test_while_the_cloud_is_away_one_record_at_a_time_asks_for_it() -> None:
    async def story(line: Line) -> None:
        for row_id in range(1, 6):
            line.send(row_id)
        await line.wait(10)
        assert sorted(line.again[:5]) == [1, 2, 3, 4, 5], "each in its turn"
        assert line.again[5:10] == line.again[:5]
        assert line.flights.room == WINDOW - 5, "nothing else goes to where nobody listens"
        asked = len(line.again)
        line.flights.acked(line.again[-1])
        assert sorted([*line.again[asked:], line.again[asked - 1]]) == [1, 2, 3, 4, 5], "it is back: all of them, now"
        for row_id in range(1, 6):
            line.flights.acked(row_id)
        assert line.flights.room == WINDOW and not line.flights.waits

    in_a_loop(story)


@pytest.mark.covers("F40")
def test_a_record_that_the_cloud_does_not_take_holds_up_no_other() -> None:
    """Every acknowledgement of record 2 is lost once; record 1 is never acknowledged."""

    async def story(line: Line) -> None:
        line.send(1)
        await line.wait(2)
        line.send(2)
        async with asyncio.timeout(30):
            while 2 not in line.again:
                line.changed.clear()
                await line.changed.wait()
        line.flights.acked(2)
        assert 1 in line.flights and 2 not in line.flights

    in_a_loop(story)


def test_what_is_given_up_while_it_asks_lets_another_ask() -> None:
    async def story(line: Line) -> None:
        line.send(1)
        line.send(2)
        await line.wait(2)
        gone = line.again[-1]
        line.flights.forget(gone)
        before = len(line.again)
        await line.wait(before + 2)
        assert set(line.again[before:]) == {3 - gone}
        line.flights.clear()
        assert line.flights.room == WINDOW

    in_a_loop(story)


def test_a_backlog_goes_as_fast_as_the_line_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(flights.time, "monotonic", lambda: now[0])
    pace = Pace()

    def room() -> int:
        total = 0
        while pace.open:
            pace.sent(1000)
            total += 1000
        return total

    since, first = now[0], room()
    assert BACKLOG_LEAST <= first < BACKLOG_LEAST + 1000
    for _ in range(200):  # each is in time: ever more
        now[0] += 0.001
        pace.taken(1000, now[0] - 0.05)
        room()
    assert pace._most == BACKLOG_BYTES
    since = now[0]
    now[0] += LATE_S + 1
    for _ in range(3):  # late, but they all stood in one queue
        pace.taken(1000, since)
    assert pace._most == BACKLOG_BYTES // 2
