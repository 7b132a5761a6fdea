"""Job -> masked -> read -> outbox. The order is a promise (P8): only masked bytes leave the relay's journal.

For each job: pull it, mask it, `replace` it at the relay, and only then put the reading and the masked form's hash into
the outbox. Reading runs in a child process with a time limit; a job that crashes it or hangs it three times is sent
without a reading; one that cannot even be masked is sent as its hash and size only, and its bytes stay on the box.

Live jobs (told by the relay's events) go before the backlog, which is listed anew whenever the relay was away. In a
flood the receipts go out masked but unread, many in one commit, and the cloud reads them (decision 0009).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from agent import journals, outbox, profiles
from agent.child import NoReader, Read, Reader, Unreadable
from agent.door import Door, Refused, RelayGone
from agent.outbox import Row
from agent.store import DiskBad, Store
from config.box import Capture
from wire import messages
from wire.messages import Boundary, Captured, Clock, Tombstone, Trust

log = logging.getLogger("tillwire.agent")

REFUSED_S = 5.0
TELL_S = 1.0  # after a job was told of, at most, agent.db knows how far the journal goes
RELIST_SOON_S, RELIST_S = 2.0, 600.0  # after a job could not be had; and just to be sure
BATCH, BATCH_MOST = 8, 60  # jobs pulled at once: to begin with, and at most (a request's line holds 4 KiB)
BATCH_BYTES = 256 * 1024  # and about so many bytes, going by the size of the last ones
REPLACE_MOST, REPLACE_BYTES = 30, 1 << 20  # jobs in one `replace`
FLOOD, FLOOD_S = (
    10,
    1.0,
)  # jobs that wait: more of them are not read here, where the cloud can do it; nor for so long after
Key = tuple[str, int]
Listed = tuple[dict[str, Any], bytes]  # a job's header, and its bytes
Due = Callable[[Row, bool, bytes | None], None]


class Reading:
    """Takes every un-acknowledged job of the relay into the outbox."""

    def __init__(self, capture: Capture, door: Door, store: Store, reader: Reader, due: Due) -> None:
        self.capture, self.door, self.store, self.reader = capture, door, store, reader
        self.counters = {"read": 0, "unread": 0, "withheld": 0}
        self.backlog_done = asyncio.Event()
        self.profile_of: Callable[[str], bytes] = lambda printer: b""  # what is known of a printer, by its name
        self._due = due  # told of each new row, whether it is live, and its bytes where they may be sent
        self._batch = BATCH
        self._live: deque[Key] = deque()
        self._wanted: deque[Key] = deque()
        self._listing = False
        self._wake = asyncio.Event()
        self._taking: set[Key] = set()
        self._there: dict[str, int | None] = {}  # epochs that the relay's journal has; the last seq of those over
        self._salvaging = False  # rows of a damaged journal are still coming
        self._epoch = ""  # the present one
        self._seen: dict[str, int] = {}  # the highest seq that was told of
        self._settled = 0  # up to this seq of the present epoch a listing shows all
        self._telling = False
        self._slots = asyncio.Semaphore(2)
        self._tasks: set[asyncio.Task[None]] = set()
        self._forms: deque[tuple[Key, str, bytes, asyncio.Future[None]]] = deque()  # for the relay, with who waits
        self._replacing: asyncio.Task[None] | None = None
        self._flood_until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._missed: set[Key] = set()  # told by the relay, and not to be had from it
        door.on_open.append(self._relay_is_back)
        door.listen("captured", self._captured)
        door.listen("salvaged", self._salvaged)

    def want(self, keys: list[Key]) -> None:
        """Take these jobs again (the cloud asks for them, or the relay refused for now). Live ones go before."""
        self._wanted.extend(keys)
        self._wake.set()

    def _captured(self, event: dict[str, Any]) -> None:
        epoch, seq = event["key"]
        self._live.append((str(epoch), int(seq)))
        self._seen[str(epoch)] = max(int(seq), self._seen.get(str(epoch), 0))
        if epoch == self._epoch:
            self._settled = max(int(seq), self._settled)
        self._wake.set()
        self._tell_soon()

    def _tell_soon(self) -> None:
        if not self._telling:
            self._telling = True
            asyncio.get_running_loop().call_later(TELL_S, self._tell)

    def _tell(self) -> None:
        """Remember how far the relay's journal goes, in case that it is lost before its jobs are taken."""
        self._telling = False
        epoch, last = self._epoch, self._seen.get(self._epoch, 0)
        task = asyncio.create_task(self.store.run(lambda c: journals.told(c, epoch, last)), name="reading-told")
        task.add_done_callback(lambda t: t.cancelled() or t.exception())  # a bad disk is told of elsewhere

    def _relay_is_back(self, hello: dict[str, Any]) -> None:
        self._salvaging = bool(hello.get("salvaging"))
        ends = hello.get("ends") or {}
        self._there = {str(epoch): ends.get(epoch) for epoch in hello.get("epochs") or ()}
        self._epoch = str(hello.get("epoch") or "")
        if self._epoch:
            self._there[self._epoch] = None
            self._seen = {self._epoch: int(hello.get("last_seq") or 0)}
            self._settled = int(hello.get("settled") or 0)
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
        self._timer = asyncio.get_running_loop().call_later(seconds, self.relist)

    async def run(self) -> None:
        """Live jobs as they come; beside them the backlog."""
        backlog: asyncio.Task[None] | None = None
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                if self._listing:
                    self._listing = False
                    self._missed.clear()
                    if backlog is not None:
                        backlog.cancel()
                    backlog = asyncio.create_task(self._list(), name="reading-backlog")
                    backlog.add_done_callback(self._listed)
                await self._take_live()
        finally:
            for task in (backlog, self._replacing, *self._tasks):
                if task is not None:
                    task.cancel()

    def _listed(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("listing the relay's jobs failed: %r; tried again", error)
            self._relist_in(5.0)

    async def _take_live(self) -> None:
        """Two batches under way: while one waits for the disk, the child reads the other."""
        while self._live or self._wanted:
            await self._slots.acquire()
            if source := self._live or self._wanted:
                flood = self._floods(len(source))
                keys = [source.popleft() for _ in range(min(self._batch, len(source)))]
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
            self._relist_in(5.0)

    async def _take_keys(self, keys: list[Key], source: deque[Key], flood: bool) -> None:
        try:
            jobs, _ = await self.door.jobs(keys=[list(key) for key in keys])
            await self._take_all(jobs, live=True, flood=flood)
            if source is self._live:
                self._miss(set(keys) - {_key(header) for header, _ in jobs if "key" in header})
        except (RelayGone, Refused) as error:
            log.info("jobs=%d wait for the relay: %s", len(keys), error)  # all of them are listed when it is back
        except (DiskBad, NoReader) as error:
            log.error("jobs=%d stay with the relay: %s", len(keys), error)
            await asyncio.sleep(1.0)
            source.extendleft(reversed(keys))
            self._wake.set()

    async def _list(self) -> None:
        """Everything that the relay holds un-acknowledged, oldest first. The relay's list is the truth: a row that was
        made under another key (new epoch, salvaged journal) goes when the listing shows the job under its new one."""
        after: list[Any] | None = None
        listed: set[Key] = set()
        were: set[Key] = set()
        busy: set[Key] = set()  # being taken as live ones: not taken yet, and perhaps never
        epoch, there, last = self._epoch, self._there, self._settled
        try:
            newest = await self.store.run(outbox.newest)
            while True:
                jobs, more = await self.door.jobs(after=after, limit=self._batch)
                busy |= {_key(header) for header, _ in jobs if "key" in header} & self._taking
                await self._take_all(jobs, live=False, flood=self._floods(len(listed) if more else 0))
                listed |= {_key(header) for header, _ in jobs if "key" in header}
                were |= {(str(h["was"][0]), int(h["was"][1])) for h, _ in jobs if h.get("was")}
                if jobs:
                    after = _place(jobs[-1][0])
                if not more or not jobs:
                    break
            await self._compare(newest, listed, were)
            if epoch:
                last = min([last, *(seq - 1 for of, seq in busy if of == epoch)])
                await self.store.run(lambda c: journals.listed(c, epoch, last))
                if not self._salvaging:
                    await self._bury_lost(there)
        except (RelayGone, Refused) as error:
            log.info("backlog listing ended early after %d jobs: %s", len(listed), error)
            return
        except (DiskBad, NoReader) as error:
            log.error("backlog stays with the relay: %s", error)
            self._relist_in(5.0)
            return
        self.backlog_done.set()
        log.debug("the relay holds %d un-acknowledged jobs", len(listed))
        self._relist_in(RELIST_S)

    async def _compare(self, newest: int, listed: set[Key], were: set[Key]) -> None:
        """Rows of the outbox that the relay did not list. Those under an old key go: the job has another row. Those
        whose bytes it still has (acknowledged ones that the cloud wants again) stay. Of the others only the reading is
        left, and is sent without them: those that the cloud had acknowledged before (it says `duplicate`), and those
        that were lost with a journal. While rows of a damaged journal still come home nothing is concluded."""
        rows = await self.store.run(lambda c: outbox.jobs_up_to(c, newest))
        moved = [row_id for row_id, key in rows if key in were]
        await self.store.run(lambda c: outbox.delete(c, moved))
        if self._salvaging:
            return
        doubtful = [(row_id, key) for row_id, key in rows if key not in listed and key not in were]
        for start in range(0, len(doubtful), 40):
            group = doubtful[start : start + 40]
            jobs, _ = await self.door.jobs(keys=[list(key) for _, key in group])
            there = {_key(header) for header, _ in jobs if "key" in header}
            lost = [row_id for row_id, key in group if key not in there]
            if lost:
                log.warning("jobs=%d let go of by the relay, or lost with its journal: told without bytes", len(lost))
                await self.store.run(lambda c, ids=lost: outbox.withhold(c, ids))  # type: ignore[misc]

    async def _bury_lost(self, there: Mapping[str, int | None]) -> None:
        """Jobs of a journal that the relay lost, and that had not come here yet: nobody has them any more."""
        for epoch, first, last in await self.store.run(lambda c: journals.lost(c, there)):
            log.error("journal epoch=%s is lost at the relay, and with it jobs %d-%d", epoch, first, last)
            await self._bury({"epoch": epoch, "first": first, "last": last, "reason": "corrupt"})

    async def _take_all(self, jobs: list[Listed], live: bool, flood: bool) -> None:
        """These jobs and tombstones into the outbox, unless they are there. Raises the first trouble.

        A few are masked and read side by side: while one is read, the others wait for the relay or the disk. In a
        flood they go together, and each step is one for all.
        """
        size = sum(len(raw) for _, raw in jobs)
        if jobs:
            self._batch = max(BATCH, min(BATCH_MOST, BATCH_BYTES * len(jobs) // (size + 1)))
        if flood and self.capture.send == "raw" and self.capture.send_raster:
            plain = [job for job in jobs if "key" in job[0] and not job[0].get("replaced")]
            try:
                await self._take_unread(plain, live)
            except (Unreadable, Refused) as error:
                log.warning("jobs=%d taken one by one: %s", len(plain), error)
            else:
                jobs = [job for job in jobs if "key" not in job[0] or job[0].get("replaced")]
        done = await asyncio.gather(*(self._take(*job, live) for job in jobs), return_exceptions=True)
        for trouble in done:
            if trouble is not None:
                raise trouble

    async def _take_unread(self, jobs: list[Listed], live: bool) -> None:
        """Many jobs that were not replaced yet, masked and not read. Raises Unreadable or Refused: one by one, then."""
        fresh = [job for job in jobs if _key(job[0]) not in self._taking]
        taking = {_key(header) for header, _ in fresh}
        self._taking |= taking
        try:
            forms = await self.reader.mask_all([raw for _, raw in fresh])
            frozen = await asyncio.gather(
                *(self._replace(_key(h), h["sha256"], form) for (h, _), form in zip(fresh, forms, strict=True)),
                return_exceptions=True,
            )
            made = []
            for (header, _), sha256 in zip(fresh, frozen, strict=True):
                if isinstance(sha256, BaseException):
                    raise sha256
                made.append(_captured(_key(header), header, sha256, b""))
            rows = await self.store.run(lambda c: [outbox.put_job(c, job, False) for job in made])
        finally:
            self._taking -= taking
        for row, form in zip(rows, forms, strict=True):
            if row is not None:
                self.counters["unread"] += 1
                self._due(row, live, form)

    async def _take(self, header: dict[str, Any], raw: bytes, live: bool) -> None:
        """One listed job or tombstone into the outbox, unless it is there."""
        if "tomb" in header:
            await self._bury(header["tomb"])
            return
        key = _key(header)
        if key in self._taking:
            return
        self._taking.add(key)
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
            asyncio.get_running_loop().call_later(REFUSED_S, self.want, [key])
        finally:
            self._taking.discard(key)

    async def _bury(self, tomb: dict[str, Any]) -> None:
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
            replacing.append(asyncio.create_task(self._replace(key, header["sha256"], form), name="replace"))

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
                sha256 = await self._replace(key, header["sha256"], raw)
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

    async def _replace(self, key: Key, sha256_raw: str, form: bytes) -> str:
        """The relay's journal holds the masked form from here on. -> its hash, frozen at the first replace.

        What comes while a request is under way goes together in the next one: one commit for all of them.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._forms.append((key, sha256_raw, form, done))
        if self._replacing is None or self._replacing.done():
            self._replacing = asyncio.create_task(self._replace_all(), name="reading-replace")
        await done
        return hashlib.sha256(form).hexdigest()

    async def _replace_all(self) -> None:
        while self._forms:
            group, size = [self._forms.popleft()], 0
            while self._forms and len(group) < REPLACE_MOST and size + len(self._forms[0][2]) < REPLACE_BYTES:
                group.append(self._forms.popleft())
                size += len(group[-1][2])
            jobs = [[*key, sha256_raw, len(form)] for key, sha256_raw, form, _ in group]
            refused: dict[Key, str] = {}
            trouble: Exception | None = None
            try:
                answer = await self.door.ask("replace", b"".join(form for _, _, form, _ in group), jobs=jobs)
                refused = {_key(one): str(one["problem"]) for one in answer["refused"]}
            except (RelayGone, Refused) as error:
                trouble = error
            for key, _, _, done in group:
                problem = trouble or (Refused(refused[key], "") if key in refused else None)
                if done.done():
                    continue
                if problem is None:
                    done.set_result(None)
                else:
                    done.set_exception(problem)


def _place(header: dict[str, Any]) -> list[Any]:
    """Where the listing goes on."""
    tomb = header.get("tomb")
    return [tomb["epoch"], tomb["first"]] if tomb else list(header["key"])


def _key(header: dict[str, Any]) -> Key:
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
