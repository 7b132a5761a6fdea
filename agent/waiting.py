"""What waits in agent.db to be sent: fetched a little ahead of the sender, with the bytes that the relay keeps.

The sender only takes what is ready: while rows are fetched, on a busy board for a second or longer, live receipts pass.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from agent import outbox
from agent.door import Door, Refused, RelayGone
from agent.flights import Flights
from agent.outbox import Row
from agent.store import DiskBad, Store
from wire import messages

log = logging.getLogger("tillwire.agent")

ROWS, BYTES = 40, 512 * 1024  # fetched in one go
RETRY_S = 2.0  # when agent.db cannot be read
Key = tuple[str, int]
Ready = tuple[Row, bytes | None, bool]  # a row, a job's bytes where they may be sent, and whether it was sent before


class Waiting:
    """The outbox from its oldest row on; and before that, what is to be sent once more."""

    def __init__(
        self, store: Store, door: Door, flights: Flights, live: Callable[[], set[int]], wake: Callable[[], None]
    ) -> None:
        """`live`: the ids of rows that wait as live ones. `wake` is called when something has become ready."""
        self.store, self.door = store, door
        self._flights, self._live, self._wake = flights, live, wake
        self._ready: deque[Ready] = deque()
        self._again: deque[int] = deque()
        self._at = 0  # row id up to which the outbox was fetched
        self._end = True
        self._connection = 0
        self._task: asyncio.Task[None] | None = None

    def clear(self, connected: bool) -> None:
        """Another connection: everything is due again."""
        self._ready.clear()
        self._again.clear()
        self._at, self._end = 0, not connected
        self._connection += 1

    def more(self) -> None:
        """There is a new row in the outbox: behind all others, rows are only added there."""
        self._end = False

    def once_more(self, row_id: int, first: bool = False) -> None:
        self._again.appendleft(row_id) if first else self._again.append(row_id)
        self._wake()

    def next(self) -> Ready | None:
        """What is to be sent next, as far as it is ready; take() takes it."""
        if self._task is None and (self._again or (not self._end and len(self._ready) < ROWS // 2)):
            self._task = asyncio.create_task(self._fetch(), name="uplink-fetch")
            self._task.add_done_callback(self._fetched)
        return self._ready[0] if self._ready else None

    def take(self) -> None:
        self._ready.popleft()

    async def pull(self, keys: list[Key]) -> dict[Key, bytes]:
        """Masked bytes from the relay's journal; what it does not have (any more) is missing from the answer."""
        if not keys:
            return {}
        try:
            jobs, _ = await self.door.jobs(keys=[list(key) for key in keys])
        except (RelayGone, Refused) as error:
            log.info("jobs=%d wait for the relay: %s", len(keys), error)
            return {}
        return {
            (str(header["key"][0]), int(header["key"][1])): raw
            for header, raw in jobs
            if "key" in header and header.get("replaced")
        }

    async def _fetch(self) -> None:
        connection = self._connection
        again = [self._again.popleft() for _ in range(min(ROWS, len(self._again)))]
        try:
            rows = await (self._sent_before(again) if again else self._behind(connection))
        except DiskBad as error:
            log.error("uplink waits: %s", error)
            if connection == self._connection:
                self._again.extendleft(reversed(again))
                self._end = False
            await asyncio.sleep(RETRY_S)
            return
        raws = await self.pull([(r.epoch, r.seq) for r in rows if has_bytes(r)])
        if connection != self._connection:
            return
        ready = [(row, raws.get((row.epoch, row.seq)), bool(again)) for row in rows]
        if again:
            self._ready.extendleft(reversed(ready))
        else:
            self._ready.extend(ready)

    async def _sent_before(self, ids: list[int]) -> list[Row]:
        rows = await self.store.run(lambda c: outbox.by_ids(c, ids))
        for row_id in set(ids) - {row.id for row in rows}:  # gone meanwhile: acknowledged, or under another key
            self._flights.forget(row_id)
        return rows

    async def _behind(self, connection: int) -> list[Row]:
        """The next rows of the outbox."""
        at, self._end = self._at, True  # more() may be called meanwhile
        rows = await self.store.run(lambda c: outbox.after(c, at, ROWS))
        if connection != self._connection:
            return []
        if rows:
            self._end = False
        chosen: list[Row] = []
        size = 0
        for row in rows:
            size += row.size if has_bytes(row) else 0
            if chosen and size > BYTES:
                break
            chosen.append(row)
            self._at = row.id
        live = self._live()
        return [row for row in chosen if row.id not in self._flights and row.id not in live]

    def _fetched(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if task.cancelled():
            return
        if (error := task.exception()) is None:
            self._wake()
            return
        log.error("what waits could not be fetched: %r; from the beginning in %g s", error, RETRY_S)
        self._at, self._end = 0, False
        asyncio.get_running_loop().call_later(RETRY_S, self._wake)


def has_bytes(row: Row) -> bool:
    """Does the row travel with bytes, all in one message?"""
    return row.kind == "job" and not row.withheld and row.size <= messages.MAX_PART
