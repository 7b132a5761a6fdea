"""Jobs of the relay into the outbox. The order is a promise (P8): only masked bytes leave the relay's journal.

For each job: mask it, `replace` it at the relay, and only then put the reading and the masked form's hash into the
outbox. Reading runs in a child process with a time limit; a job that crashes it or hangs it three times is sent
without a reading; one that cannot even be masked is sent as its hash and size only, and its bytes stay on the box.
In a flood jobs are masked but not read, many in one commit, and the cloud reads them (decision 0009).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from agent import outbox, profiles
from agent.child import Read, Reader, Unreadable
from agent.door import Refused
from agent.outbox import Row
from agent.replacing import Replacing
from agent.store import Store
from config.box import Capture
from wire import messages
from wire.messages import Boundary, Captured, Clock, Tombstone, Trust

log = logging.getLogger("tillwire.agent")

REFUSED_S = 5.0
BATCH, BATCH_MOST = 8, 60  # jobs pulled at once: to begin with, and at most (a request's line holds 4 KiB)
BATCH_BYTES = 256 * 1024  # and about so many bytes, going by the size of the last ones
Key = tuple[str, int]
Listed = tuple[dict[str, Any], bytes]  # a job's header, and its bytes
Due = Callable[[Row, bool, bytes | None], None]


class Taking:
    """`counters`: jobs that were read, or not; and those whose bytes stay on the box."""

    def __init__(self, capture: Capture, store: Store, reader: Reader, replacing: Replacing, due: Due) -> None:
        """`due` is told of each new row, whether it is live, and its bytes where they may be sent."""
        self.capture, self.store, self.reader, self.replacing = capture, store, reader, replacing
        self.counters = {"read": 0, "unread": 0, "withheld": 0}
        self.profile_of: Callable[[str], bytes] = lambda printer: b""  # what is known of a printer, by its name
        self.again: Callable[[Key], None]  # told of a job that the relay refused for now
        self.batch = BATCH  # so many jobs are to be pulled at once
        self.under_way: set[Key] = set()
        self._due = due

    async def take(self, jobs: list[Listed], live: bool, flood: bool) -> None:
        """These jobs and tombstones into the outbox, unless they are there. Raises the first trouble.

        A few are masked and read side by side: while one is read, the others wait for the relay or the disk. In a
        flood they go together, and each step is one for all.
        """
        size = sum(len(raw) for _, raw in jobs)
        if jobs:
            self.batch = max(BATCH, min(BATCH_MOST, BATCH_BYTES * len(jobs) // (size + 1)))
        if flood and self.capture.send == "raw" and self.capture.send_raster:
            plain = [job for job in jobs if "key" in job[0] and not job[0].get("replaced")]
            try:
                await self._take_unread(plain, live)
            except (Unreadable, Refused) as error:
                log.warning("jobs=%d taken one by one: %s", len(plain), error)
            else:
                jobs = [job for job in jobs if "key" not in job[0] or job[0].get("replaced")]
        done = await asyncio.gather(*(self._take_one(*job, live) for job in jobs), return_exceptions=True)
        for trouble in done:
            if trouble is not None:
                raise trouble

    async def _take_unread(self, jobs: list[Listed], live: bool) -> None:
        """Many jobs that were not replaced yet, masked and not read. Raises Unreadable or Refused: one by one, then."""
        fresh = [job for job in jobs if key_of(job[0]) not in self.under_way]
        taking = {key_of(header) for header, _ in fresh}
        self.under_way |= taking
        try:
            forms = await self.reader.mask_all([raw for _, raw in fresh])
            replaced = [
                self.replacing.replace(key_of(header), header["sha256"], form)
                for (header, _), form in zip(fresh, forms, strict=True)
            ]
            frozen = await asyncio.gather(*replaced, return_exceptions=True)
            made = []
            for (header, _), sha256 in zip(fresh, frozen, strict=True):
                if isinstance(sha256, BaseException):
                    raise sha256
                made.append(_captured(key_of(header), header, sha256, b""))
            rows = await self.store.run(lambda c: [outbox.put_job(c, job, False) for job in made])
        finally:
            self.under_way -= taking
        for row, form in zip(rows, forms, strict=True):
            if row is not None:
                self.counters["unread"] += 1
                self._due(row, live, form)

    async def _take_one(self, header: dict[str, Any], raw: bytes, live: bool) -> None:
        """One listed job or tombstone into the outbox, unless it is there."""
        if "tomb" in header:
            await self.bury(header["tomb"])
            return
        key = key_of(header)
        if key in self.under_way:
            return
        self.under_way.add(key)
        try:
            found = None
            if header.get("replaced"):  # else it cannot be in the outbox: `replace` comes before
                found = await self.store.run(lambda c: outbox.find_key(c, *key))
            if found is not None and found[2].hex() != header["sha256"]:
                stale = found[0]
                await self.store.run(lambda c: outbox.delete(c, [stale]))
                found = None
            if found is None:
                await self._read(key, header, raw, live)
        except Refused as error:
            log.error("job=%s/%d the relay refused: %s; tried again in %d s", *key, error, REFUSED_S)
            asyncio.get_running_loop().call_later(REFUSED_S, self.again, key)
        finally:
            self.under_way.discard(key)

    async def bury(self, tomb: dict[str, Any]) -> None:
        message = messages.new(
            Tombstone, epoch=tomb["epoch"], first=tomb["first"], last=tomb["last"], reason=str(tomb["reason"]).strip()
        )
        row = await self.store.run(lambda c: outbox.put_tomb(c, message))
        if row is not None:
            self._due(row, True, None)

    async def _read(self, key: Key, header: dict[str, Any], raw: bytes, live: bool) -> None:
        replaced = bool(header.get("replaced"))
        replacing: list[asyncio.Task[str]] = []

        def ready(form: bytes) -> None:
            replacing.append(asyncio.create_task(self.replacing.replace(key, header["sha256"], form), name="replace"))

        try:
            profile = self.profile_of(str(header.get("printer") or ""))
            if (day := _day(header.get("started"))) is not None:
                profile = profiles.on_day(profile, day)
            read = await self.reader.read(raw, replaced, ready, profile)
            if replaced:
                sha256 = str(header["sha256"])
            elif replacing:
                sha256 = await replacing[-1]
            else:  # it could not be masked: freeze it as it is; its bytes stay here
                sha256 = await self.replacing.replace(key, header["sha256"], raw)
        finally:
            for task in replacing:
                task.cancel()
        withheld = self._is_withheld(read)
        job = _captured(key, header, sha256, read.packed)
        row = await self.store.run(lambda c: outbox.put_job(c, job, withheld))
        if row is None:
            return
        self.counters["read" if read.packed else "unread"] += 1
        self.counters["withheld"] += withheld
        self._due(row, live, None if withheld else read.raw)

    def _is_withheld(self, read: Read) -> bool:
        """Whether the job's bytes stay on the box: by the settings, or because they could not be masked."""
        if read.raw is None or self.capture.send == "reading":
            return True
        may_be_picture = read.raster_only or not read.packed
        return may_be_picture and not self.capture.send_raster


def key_of(header: dict[str, Any]) -> Key:
    epoch, seq = header["key"]
    return str(epoch), int(seq)


def _captured(key: Key, header: dict[str, Any], sha256: str, packed: bytes) -> Captured:
    was = header.get("was")
    return messages.new(
        Captured,
        epoch=key[0],
        seq=key[1],
        sha256=bytes.fromhex(sha256),
        size=int(header["size"]),
        boundary=Boundary(header["boundary"]),
        pos=str(header.get("pos", "")),
        printer=str(header.get("printer", "")),
        started=_clock(header.get("started")),
        ended=_clock(header.get("ended")),
        continues=header.get("continues"),
        delivered=str(header.get("delivered") or "all"),
        was=(str(was[0]), int(was[1])) if was else None,
        reading=msgspec.Raw(packed) if packed else messages.NO_READING,
    )


def _day(started: dict[str, Any] | None) -> str | None:
    """The day on which a job was printed (UTC), where the clock was known to be right."""
    clock = _clock(started)
    if clock.trust not in (Trust.NTP, Trust.CLOUD) or not clock.wall_ms:
        return None
    return datetime.fromtimestamp(clock.wall_ms / 1000, UTC).date().isoformat()


def _clock(value: dict[str, Any] | None) -> Clock:
    value = value or {}
    trust = str(value.get("trust") or "none")
    known = trust in tuple(Trust)
    return Clock(
        boot=str(value.get("boot") or ""),
        mono_ms=int(value.get("mono_ms") or 0),
        wall_ms=int(value.get("wall_ms") or 0),
        trust=Trust(trust) if known else Trust.NONE,
    )
