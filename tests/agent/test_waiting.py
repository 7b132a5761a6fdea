"""agent/waiting.py: what is sent next, from a real agent.db. The rows are messages: nothing is asked of a relay."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from agent import outbox, waiting
from agent.door import Door
from agent.flights import WINDOW, Flights
from agent.store import Store
from agent.waiting import ROWS, Waiting
from wire import messages
from wire.messages import Held

COUNT = 1000
Story = Callable[[Waiting, Flights], Coroutine[Any, Any, None]]


def told(tmp_path: Path, story: Story) -> None:
    """The outbox has rows 1 to COUNT, and the connection is open."""

    def fill(connection: sqlite3.Connection) -> None:
        for _ in range(COUNT):
            outbox.put_message(connection, "reports", messages.new(Held, orders=[]))

    async def run() -> None:
        store = Store(tmp_path / "agent.db")
        await store.open()
        try:
            await store.run(fill)
            flights = Flights(lambda row_id: None)
            queue = Waiting(store, Door(str(tmp_path / "no relay")), flights, set, lambda: None)
            queue.clear(connected=True)
            await asyncio.wait_for(story(queue, flights), 30)
        finally:
            await store.close()

    asyncio.run(run())


async def taken(queue: Waiting, room: bool) -> int:
    """The next row, whenever it is ready."""
    while (ready := queue.take(room)) is None:  # noqa: ASYNC110 -- a fetch has no event of its own
        await asyncio.sleep(0.001)
    return ready[0].id


async def nothing(queue: Waiting, room: bool) -> bool:
    """Whether nothing becomes ready, in the time in which much could be fetched."""
    for _ in range(50):
        if queue.take(room) is not None:
            return False
        await asyncio.sleep(0.002)
    return True


def test_all_of_it_goes_once_oldest_first(tmp_path: Path) -> None:
    async def story(queue: Waiting, flights: Flights) -> None:
        for row_id in range(1, COUNT + 1):
            assert await taken(queue, room=True) == row_id
            flights.begin(row_id)
        assert await nothing(queue, room=True)

    told(tmp_path, story)


@pytest.mark.covers("F39")
def test_what_has_its_place_never_stands_behind_what_has_none(tmp_path: Path) -> None:
    """The cloud was killed, asked for holes and was killed again: thousands are due that have no place in the full
    window, and the one record that asks whether it is back is newer than all of them."""

    async def story(queue: Waiting, flights: Flights) -> None:
        for row_id in range(COUNT - WINDOW + 1, COUNT + 1):
            flights.begin(row_id)
        for row_id in range(1, COUNT - WINDOW + 1):
            queue.again(row_id)
        assert await nothing(queue, room=False)
        for row_id in (COUNT, COUNT - 100, COUNT):
            queue.overdue(row_id)
            assert await taken(queue, room=False) == row_id
        assert await nothing(queue, room=False)
        assert len(queue._ready) < 2 * ROWS, "no more of them is fetched than is sent"

    told(tmp_path, story)


def test_what_is_asked_for_again_and_again_goes_once(tmp_path: Path) -> None:
    async def story(queue: Waiting, flights: Flights) -> None:
        for row_id in range(1, COUNT + 1):
            flights.begin(row_id)
        for _ in range(3):
            for row_id in range(1, 101):
                flights.forget(row_id)
                queue.again(row_id)
        for row_id in range(1, 101):
            assert await taken(queue, room=True) == row_id
            flights.begin(row_id)
        assert await nothing(queue, room=True)

    told(tmp_path, story)


def test_what_was_acknowledged_meanwhile_is_not_sent_again(tmp_path: Path) -> None:
    async def story(queue: Waiting, flights: Flights) -> None:
        for row_id in (COUNT - 1, COUNT):
            flights.begin(row_id)
            queue.overdue(row_id)
        assert await taken(queue, room=False) == COUNT - 1
        flights.acked(COUNT)
        assert await nothing(queue, room=False)

    told(tmp_path, story)


def test_what_could_not_be_read_stays_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "RETRY_S", 0.01)
    read, fails = outbox.by_ids, [True, True]

    def fails_twice(connection: sqlite3.Connection, ids: list[int]) -> list[outbox.Row]:
        if fails:
            fails.pop()
            raise sqlite3.OperationalError("disk I/O error")
        return read(connection, ids)

    monkeypatch.setattr(outbox, "by_ids", fails_twice)

    async def story(queue: Waiting, flights: Flights) -> None:
        flights.begin(COUNT)
        queue.overdue(COUNT)
        assert await taken(queue, room=False) == COUNT
        assert not fails

    told(tmp_path, story)
