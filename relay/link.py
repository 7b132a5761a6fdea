"""One POS link: bytes to the printer as they come, answers back, and patience while it is not its turn.

The way of nearly every chunk: read, scan, write, keep. What cannot pass yet is `held`, in order, and the POS is not
read any further: it is held back by its own line, as by a printer that is busy.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from drivers import DeviceGone, Link
from receipt.tokens import Dialect
from relay.counters import Counters
from relay.cut import Capture, Settings
from relay.flood import Flood
from relay.held import Held
from relay.journal import Journal
from relay.kinds import ASKS, INIT, STATE, Note
from relay.loop import BROKEN, IN, OUT, Loop, Timer, fenced
from relay.memory import Memory
from relay.printer import HIGH, PrinterLink
from relay.replies import Replies
from relay.store import Key

HELD_MOST = 64 * 1024  # bytes read and not passed on, while the printer is there and it is this link's turn
WAITING_MOST = 4 * 1024  # the same while it is not: enough to see a status request
ANSWER_S = 2.0  # how long a POS that has hung up may still wait for answers
UNFINISHED_S = 10.0  # a job that stops inside a command keeps its turn for so long after it has ended
TRICKLE_S, TRICKLE_PER_S = 60.0, 16  # a job this old, of fewer bytes a second, gives way when another POS waits
TORN_MOST = 1024 * 1024
TORN_HEAD = 4  # NULs that end any command whose length is not known yet
OVERTAKE_S = 0.02  # real-time commands in the middle of other bytes wait so long with them
log = logging.getLogger("relay.pos")


class PosLink:
    def __init__(
        self,
        loop: Loop,
        name: str,
        link: Link,
        printer: PrinterLink,
        journal: Journal,
        settings: Settings,
        counters: Counters,
        *,
        when_gone: str,
        captured: Callable[[Key], None],
        closed: Callable[[PosLink], None],
    ) -> None:
        self.loop, self.name, self.link, self.printer, self.counters = loop, name, link, printer, counters
        self.capture = Capture(
            loop,
            journal,
            settings,
            counters,
            name,
            printer.name,
            Dialect(printer.model.dialect),
            gate_opened=self._pump,
            captured=captured,
            delivered=self._delivered,
            passed=self._all_passed,
            over=self._job_over,
        )
        self._scan = fenced(self.capture.scan, self._broken)
        self._keep = fenced(self.capture.keep, self._broken)
        self.held, self.memory, self._flood = Held(), Memory(), Flood(self)
        self.replay_due = False  # the printer has lost the state that this POS has set
        self.ended = ""  # the boundary, once the POS has hung up
        self.when_gone = when_gone
        self.bytes_in = 0
        self._replaying: bytes = b""
        self._closed_call = closed
        self._answers = Replies(link, counters)
        self._fd = link.fileno()
        self._events = IN
        self._last = loop.now
        self._waiting: Timer | None = None  # for another POS to end its job
        self._overtake: Timer | None = None
        self._release_timer: Timer | None = None
        self._release_seconds = 0.0
        self.closed = False
        printer.add(self)
        loop.watch(self._fd, IN, self._ready)
        if not printer.up:
            self.printer_gone()

    # ------------------------------------------------------------------ from the POS

    def _ready(self, events: int) -> None:
        if events & (IN | BROKEN):
            if not self._events & IN:
                self._gone_while_held(events)
            else:
                try:
                    data = self.link.read()
                except DeviceGone as error:
                    log.warning("pos=%s gone=%s", self.name, error)
                    self._hung_up("partial")
                else:
                    if data:
                        self._take(data)
                    elif data is not None:
                        self._hung_up("close")
        if events & OUT and not self.closed:
            self._flush_answers()

    def _take(self, data: bytes) -> None:
        """Bytes have come from the POS."""
        printer = self.printer
        if self.replay_due:
            self._prepare_replay()
        free = self._scan(data)
        capture, new = self.capture, data
        if stub := self._flood.stub:
            data, free, self._flood.stub = stub + data, free + len(stub), b""
        size = len(data)
        if capture.asks_alone and self._flood.takes(data):
            pass
        elif (
            free == size
            and not self.held
            and printer.up
            and printer.out_size < HIGH
            and (printer.turns.holder is self or printer.turns.claim(self))
        ):
            if self._replaying:
                self._replay(capture.notes, capture.scanner.position - size)
            printer.last_pos = self
            if printer.reprints:
                self.memory.keep(data, capture.scanner.position - size, capture.starts)
            printer.send(data)
            printer.last_byte = self.loop.now
            if capture.notes:
                self._passed(capture.notes)
            if printer.out_size >= HIGH:
                self.pause()
        elif capture.only_asks and free == size and not self.closed:
            for note in capture.notes:
                printer.realtime(self, note.raw)
        else:
            self._hold_back(data, free)
        self._keep(new)
        self.bytes_in += len(new)
        self._last = self.loop.now
        if not capture.jobs.open and printer.turns.holder is self:
            self._maybe_release()
        if printer.urgent:
            printer.boundary()

    def idle_s(self) -> float | None:
        """How long this link has been there without a byte; None: it has sent some, a till that stays connected."""
        return None if self.bytes_in or self.ended or self.closed else self.loop.now - self._last

    def let_go(self) -> None:
        """Others want in, and this one does nothing."""
        hang_up = getattr(self.link, "hang_up", None)
        if hang_up is not None:
            log.warning("pos=%s hung_up=%s reason=silent, and others want in", self.name, self.link.peer)
            self._hung_up("close", hang_up=True)

    def _hold_back(self, data: bytes, free: int) -> None:
        """Keep what may not pass now, cut into pieces at the gates."""
        capture = self.capture
        self.held.add(data, capture.scanner.position - len(data), capture.gates, capture.notes)
        self._pump()
        if self.held.size > self._limit():
            self.pause()
        if self.held and self.printer.up and self.printer.turns.holder is not self and self._waiting is None:
            self._waiting = self.loop.after(TRICKLE_S / 4, self._wait_on)
        if self.held and self._overtake is None and any(note.kind & ASKS for note in capture.notes):
            self._overtake = self.loop.after(OVERTAKE_S, self._overtake_some)

    def _wait_on(self) -> None:
        """It is still not our turn: does who has it trickle?"""
        self._waiting = None
        if self.held and not self.closed:
            self._pump()
            if self.held and self.printer.turns.holder is not self:
                self._waiting = self.loop.after(TRICKLE_S / 4, self._wait_on)

    def _limit(self) -> int:
        there = self.printer.up and self.printer.turns.holder is self
        return HELD_MOST if there else WAITING_MOST

    def _overtake_some(self) -> None:
        """Real-time commands have waited long enough in the middle of held bytes: lift them out, where they stand
        between two tokens."""
        self._overtake = None
        for raw in self.held.lift():  # all of them first: an answer from memory may let more bytes pass
            self.printer.realtime(self, raw)

    # ------------------------------------------------------------------ to the printer

    def turn(self) -> None:
        """The printer is ours now, or takes bytes again."""
        self._pump()

    def asked_to_yield(self) -> bool:
        """Another POS wants the printer. It waits for our job, unless that has only trickled for a long time: then the
        job ends here, and a network peer is hung up on.
        """
        jobs, seconds = self.capture.jobs, self.loop.now - self.capture.began
        if not jobs.open or self.held or seconds < TRICKLE_S:
            return False
        if self.capture.scanner.position - jobs.start > TRICKLE_PER_S * seconds:
            return False
        if hasattr(self.link, "hang_up"):
            log.warning("pos=%s hung_up=%s reason=it trickles, and others wait", self.name, self.link.peer)
            self._hung_up("close", hang_up=True)
        elif self.capture.scanner.at_boundary:
            self.capture.end("quiet")
        return False  # whoever was first in the queue has the turn by now

    def _pump(self) -> None:
        """Pass on what may pass."""
        printer = self.printer
        while self.held.may_pass() and printer.up and printer.out_size < HIGH:
            if printer.turns.holder is not self and not printer.turns.claim(self):
                break
            if self.replay_due:
                self._prepare_replay(force=True)
            piece = self.held.take()
            if piece.data:
                if self._replaying:
                    self._replay(piece.notes, piece.at)
                printer.last_pos = self
                if printer.reprints:
                    self.memory.keep(piece.data, piece.at, self.capture.starts)
                printer.send(piece.data)
                printer.last_byte = self.loop.now
            if piece.notes:
                self._passed(piece.notes)
        if not self.held and self._overtake is not None:
            self._overtake.cancel()
            self._overtake = None
        if (
            not self._events & IN
            and not self._flood.waits
            and not self.ended
            and self.held.size <= self._limit() // 4
            and printer.up
            and printer.out_size < HIGH // 2
        ):
            self._resume()
        if printer.turns.holder is self and not self.capture.jobs.open:
            self._maybe_release()
        elif self.ended and not self.held:
            self._finish()

    @property
    def at_boundary(self) -> bool:
        """Do the bytes that have passed end between two tokens?"""
        if self.capture.broken:
            return True
        if not self.held:
            return self.capture.scanner.at_boundary
        return self.held.begins_with_a_cut()

    def _passed(self, notes: list[Note]) -> None:
        """Commands that ask or set state have gone to the printer."""
        router, now = self.printer.router, self.loop.now
        for note in notes:
            command, kind, raw, _ = note
            if kind & (INIT | STATE):
                self.memory.note(note)
            if kind & ASKS and command.answer is not None:
                router.pos_asks(self, command.answer, raw, now)
                self.counters.passed_queries += 1

    def _prepare_replay(self, *, force: bool = False) -> None:
        """The printer has lost our state: at the next boundary it is set again, before the next byte."""
        if force or self.at_boundary:
            self.replay_due = False
            self._replaying = self.memory.settings

    def _replay(self, notes: list[Note], start: int) -> None:
        replay, self._replaying = self._replaying, b""
        if notes and notes[0].kind & INIT and notes[0].end - len(notes[0].raw) == start:
            return  # the POS sets everything anew by itself
        self.counters.state_replays += 1
        self.printer.send(replay)

    # ------------------------------------------------------------------ holding back

    @property
    def is_paused(self) -> bool:
        """Not read now: the POS is held back."""
        return not self._events & IN and not self.ended

    def pause(self) -> None:
        if self._events & IN:
            self._watch(self._events & ~IN)

    def _resume(self) -> None:
        self._watch(self._events | IN)

    def _watch(self, events: int) -> None:
        if events != self._events and not self.closed:
            self._events = events
            self.loop.change(self._fd, events)

    def _gone_while_held(self, events: int) -> None:
        """The POS broke off while it was held back: what it had sent before is still there to be read."""
        if not events & BROKEN or self.ended:
            if self.ended:
                self._hung_up(self.ended)
            return
        try:
            while data := self.link.read():
                self._take(data)
            self._hung_up("close" if data == b"" else "partial")
        except DeviceGone:
            self._hung_up("partial")

    def lost(self) -> None:
        """The printer is gone, and what was written last was ours: was that in the middle of a job?"""
        printer = self.printer
        jobs = self.capture.jobs
        begun = printer.turns.holder is self and jobs.open and self.capture.scanner.position > jobs.start
        if not (printer.out_size or begun):
            return
        self.counters.jobs_interrupted += 1
        reprint = printer.reprints and self.memory.job_size > 0
        if reprint:
            scanner = self.capture.scanner
            torn = 0 if self.at_boundary else min(scanner.missing, TORN_MOST) + TORN_HEAD
            again = bytes(torn) + self.memory.reprint()
            printer.instead(max(printer.out_size - self.memory.job_size, 0), again)
            self.counters.jobs_reprinted += 1
        printer.interrupted(printer, self, "reprint" if reprint else "go-on")

    def printer_gone(self) -> None:
        if self.when_gone == "hang-up" and not self.ended:
            hang_up = getattr(self.link, "hang_up", None)
            if hang_up is not None:
                log.warning("pos=%s hung_up=printer %s is gone", self.name, self.printer.name)
                self._hung_up("partial", hang_up=True)

    # ------------------------------------------------------------------ ends

    def _delivered(self) -> str:
        """How much of the job that ends now has gone to the printer, or surely will."""
        if self.printer.up or not (self.held.size or self.printer.out_size):
            return "all"
        jobs = self.capture.jobs
        passed = self.capture.scanner.position - self.held.size - self.printer.out_size
        return "part" if passed > jobs.start else "none"

    def _all_passed(self) -> bool:
        """Nothing of what came is still to be written."""
        return not (self.held.size or self.printer.out_size)

    def _job_over(self) -> None:
        if self.printer.turns.holder is self:
            self._maybe_release()

    def _maybe_release(self) -> None:
        """Give the turn back once nothing of ours is unfinished."""
        capture = self.capture
        if self.held or capture.jobs.open or (capture.jobs.tail and self.printer.turns.wanted and not self.ended):
            return
        if capture.broken and not self.ended:
            self._release_later(capture.settings.quiet_s)
        elif not capture.broken and not capture.scanner.at_boundary and not self.ended:
            self._release_later(UNFINISHED_S)
        else:
            self._release()

    def _release_later(self, seconds: float) -> None:
        if self._release_timer is None:
            self._release_timer = self.loop.after(seconds, self._release_if_still)
            self._release_seconds = seconds

    def _release_if_still(self) -> None:
        self._release_timer = None
        if self.held or self.capture.jobs.open or self.closed:
            return
        if monotonic() - self._last < self._release_seconds:
            self._release_later(self._release_seconds)
        else:
            self._release()

    def _release(self) -> None:
        if self._release_timer is not None:
            self._release_timer.cancel()
            self._release_timer = None
        self.printer.turns.release(self)
        if self.ended:
            self._finish()

    def _hung_up(self, boundary: str, *, hang_up: bool = False) -> None:
        """No more will come from this POS. What it has sent is still printed, and kept."""
        self._events = 0
        if self.ended or hang_up:
            self.loop.forget(self._fd)
            self.ended = self.ended or boundary
            if hang_up:
                self.link.hang_up()  # type: ignore[attr-defined]
                self._close()
            elif not self.held:
                self._close()
            return
        self.ended = boundary
        if boundary == "close":
            self.loop.change(self._fd, 0)
        else:
            self.loop.forget(self._fd)
        self._pump()
        if not self.held:
            self._finish()

    def _finish(self) -> None:
        """The POS has hung up: let it go, once everything that it sent has passed."""
        if self.closed or self.held:
            return
        if self.capture.jobs.open or self.capture.jobs.tail:
            self.capture.end(self.ended)
        self.printer.turns.release(self)
        if self.ended == "close" and (self.printer.router.waits(self) or self._answers):
            if self._release_timer is None:
                self._release_timer = self.loop.after(ANSWER_S, self._close)
            return
        self._close()

    def _close(self) -> None:
        if self.closed:
            return
        self.closed = True
        if self.capture.jobs.open or self.capture.jobs.tail:
            self.capture.end(self.ended or "close")
        scanner = self.capture.scanner
        if not (self.held or self.capture.broken or scanner.at_boundary):
            self.printer.torn = (scanner.missing + TORN_HEAD, self.printer.last_byte)
        self.counters.bytes_down += self.bytes_in
        self.held.clear()
        self._flood.stop()
        for timer in (self._release_timer, self._overtake, self._waiting):
            if timer is not None:
                timer.cancel()
        self.loop.forget(self._fd)
        self.link.close()
        self.printer.remove(self)
        self._closed_call(self)

    def stop(self) -> None:
        """The relay ends: what is open now was cut short."""
        if not self.closed:
            self.ended = self.ended or "partial"
            self._close()

    def _broken(self, data: bytes, error: Exception) -> int:
        """The fence: capture has failed, bytes pass on without it."""
        self.capture.give_up()
        self.capture.gates, self.capture.notes = [], []
        self.capture.only_asks = self.capture.asks_alone = False
        self.held.open_gates()
        self._scan = len
        self._keep = _nothing
        return len(data)

    # ------------------------------------------------------------------ to the POS

    def answer(self, data: bytes) -> None:
        """What the printer says, to this POS."""
        if self.closed:
            return
        try:
            self._answers.add(data)
        except DeviceGone:
            return  # reading will tell
        if self._answers:
            self._watch(self._events | OUT)
        elif self.ended and not self.printer.router.waits(self):
            self._finish()

    def _flush_answers(self) -> None:
        with suppress(DeviceGone):  # reading will tell
            self._answers.flush()
        if not self._answers:
            self._watch(self._events & ~OUT)
            if self.ended:
                self._finish()


def _nothing(data: bytes) -> None:
    return None
