"""What is due goes up; what the cloud has acknowledged goes away. One sender, one window, each record its own clock.

A row is sent when the broker is connected, again when the cloud has not acknowledged it for some time
(agent/flights.py), and again after every reconnect. It leaves the outbox only by the cloud's acknowledgement (key and
hash, or id), and a job is released at the relay before its row goes: a crash in between only repeats an
acknowledgement.

Reports go before receipts. Live receipts and the backlog take turns; of the backlog only so much is on the way as the
line takes without a long queue, so that a live receipt finds a short one. A job above one message travels in parts, one
at a time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import Any

import msgspec

from agent import clock, outbox
from agent.door import Door, Refused, RelayGone
from agent.flights import Flights, Pace, Sent
from agent.mqtt import Denied, Incoming, Mqtt, Offline
from agent.outbox import Row
from agent.reading import Reading
from agent.store import DiskBad, Store, set_aside
from agent.waiting import Waiting
from wire import messages
from wire.messages import Acks, BadMessage, Captured, Part, Want

log = logging.getLogger("tillwire.agent")

AT_ONCE = 16  # messages that go into one write
PIECE = 32 * 1024  # bytes of a job in one part
LIVE_BYTES = 1 << 20  # of live jobs waiting in memory; more of them become backlog
FOR_LIVE = 64  # places in the window that the backlog leaves free
WANT_MOST = 5000  # keys that are taken from one message; the cloud asks again for the rest
SEQ_MOST, EPOCH_MOST = (1 << 40) - 1, 36  # no seq is larger, no epoch's name longer


class Uplink:
    def __init__(self, mqtt: Mqtt, store: Store, door: Door) -> None:
        self.mqtt, self.store, self.door = mqtt, store, door
        self.reading: Reading  # set by the daemon: the two know each other
        self.counters = {"sent": 0, "resent": 0, "acked": 0, "acks_ignored": 0, "denied": 0, "bad_messages": 0}
        self._wake = asyncio.Event()
        self._messages: deque[Row] = deque()
        self._live: deque[tuple[Row, bytes | None]] = deque()
        self._live_bytes = 0
        self._turn = 0
        self._pace = Pace()
        self._flights = Flights(self._overdue)
        self._waiting = Waiting(store, door, self._flights, lambda: {row.id for row, _ in self._live}, self._wake.set)
        self._large: asyncio.Task[None] | None = None
        self._larges: dict[int, None] = {}  # ids of rows, in their order
        self._pieces: dict[int, int] = {}  # of large jobs, by row id: those before this one were taken by a broker
        self._tasks: set[asyncio.Task[Any]] = set()
        self._acked: list[tuple[Acks, Incoming]] = []  # to be worked off, many at once where they come fast
        self._freeing = False
        self._released_later: list[tuple[int, str, int, str]] = []
        mqtt.on_state.append(self._state)
        mqtt.on_message["acks"] = self._acks
        door.on_open.append(lambda _hello: self._soon(self._release([]), "release"))

    # ---- what the others call

    def due(self, row: Row, live: bool, raw: bytes | None = None) -> None:
        """A new row stands in the outbox; a job's bytes come along where they are at hand."""
        size = len(row.body) + len(raw or b"")
        if not self.mqtt.connected:
            return  # the backlog starts at the first row after a reconnect
        if row.kind == "message":
            self._messages.append(row)
        elif live and (not self._live or self._live_bytes + size < LIVE_BYTES):
            self._live.append((row, raw))
            self._live_bytes += size
        else:
            self._waiting.more()
        self._wake.set()

    async def report(self, message: messages.Message, leaf: str = "reports") -> None:
        """Keep a message until the cloud has acknowledged it. Raises DiskBad."""
        row = await self.store.run(lambda c: outbox.put_message(c, leaf, message))
        self.due(row, True)

    @property
    def waits_for_acks(self) -> bool:
        """Something was handed to the broker, and the cloud has not acknowledged it."""
        return self.mqtt.connected and self._flights.waits

    @property
    def ack_ms(self) -> int | None:
        """From the broker's PUBACK to the cloud's acknowledgement, smoothed; None before the first."""
        return round(self._flights.ack_s * 1000) if self.counters["acked"] else None

    # ---- sending

    def _state(self, connected: bool) -> None:
        """Everything that is not acknowledged is due again with each new connection."""
        self._messages.clear()
        self._live.clear()
        self._flights.clear()
        self._pace.clear()
        self._waiting.clear(connected)
        self._live_bytes = 0
        if self._large is not None:
            self._large.cancel()
            self._large = None
        self._larges.clear()
        self._wake.set()

    async def run(self) -> None:
        self._wake.set()  # also when it is started again
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._burst()
            except Offline:
                continue

    async def _burst(self) -> None:
        """Everything that may be sent now; in between what was published is written, and acknowledgements are taken."""
        while self.mqtt.connected:
            for _ in range(AT_ONCE):
                if not self._one():
                    return
            await asyncio.sleep(0)

    def _one(self) -> bool:
        """Send the next thing that may be sent now. -> whether there was one."""
        if self._messages:
            row = self._messages.popleft()
            if row.id not in self._flights:
                self._publish(row, row.payload, backlog=False)
            return True
        self._turn += 1
        if self._turn % 4:
            return self._one_live() or self._one_waiting()
        return self._one_waiting() or self._one_live()

    def _one_live(self) -> bool:
        if not self._live or not self._flights.room:
            return False
        row, raw = self._live.popleft()
        self._live_bytes -= len(row.body) + len(raw or b"")
        if row.id not in self._flights:
            self._send(row, raw, backlog=False)
        return True

    def _one_waiting(self) -> bool:
        """Of the backlog, or what is sent once more: never so much that a live receipt would stand behind it for long,
        on the line or in the window."""
        if not self._pace.open or (ready := self._waiting.take(self._flights.room > FOR_LIVE)) is None:
            return False
        self._send(*ready, backlog=True)
        return True

    def _send(self, row: Row, raw: bytes | None, backlog: bool) -> None:
        if row.kind != "job":
            self._publish(row, row.payload, backlog)
            return
        if raw is None and not row.withheld:
            if row.size > messages.MAX_PART:
                self._send_large(row)
            else:
                self.reading.missing((row.epoch, row.seq))
                self._later(row.id)
            return
        if raw is not None and len(raw) > messages.MAX_PART:
            self._send_large(row)
            return
        try:
            job = _timed(row)
        except msgspec.MsgspecError as error:
            self._spoilt(row, error)
            return
        job.raw = raw
        payload = messages.encode(job)
        if len(payload) > messages.MAX_MESSAGE:
            self._send_large(row)
            return
        self._publish(row, payload, backlog)

    def _publish(self, row: Row, payload: bytes, backlog: bool) -> None:
        sent = self._fly(row.id)
        size = len(payload) if backlog else 0
        self._pace.sent(size)
        connection, since = self.mqtt.connects, time.monotonic()
        future = self.mqtt.publish(row.leaf, payload)

        def with_broker(done: asyncio.Future[None]) -> None:
            if connection != self.mqtt.connects:
                return
            self._pace.taken(size, since)
            self._with_broker(row.id, sent, done)

        future.add_done_callback(with_broker)

    def _fly(self, row_id: int) -> Sent:
        sent = self._flights.begin(row_id)
        self.counters["sent" if sent.tries == 1 else "resent"] += 1
        return sent

    def _with_broker(self, row_id: int, sent: Sent, done: asyncio.Future[None]) -> None:
        """The broker took it, or refused it."""
        error = done.exception()
        if isinstance(error, Offline):
            return  # the reconnect makes all of it due again
        if isinstance(error, Denied):
            self.counters["denied"] += 1
        self._flights.taken(row_id, sent)
        self._wake.set()

    def _overdue(self, row_id: int) -> None:
        self._waiting.overdue(row_id)

    def _later(self, row_id: int) -> None:
        """Its bytes could not be had from the relay now."""
        self._flights.forget(row_id)
        asyncio.get_running_loop().call_later(2.0, self._make_due, row_id, self.mqtt.connects)

    def _make_due(self, row_id: int, connection: int) -> None:
        if connection == self.mqtt.connects and row_id not in self._flights:
            self._waiting.again(row_id)

    def _spoilt(self, row: Row, error: Exception) -> None:
        """A row of the outbox that is no job: the relay has it still, and it is taken from there again."""
        log.error(
            "job=%s/%d does not stand in the outbox as it was written (%s): taken again", row.epoch, row.seq, error
        )
        self._flights.forget(row.id)

        async def again() -> None:
            await self.store.run(lambda c: outbox.delete(c, [row.id]))
            self.reading.want([(row.epoch, row.seq)])

        self._soon(again(), "spoilt")

    # ---- a job larger than one message

    def _send_large(self, row: Row) -> None:
        """One large job at a time; the others wait for their turn behind it, the small ones do not."""
        self._larges[row.id] = None
        if self._large is None or self._large.done():
            self._large = asyncio.create_task(self._send_larges(), name="uplink-parts")

    async def _send_larges(self) -> None:
        while self._larges:
            row_id = next(iter(self._larges))
            try:
                for row in await self.store.run(lambda c, ids=[row_id]: outbox.by_ids(c, ids)):  # type: ignore[misc]
                    await self._parts(row)
            except msgspec.MsgspecError as error:
                self._spoilt(row, error)
            except DiskBad as error:
                log.error("row=%d in parts waits: %s", row_id, error)
                self._later(row_id)
            del self._larges[row_id]

    async def _parts(self, row: Row) -> None:
        raw = b"" if row.withheld else (await self._waiting.pull([(row.epoch, row.seq)])).get((row.epoch, row.seq))
        if raw is None:
            self.reading.missing((row.epoch, row.seq))
            self._later(row.id)
            return
        pieces = [raw[at : at + PIECE] for at in range(0, len(raw), PIECE)] or [b""]
        job = _timed(row)
        job.parts, job.raw = len(pieces), None if row.withheld else pieces[0]
        first = messages.encode(job)
        if len(first) > messages.MAX_MESSAGE:  # the cloud reads it again from the bytes
            job.reading = Captured.reading
            first = messages.encode(job)
        sent = self._fly(row.id)
        # A large job may take longer than a bad line lasts. A broker took these pieces and the cloud keeps them; nobody
        # said what became of them, so the try after this one sends all of them again.
        taken = self._pieces.pop(row.id, 0)
        try:
            future = self.mqtt.publish(row.leaf, first)
            for number in range(max(1, taken), len(pieces)):
                await future
                self._pieces[row.id] = number
                part = messages.new(
                    Part,
                    epoch=job.epoch,
                    seq=job.seq,
                    sha256=job.sha256,
                    part=number,
                    parts=len(pieces),
                    raw=pieces[number],
                )
                future = self.mqtt.publish(row.leaf, messages.encode(part))
            await future
            self._pieces.pop(row.id, None)
        except (Offline, Denied) as error:
            log.info("job=%s/%d in parts: %s", job.epoch, job.seq, error)
        self._with_broker(row.id, sent, future)

    # ---- acknowledgements

    def _acks(self, incoming: Incoming) -> None:
        self._soon(self._take_acks(incoming), "acks")

    async def _take_acks(self, incoming: Incoming) -> None:
        try:
            acks: Acks = messages.decode("acks", incoming.payload, incoming.topic)
        except BadMessage as error:
            self.counters["bad_messages"] += 1
            log.warning("message set aside: %s", error)
            problem = error.problem
            await self.store.run(lambda c: set_aside(c, incoming.topic, problem, incoming.payload))
            incoming.done()
            return
        self._acked.append((acks, incoming))
        if self._freeing:
            return  # whoever is at it takes this along
        self._freeing = True
        try:
            while self._acked:
                taken, self._acked = self._acked, []
                await self._free([acks for acks, _ in taken])
                for _, one in taken:
                    one.done()
        finally:
            self._freeing = False

    async def _free(self, told: list[Acks]) -> None:
        """What the cloud has is released at the relay, then forgotten."""
        acks = [ack for one in told for ack in one.acks]
        ids = [message_id for one in told for message_id in one.ids]
        found = await self.store.run(lambda c: [outbox.find_key(c, ack.epoch, ack.seq) for ack in acks])
        release: dict[int, tuple[int, str, int, str]] = {}
        for ack, row in zip(acks, found, strict=True):
            if row is not None and row[2] == ack.sha256:
                release[row[0]] = (row[0], ack.epoch, ack.seq, ack.sha256.hex())
            else:  # acknowledged before, or forged: it frees nothing
                self.counters["acks_ignored"] += 1
                if row is not None:
                    log.error("ack=%s/%d names another hash than the job has: ignored", ack.epoch, ack.seq)
        if ids:
            for row_id in await self.store.run(lambda c: outbox.delete_messages(c, ids)):
                self._gone(row_id)
                self.counters["acked"] += 1
        await self._release(list(release.values()))
        await self._wanted([want for one in told for want in one.want])

    async def _release(self, rows: list[tuple[int, str, int, str]]) -> None:
        """Tell the relay that the cloud has these, then forget them. While the relay is away they wait."""
        rows = rows + self._released_later
        self._released_later = []
        if not rows:
            return
        for row_id, *_ in rows:
            self._gone(row_id)
        try:
            for start in range(0, len(rows), 30):  # the header line holds at most 4 KiB
                group = rows[start : start + 30]
                answer = await self.door.ask("release", jobs=[[epoch, seq, sha] for _, epoch, seq, sha in group])
                for refused in answer.get("refused") or ():
                    log.error("job=%s the relay did not release: %s", refused.get("key"), refused.get("problem"))
        except RelayGone as error:
            log.info("acks=%d wait for the relay: %s", len(rows), error)
            self._released_later.extend(rows)
            return
        except Refused as error:
            log.error("acks=%d the relay refused: %s", len(rows), error)
        try:
            await self.store.run(lambda c: outbox.delete(c, [row_id for row_id, *_ in rows]))
        except DiskBad:
            self._released_later.extend(rows)
            raise
        self.counters["acked"] += len(rows)

    def _gone(self, row_id: int) -> None:
        self._flights.acked(row_id)
        self._pieces.pop(row_id, None)
        self._wake.set()

    async def _wanted(self, wants: list[Want]) -> None:
        """The cloud sees holes: what stands in the outbox is due now, the rest is taken from the relay again."""
        room = WANT_MOST
        for want in wants:
            first, last = max(1, want.first), min(want.last, want.first + room - 1, SEQ_MOST)
            if last < first or len(want.epoch) > EPOCH_MOST:
                continue
            room -= last - first + 1
            have = await self.store.run(lambda c, w=(want.epoch, first, last): outbox.ids_between(c, *w))  # type: ignore[misc]
            for row_id in have.values():
                if row_id in self._larges:  # on its way, piece by piece
                    continue
                self._flights.forget(row_id)
                self._waiting.again(row_id)
            missing = [(want.epoch, seq) for seq in range(first, last + 1) if seq not in have]
            log.info("want=%s/%d-%d due=%d asked of the relay=%d", want.epoch, first, last, len(have), len(missing))
            self.reading.want(missing)

    def _soon(self, work: Any, name: str) -> None:
        task = asyncio.create_task(work, name=f"uplink-{name}")
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task=%s failed: %r", task.get_name(), error)


def _timed(row: Row) -> Captured:
    """The job, with its times as they are known by now: order comes from seq, whatever they say."""
    job = row.captured()
    job.started, job.ended = clock.corrected(job.started), clock.corrected(job.ended)
    return job
