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
Ready = tuple[Row, bytes | None]  # a row, and a job's bytes where they may be sent


class Waiting:
    """The outbox from its oldest row on; before that, what is due again.

    What is overdue keeps its place in the window and needs no room, so it never stands behind rows that do: while the
    cloud is away the window is full, and the record that asks for it is all that may go.
    """

    def __init__(
        self, store: Store, door: Door, flights: Flights, live: Callable[[], set[int]], wake: Callable[[], None]
    ) -> None:
        """`live`: the ids of rows that wait as live ones. `wake` is called when something has become ready."""
        self.store, self.door = store, door
        self._flights, self._live, self._wake = flights, live, wake
        self._overdue: dict[int, None] = {}  # row ids, in the order in which they became due
        self._again: dict[int, None] = {}
        self._overdue_ready: deque[Ready] = deque()
        self._ready: deque[Ready] = deque()
        self._at = 0  # row id up to which the outbox was fetched
        self._end = True
        self._connection = 0
        self._task: asyncio.Task[None] | None = None

    def clear(self, connected: bool) -> None:
        """Another connection: everything is due again."""
        self._overdue.clear()
        self._again.clear()
        self._overdue_ready.clear()
        self._ready.clear()
        self._at, self._end = 0, not connected
        self._connection += 1

    def more(self) -> None:
        """There is a new row in the outbox: behind all others, rows are only added there."""
        self._end = False

    def overdue(self, row_id: int) -> None:
        """It is on its way, and to be sent once more."""
        self._overdue[row_id] = None
        self._wake()

    def again(self, row_id: int) -> None:
        """It is not on its way (any more), and stands before what was fetched."""
        self._again[row_id] = None
        self._wake()

    def take(self, room: bool) -> Ready | None:
        """What is to be sent next, as far as it is ready. Without room in the window: only what has its place there."""
        if self._task is None and self._wants_more:
            self._task = asyncio.create_task(self._fetch(), name="uplink-fetch")
            self._task.add_done_callback(self._fetched)
        while self._overdue_ready:
            ready = self._overdue_ready.popleft()
            if ready[0].id in self._flights:
                return ready
        while room and self._ready:
            ready = self._ready.popleft()
            if ready[0].id not in self._flights:
                return ready
        return None

    @property
    def _wants_more(self) -> bool:
        return bool(self._overdue) or (len(self._ready) < ROWS // 2 and (bool(self._again) or not self._end))

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
        """Whatever is overdue first. What could not be read stays due."""
        connection = self._connection
        due = self._overdue or self._again
        ids, into = list(due)[:ROWS], self._overdue_ready if self._overdue else self._ready
        for row_id in ids:
            del due[row_id]
        try:
            rows = await (self._by_ids(ids) if ids else self._behind(connection))
            raws = await self.pull([(r.epoch, r.seq) for r in rows if has_bytes(r)])
        except Exception as error:
            if connection == self._connection:
                due.update(dict.fromkeys(ids))
                self._at, self._end = 0, False
            if not isinstance(error, DiskBad):
                raise
            log.error("uplink waits: %s", error)
            await asyncio.sleep(RETRY_S)
            return
        if connection == self._connection:
            into.extend((row, raws.get((row.epoch, row.seq))) for row in rows)

    async def _by_ids(self, ids: list[int]) -> list[Row]:
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
        if task.cancelled():
            self._task = None
        elif (error := task.exception()) is None:
            self._task = None
            self._wake()
        else:
            log.error("what waits could not be fetched: %r; once more in %g s", error, RETRY_S)
            asyncio.get_running_loop().call_later(RETRY_S, self._once_more)

    def _once_more(self) -> None:
        self._task = None
        self._wake()


def has_bytes(row: Row) -> bool:
    """Does the row travel with bytes, all in one message?"""
    return row.kind == "job" and not row.withheld and row.size <= messages.MAX_PART
