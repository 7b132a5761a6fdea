"""Which of the relay's jobs are taken when: live ones as they come, before the backlog.

Live jobs are told by the relay's events; the backlog is listed anew whenever the relay was away. How a job is taken
stands in agent/taking.py, what a listing shows in agent/backlog.py.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any

from agent import journals
from agent.backlog import Backlog, Known
from agent.child import NoReader, Reader
from agent.door import Door, Refused, RelayGone
from agent.replacing import Replacing
from agent.store import DiskBad, Store
from agent.taking import Due, Key, Taking, key_of
from config.box import Capture

log = logging.getLogger("tillwire.agent")

TELL_S = 1.0  # after a job was told of, at most, agent.db knows how far the journal goes
RELIST_SOON_S, RELIST_S = 2.0, 600.0  # after a job could not be had; and just to be sure
FAILED_S = 5.0  # after a listing failed
FLOOD, FLOOD_S = 10, 1.0  # jobs that wait: more are not read here, where the cloud can do it; nor for so long after


class Reading:
    """Takes every un-acknowledged job of the relay into the outbox."""

    def __init__(self, capture: Capture, door: Door, store: Store, reader: Reader, due: Due) -> None:
        self.door, self.store, self.reader = door, store, reader
        self.backlog_done = asyncio.Event()
        self._known = Known()
        self._replacing = Replacing(door)
        self.taking = Taking(capture, store, reader, self._replacing, due)
        self.taking.again = lambda key: self.want([key])
        self._backlog = Backlog(door, store, self.taking, self._known, self._floods)
        self._live: deque[Key] = deque()
        self._wanted: deque[Key] = deque()
        self._listing = False
        self._lists: asyncio.Task[None] | None = None
        self._once_more = False  # a listing is due when the one that runs has ended
        self._wake = asyncio.Event()
        self._seen: dict[str, int] = {}  # the highest seq that was told of
        self._telling = False
        self._slots = asyncio.Semaphore(2)
        self._tasks: set[asyncio.Task[None]] = set()
        self._flood_until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._missed: set[Key] = set()  # told by the relay, and not to be had from it
        door.on_open.append(self._relay_is_back)
        door.listen("captured", self._captured)
        door.listen("salvaged", self._salvaged)

    @property
    def counters(self) -> dict[str, int]:
        return self.taking.counters

    def want(self, keys: list[Key]) -> None:
        """Take these jobs again (the cloud asks for them, or the relay refused for now). Live ones go before."""
        self._wanted.extend(keys)
        self._wake.set()

    def _captured(self, event: dict[str, Any]) -> None:
        epoch, seq = event["key"]
        self._live.append((str(epoch), int(seq)))
        self._seen[str(epoch)] = max(int(seq), self._seen.get(str(epoch), 0))
        if epoch == self._known.epoch:
            self._known.settled = max(int(seq), self._known.settled)
        self._wake.set()
        self._tell_soon()

    def _tell_soon(self) -> None:
        if not self._telling:
            self._telling = True
            asyncio.get_running_loop().call_later(TELL_S, self._tell)

    def _tell(self) -> None:
        """Remember how far the relay's journal goes, in case that it is lost before its jobs are taken."""
        self._telling = False
        epoch, last = self._known.epoch, self._seen.get(self._known.epoch, 0)
        task = asyncio.create_task(self.store.run(lambda c: journals.told(c, epoch, last)), name="reading-told")
        task.add_done_callback(lambda t: t.cancelled() or t.exception())  # a bad disk is told of elsewhere

    def _relay_is_back(self, hello: dict[str, Any]) -> None:
        self._known.salvaging = bool(hello.get("salvaging"))
        ends = hello.get("ends") or {}
        self._known.there = {str(epoch): ends.get(epoch) for epoch in hello.get("epochs") or ()}
        self._known.epoch = str(hello.get("epoch") or "")
        if self._known.epoch:
            self._known.there[self._known.epoch] = None
            self._seen = {self._known.epoch: int(hello.get("last_seq") or 0)}
            self._known.settled = int(hello.get("settled") or 0)
            self._tell_soon()
        self.relist()

    def _salvaged(self, _event: dict[str, Any]) -> None:
        """What could be read of a damaged journal stands in the new one now."""

        async def ask() -> None:
            self._relay_is_back(await self.door.ask("hello"))

        task = asyncio.create_task(ask(), name="reading-salvaged")
        task.add_done_callback(lambda t: t.cancelled() or t.exception())  # a relay that is gone comes back with a hello

    def relist(self) -> None:
        """List everything anew: keys have changed, a job has become a tombstone, or nobody knows."""
        self._listing = True
        self.backlog_done.clear()
        self._wake.set()

    def missing(self, key: Key) -> None:
        """The uplink could not get a job's bytes: the next listing tells what became of it."""
        self._miss({key})

    def _miss(self, keys: set[Key]) -> None:
        if not self._missed and keys:
            self._relist_in(RELIST_SOON_S)
        self._missed |= keys

    def _relist_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._relist_in_turn)

    def _relist_in_turn(self) -> None:
        """Nothing that was listed has become untrue: one that runs, which may take minutes, comes to its end first."""
        if self._lists is None or self._lists.done():
            self.relist()
        else:
            self._once_more = True

    async def run(self) -> None:
        """Live jobs as they come; beside them the backlog."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                if self._listing:
                    self._listing = False
                    self._missed.clear()
                    if self._lists is not None:
                        self._lists.cancel()
                    self._once_more = False
                    self._lists = asyncio.create_task(self._list(), name="reading-backlog")
                    self._lists.add_done_callback(self._listed)
                await self._take_live()
        finally:
            for task in (self._lists, *self._tasks):
                if task is not None:
                    task.cancel()
            self._replacing.stop()

    def _listed(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("listing the relay's jobs failed: %r; tried again", error)
            self._relist_in(FAILED_S)
        elif self._once_more:
            self.relist()

    async def _take_live(self) -> None:
        """Two batches under way: while one waits for the disk, the child reads the other."""
        while self._live or self._wanted:
            await self._slots.acquire()
            if source := self._live or self._wanted:
                flood = self._floods(len(source))
                keys = [source.popleft() for _ in range(min(self.taking.batch, len(source)))]
                task = asyncio.create_task(self._take_keys(keys, source, flood), name="reading-live")
                self._tasks.add(task)
                task.add_done_callback(self._taken)
            else:
                self._slots.release()

    def _floods(self, waiting: int) -> bool:
        """Too many wait to be read here. So it stays for a moment: between two batches of a flood few are waiting."""
        now = asyncio.get_running_loop().time()
        if waiting > FLOOD:
            self._flood_until = now + FLOOD_S
        return now < self._flood_until

    def _taken(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._slots.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("taking jobs failed: %r; they are listed again", error)
            self._relist_in(FAILED_S)

    async def _take_keys(self, keys: list[Key], source: deque[Key], flood: bool) -> None:
        try:
            jobs, _ = await self.door.jobs(keys=[list(key) for key in keys])
            await self.taking.take(jobs, live=True, flood=flood)
            if source is self._live:
                self._miss(set(keys) - {key_of(header) for header, _ in jobs if "key" in header})
        except RelayGone as error:
            log.info("jobs=%d wait for the relay: %s", len(keys), error)  # all of them are listed when it is back
        except Refused as error:
            log.error("jobs=%d are listed again: %s", len(keys), error)  # not asked for again: one key may be to blame
            self._relist_in(FAILED_S)
        except (DiskBad, NoReader) as error:
            log.error("jobs=%d stay with the relay: %s", len(keys), error)
            await asyncio.sleep(1.0)
            source.extendleft(reversed(keys))
            self._wake.set()

    async def _list(self) -> None:
        try:
            count = await self._backlog.take()
        except RelayGone as error:
            log.info("backlog listing ended early: %s", error)  # it is listed again when the relay is back
            return
        except (Refused, DiskBad, NoReader) as error:
            log.error("backlog stays with the relay: %s", error)
            self._relist_in(FAILED_S)
            return
        self.backlog_done.set()
        log.debug("the relay holds %d un-acknowledged jobs", count)
        self._relist_in(RELIST_S)
