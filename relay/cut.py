"""Watches one POS stream: where its jobs begin and end, what of it may pass, and what goes into the journal.

scan() is asked before bytes pass, keep() told after; both run inside the fence. A cut, and what follows it, waits for
its `Gate`: it opens when the journal has committed the job, or after hold_cut_ms, which is counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from receipt.jobs import Edge, Jobs, What
from receipt.tokens import Dialect, Mark, Scanner
from relay.counters import Counters
from relay.journal import Journal
from relay.kinds import ASKS, CUTS, KINDS, NOTED, REALTIME, STATE, STORES, Note
from relay.loop import Loop, Timer
from relay.recording import Recording
from relay.store import Key

SAVE_S, SAVE_BYTES = 0.25, 64 * 1024
BURST_S, BURST_BYTES = 0.02, 128 * 1024  # 64 KiB come again this soon: handed to the kernel in such pieces
STALLED_S = 10.0  # a cut whose last byte does not come
DELIVER_S, DELIVER_TRIES = 0.25, 40  # a job that was cut while the printer is gone is settled so much later
TAIL_S = 0.04  # a pulse or feed this soon after the cut still belongs to the job
MOST_NOTED = 512  # bytes of a command that is noted; longer ones hold data, not a state


class Settings(NamedTuple):
    hold_cut_s: float
    quiet_s: float


class Gate:
    """A cut that waits. `at` is where it begins in the stream."""

    __slots__ = ("at", "is_open", "since", "timer")

    def __init__(self, at: int, since: float) -> None:
        self.at, self.since = at, since
        self.is_open = False
        self.timer: Timer | None = None


class Capture:
    """One POS link's stream. `gate_opened` and `captured` are called in the loop."""

    def __init__(
        self,
        loop: Loop,
        journal: Journal,
        settings: Settings,
        counters: Counters,
        pos: str,
        printer: str,
        dialect: Dialect = Dialect.AUTO,
        *,
        gate_opened: Callable[[], None],
        captured: Callable[[Key], None],
        delivered: Callable[[], str],
        passed: Callable[[], bool],
        over: Callable[[], None],
    ) -> None:
        self.loop, self.journal, self.settings, self.counters = loop, journal, settings, counters
        self.pos, self.printer = pos, printer
        self._gate_opened, self._captured = gate_opened, captured
        self._delivered, self._passed, self._over = delivered, passed, over
        self.scanner, self.jobs = Scanner(dialect), Jobs()
        self.broken = False
        self.notes: list[Note] = []  # of the bytes scanned last
        self.starts: deque[int] = deque(maxlen=64)  # where the newest jobs begin
        self.only_asks = False  # those bytes were whole questions and real-time commands, nothing else
        self.asks_alone = False  # the same, though the last one, or the first, is not all there
        self.tail = 0  # then: bytes of the last one that are here
        self.gates: list[Gate] = []  # of the bytes scanned last
        self._edges: list[Edge] = []
        self._head = b""  # bytes of a command that is not recognised yet
        self._half: tuple[Mark, bytes] | None = None  # a noted command whose last bytes are to come
        self._carry = b""  # bytes that belong to no job so far, up to the stream's position
        self._recording: Recording | None = None
        self._handed = 0  # offset up to which its bytes were handed over
        self._unfinished: tuple[Recording, Gate | None] | None = None  # cut seen, not given to the journal yet
        self._settling: list[Recording] = []
        self._gate_queue: list[Gate | None] = []
        self._undelivered = 0
        self._saved = 0
        self._saved_at = 0.0
        self.began = 0.0  # when the newest job did
        self._saving = self._soft = False  # a save is under way; the last one did not wait for the disk
        self._save_timer: Timer | None = None
        self._quiet_timer: Timer | None = None
        self._tail_timer: Timer | None = None
        self._last = 0.0  # when the last byte came that was not just a question

    # ------------------------------------------------------------------ before bytes pass

    def scan(self, data: bytes) -> int:
        """-> how many of these bytes may pass at once: all, or those before a cut that has to wait."""
        scanner, jobs = self.scanner, self.jobs
        base = scanner.position
        marks = scanner.feed(data)
        seen, every = 0, -1  # of the marks' kinds: any of them, all of them
        kinds = KINDS
        for mark in marks:
            kind = kinds[mark[0]]
            seen |= kind
            every &= kind
        self.only_asks = self.asks_alone = False
        self.gates = []
        self.notes = []
        if seen & NOTED or self._half is not None:
            whole = marks[0].start == base and self._half is None if marks else False
            self.notes = self._note(marks, base, data)
            self.only_asks = whole and bool(every & REALTIME) and scanner.at_boundary
            if every & REALTIME and self.notes and jobs.is_idle:
                self.asks_alone = True
                self.tail = scanner.position - min(self.notes[-1].end if not marks else marks[-1].end, scanner.position)
                if marks and marks[-1].end > scanner.position:
                    self.tail = scanner.position - marks[-1].start
        if seen & STORES:  # the printer's memory wears out: a POS that writes to it all the time is to be seen
            self.counters.memory_writes += sum(1 for mark in marks if kinds[mark[0]] & STORES)
        head = scanner.head_start
        if head < scanner.position:
            self._head = data[head - base :] if head >= base else self._head + data
        elif self._head:
            self._head = b""
        if jobs.open:
            boring = not seen & CUTS and scanner.position - jobs.start < jobs.most
        else:
            boring = bool(every & ASKS) and not seen & STATE and jobs.is_idle
        if boring and marks:
            self._edges = []
            return len(data)
        self._edges = edges = jobs.feed(marks, scanner.position)
        free = len(data)
        if edges:
            now = self.loop.now
            for edge in edges:
                if edge.what is What.START:
                    self.starts.append(edge.start)
                if edge.what is not What.CUT:
                    continue
                if not self.settings.hold_cut_s or not self.journal.healthy:
                    self.counters.cut_released_unsafe += 1
                    self._gate_queue.append(None)
                    continue
                gate = Gate(max(edge.start, base), now)
                self.gates.append(gate)
                self._gate_queue.append(gate)
            if self.gates:
                free = self.gates[0].at - base
        return free

    def _note(self, marks: list[Mark], base: int, data: bytes) -> list[Note]:
        """The commands among the marks that are asked or remembered, once their last byte is here."""
        notes: list[Note] = []
        if self._half is not None:
            mark, raw = self._half
            raw += data[: mark.end - base]
            self._half = (mark, raw)
            if len(raw) == mark.end - mark.start:
                self._half = None
                notes.append(Note(mark.command, KINDS[mark.command], raw, mark.end))
        kinds = KINDS
        for mark in marks:
            kind = kinds[mark[0]]
            if not kind & NOTED:
                continue
            command, start, end = mark
            if end - start > MOST_NOTED:
                continue
            raw = data[start - base : end - base] if start >= base else self._head[start - base :] + data[: end - base]
            if len(raw) < end - start:
                self._half = (mark, raw)
            else:
                notes.append(Note(command, kind, raw, end))
        return notes

    # ------------------------------------------------------------------ after they passed

    def keep(self, data: bytes) -> None:
        """Hand the job's bytes to the journal, and end what ended."""
        if not self._edges:
            recording = self._recording
            if self.jobs.open and recording is not None:
                recording.inbox.append(data)
                recording.handed += len(data)
                self._handed = self.scanner.position
                if not self.only_asks:
                    self._last = self.loop.now
                if self._save_timer is None:
                    self._save_timer = self.loop.after(SAVE_S, self._save)
                if recording.handed - self._saved >= SAVE_BYTES:
                    self._save_now()
                return
            if not self.jobs.tail and not self._carry and not self._head:
                return
        self._keep_edges(data)

    def _keep_edges(self, data: bytes) -> None:
        position = self.scanner.position
        whole = self._carry + data
        base = position - len(whole)
        jobs = self.jobs
        for edge in self._edges:
            if edge.what is What.START:
                self._settle_tail()
                self._begin(edge.start, None)
            elif edge.what is What.CUT:
                assert self._recording is not None
                self._hand(whole, base, min(edge.end, position))
                self._unfinished = (self._recording, self._gate_queue.pop(0))
            elif edge.what is What.END:
                self._hand(whole, base, min(edge.end, position))
            else:
                self._hand(whole, base, edge.end)
                before = self._recording
                assert before is not None
                self._finish(before, "size", None)
                self._begin(edge.end, before)
        self._edges = []
        if jobs.open:
            self._hand(whole, base, position)
            self._carry = b""
            self._last = self.loop.now
            if self._save_timer is None:
                self._save_timer = self.loop.after(SAVE_S, self._save)
            if self._recording is not None and self._recording.handed - self._saved >= SAVE_BYTES:
                self._save_now()
        elif jobs.tail:
            self._hand(whole, base, min(jobs.end, position))
            self._carry = whole[max(self._handed - base, 0) :]
            whole_cut = jobs.end <= position
            if whole_cut:
                self._cut_is_whole()
            self._restart_tail(TAIL_S if whole_cut else STALLED_S)
        else:
            self._carry = whole[max(self.scanner.head_start - base, 0) :]

    def _begin(self, at: int, before: Recording | None) -> None:
        self._recording = Recording(self.pos, self.printer, before)
        self._handed, self._saved = at, 0
        self._last = self._saved_at = self.began = self.loop.now
        self._undelivered = 0
        self._soft = False
        if self._quiet_timer is None:
            self._quiet_timer = self.loop.after(self.settings.quiet_s, self._quiet)

    def _hand(self, whole: bytes, base: int, until: int) -> None:
        if until > self._handed and self._recording is not None:
            start = max(self._handed - base, 0)
            self._recording.hand(whole[start : until - base] if start or until - base < len(whole) else whole)
            self._handed = until

    # ------------------------------------------------------------------ ends

    def _cut_is_whole(self) -> None:
        """All of the cut command is here: commit; its gate opens when that is done."""
        if self._unfinished is None:
            return
        recording, gate = self._unfinished
        self._unfinished = None
        self._settling.append(recording)
        self._finish(recording, "cut", gate)

    def _finish(self, recording: Recording, boundary: str, gate: Gate | None) -> None:
        self.counters.jobs += 1
        if gate is not None:
            self.counters.cuts_held += 1
            gate.timer = self.loop.after(self.settings.hold_cut_s, lambda: self._open(gate, unsafe=True))

        def done(key: Key | None) -> None:
            if gate is not None:
                self._open(gate, unsafe=key is None)
            if boundary != "cut" and key is not None:
                self._captured(key)

        # until its cut has passed, and that is on record too, a job was delivered in part: should the relay die now, a
        # till's second try can be told from a second sale
        delivered = "part" if boundary == "cut" else "all" if boundary == "size" else self._delivered()
        self.journal.finish(recording, boundary, delivered, done, settling=boundary == "cut")

    def _open(self, gate: Gate, *, unsafe: bool) -> None:
        if gate.timer is not None:
            gate.timer.cancel()
        if gate.is_open:
            return
        gate.is_open = True
        self.counters.hold_us += int((self.loop.now - gate.since) * 1e6)
        if unsafe:
            self.counters.cut_released_unsafe += 1
        self._gate_opened()

    def _restart_tail(self, seconds: float) -> None:
        if self._tail_timer is not None:
            self._tail_timer.cancel()
        self._tail_timer = self.loop.after(seconds, self._tail_over)

    def _tail_over(self) -> None:
        """Nothing more came behind the cut that belongs to it."""
        self._tail_timer = None
        if self.jobs.tail and self._unfinished is None and not self._passed():
            self._undelivered += 1
            if self._undelivered <= DELIVER_TRIES:  # the printer is slow, or gone: perhaps it is back in a moment
                self._restart_tail(DELIVER_S)
                return
        if self.jobs.tail:
            self.jobs.over()
            self._settle_tail()
            keep = self.scanner.position - self.scanner.head_start
            self._carry = self._carry[-keep:] if keep else b""
            self._over()

    def _settle_tail(self) -> None:
        """The job that was cut is over for good: nothing will be added to it."""
        if self._tail_timer is not None:
            self._tail_timer.cancel()
            self._tail_timer = None
        self._cut_is_whole()
        delivered = self._delivered()
        for recording in self._settling:
            self.journal.settle(recording, delivered, self._settled)
        self._settling = []
        self._recording = None
        self._cancel_timers()

    def _settled(self, key: Key | None) -> None:
        if key is not None:
            self._captured(key)

    def _quiet(self) -> None:
        self._quiet_timer = None
        if not self.jobs.open:
            return
        left = self._last + self.settings.quiet_s - self.loop.now
        if left > 0.001 or self._delivered() != "all":
            self._quiet_timer = self.loop.after(left if left > 0.001 else 1.0, self._quiet)
        else:
            self.end("quiet")

    def end(self, boundary: str) -> None:
        """The job that is open ends here: after silence, or because its POS is gone."""
        if self.jobs.tail:
            self.jobs.over()
            self._settle_tail()
        elif self.jobs.open and self._recording is not None:
            at_boundary = self.scanner.at_boundary
            self.jobs.over(None if at_boundary else self.scanner.position)
            recording, self._recording = self._recording, None
            self._carry = b""
            self._cancel_timers()
            self._finish(recording, boundary, None)
        self._over()

    def _cancel_timers(self) -> None:
        for timer in (self._quiet_timer, self._save_timer):
            if timer is not None:
                timer.cancel()
        self._quiet_timer = self._save_timer = None

    # ------------------------------------------------------------------ in between

    def _save(self) -> None:
        self._save_timer = None
        if self.jobs.open and self._soft:
            self._saved = 0  # what the kernel was given is to be on disk too
            if self._saving:
                self._save_timer = self.loop.after(BURST_S, self._save)
                return
        self._save_now()

    def _save_now(self) -> None:
        recording = self._recording
        if self._saving or recording is None or not self.jobs.open or recording.handed == self._saved:
            return
        pouring = self.loop.now - self._saved_at < BURST_S
        if pouring and recording.handed - self._saved < BURST_BYTES:
            return
        self._saving, self._saved, self._saved_at = True, recording.handed, self.loop.now
        self._soft = pouring and self._save_timer is not None
        self.journal.save(recording, self._save_done, soft=self._soft)

    def _save_done(self, nothing: None) -> None:
        self._saving = False

    def give_up(self) -> None:
        """Capture failed: what was recorded becomes a tombstone, gates open, and nothing is looked at any more."""
        self.broken = True
        self.counters.capture_faults += 1
        self._cancel_timers()
        if self._tail_timer is not None:
            self._tail_timer.cancel()
        lost = self._unfinished[0] if self._unfinished else self._recording if self.jobs.open else None
        self.journal.bury(lost or Recording(self.pos, self.printer), "capture_fault")
        for recording in self._settling:
            self.journal.settle(recording, "all", self._settled)
        self._recording, self._unfinished, self._settling, self._edges, self._gate_queue = None, None, [], [], []
        self.jobs.over()
