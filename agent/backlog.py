"""The relay's list of what is not acknowledged: all of it into the outbox, and the outbox compared with it.

The list is the truth. What nobody has any more is buried; while rows of a damaged journal still come home nothing is
concluded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent import journals, outbox
from agent.door import Door
from agent.store import Store
from agent.taking import Key, Taking, key_of

log = logging.getLogger("tillwire.agent")


@dataclass
class Known:
    """What the relay has told of its journals."""

    epoch: str = ""  # the present one
    there: dict[str, int | None] = field(default_factory=dict)  # epochs that it has; the last seq of those over
    settled: int = 0  # up to this seq of the present epoch a listing shows all
    salvaging: bool = False  # rows of a damaged journal are still coming


class Backlog:
    def __init__(self, door: Door, store: Store, taking: Taking, known: Known, floods: Callable[[int], bool]) -> None:
        """`floods`: are so many that wait too many to be read here?"""
        self.door, self.store, self.taking, self.known = door, store, taking, known
        self._floods = floods

    async def take(self) -> int:
        """Everything that the relay holds un-acknowledged, oldest first -> how many there were.

        A row that was made under another key (new epoch, salvaged journal) goes when its job is listed under the new.

        Raises RelayGone, Refused, DiskBad, NoReader: to be done again.
        """
        after: list[Any] | None = None
        listed: set[Key] = set()
        were: set[Key] = set()
        busy: set[Key] = set()  # being taken as live ones: not taken yet, and perhaps never
        epoch, there, last = self.known.epoch, self.known.there, self.known.settled
        newest = await self.store.run(outbox.newest)
        while True:
            jobs, more = await self.door.jobs(after=after, limit=self.taking.batch)
            busy |= {key_of(header) for header, _ in jobs if "key" in header} & self.taking.under_way
            await self.taking.take(jobs, live=False, flood=self._floods(len(listed) if more else 0))
            listed |= {key_of(header) for header, _ in jobs if "key" in header}
            were |= {(str(h["was"][0]), int(h["was"][1])) for h, _ in jobs if h.get("was")}
            if jobs:
                after = _place(jobs[-1][0])
            if not more or not jobs:
                break
        await self._compare(newest, listed, were)
        if epoch:
            last = min([last, *(seq - 1 for of, seq in busy if of == epoch)])
            await self.store.run(lambda c: journals.listed(c, epoch, last))
            if not self.known.salvaging:
                await self._bury_lost(there)
        return len(listed)

    async def _compare(self, newest: int, listed: set[Key], were: set[Key]) -> None:
        """Rows of the outbox that the relay did not list. Those under an old key go: the job has another row. Those
        whose bytes it still has (acknowledged ones that the cloud wants again) stay. Of the others only the reading is
        left, and is sent without them: those that the cloud had acknowledged before (it says `duplicate`), and those
        that were lost with a journal. While rows of a damaged journal still come home nothing is concluded."""
        rows = await self.store.run(lambda c: outbox.jobs_up_to(c, newest))
        moved = [row_id for row_id, key in rows if key in were]
        await self.store.run(lambda c: outbox.delete(c, moved))
        if self.known.salvaging:
            return
        doubtful = [(row_id, key) for row_id, key in rows if key not in listed and key not in were]
        for start in range(0, len(doubtful), 40):
            group = doubtful[start : start + 40]
            jobs, _ = await self.door.jobs(keys=[list(key) for _, key in group])
            there = {key_of(header) for header, _ in jobs if "key" in header}
            lost = [row_id for row_id, key in group if key not in there]
            if lost:
                log.warning("jobs=%d let go of by the relay, or lost with its journal: told without bytes", len(lost))
                await self.store.run(lambda c, ids=lost: outbox.withhold(c, ids))  # type: ignore[misc]

    async def _bury_lost(self, there: Mapping[str, int | None]) -> None:
        """Jobs of a journal that the relay lost, and that had not come here yet: nobody has them any more."""
        for epoch, first, last in await self.store.run(lambda c: journals.lost(c, there)):
            log.error("journal epoch=%s is lost at the relay, and with it jobs %d-%d", epoch, first, last)
            await self.taking.bury({"epoch": epoch, "first": first, "last": last, "reason": "corrupt"})


def _place(header: dict[str, Any]) -> list[Any]:
    """Where the listing goes on."""
    tomb = header.get("tomb")
    return [tomb["epoch"], tomb["first"]] if tomb else list(header["key"])
