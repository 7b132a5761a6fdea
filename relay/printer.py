"""One printer: its link, opened again whenever it is gone; what waits to be written; whose turn it is; its answers.

What was written and not yet taken by the device is kept, and is written again, first, when the link is open again: a
connection that breaks while the printer stays powered costs no byte and doubles none.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from drivers import DeviceGone, Link, open_printer
from receipt.status import STAR_ASK, Form, eot_answer, star_answer
from receipt.tokens import Answer
from relay.answers import Router
from relay.counters import Counters
from relay.loop import BROKEN, IN, OUT, Loop, Timer
from relay.turns import Turns

if TYPE_CHECKING:
    from config.models import Model
    from relay.link import PosLink

HIGH = 256 * 1024  # bytes that wait to be written: more, and the POS is not read any further
TRIM_AT = 64 * 1024  # bytes written and perhaps not taken: more, and the device is asked
RETRY_FIRST_S, RETRY_MOST_S = 0.2, 2.5  # one that is plugged in again prints within 3 s
CONNECT_S = 3.0
FRESH_S = 2.0  # a status this old may still be told to a POS that has to wait
log = logging.getLogger("relay.printer")


class PrinterLink:
    def __init__(
        self,
        loop: Loop,
        name: str,
        url: str,
        model: Model,
        counters: Counters,
        changed: Callable[[PrinterLink], None],
        *,
        reprints: bool = False,
        interrupted: Callable[[PrinterLink, PosLink, str], None] = lambda printer, link, how: None,
    ) -> None:
        self.reprints, self.interrupted = reprints, interrupted
        self.last_pos: PosLink | None = None  # whose bytes were written last
        self.loop, self.name, self.url, self.model, self.counters = loop, name, url, model, counters
        self.model_is_ours = False  # to be found out: nobody has named it
        self.says = ""  # what it calls itself, once it was asked
        self.link: Link | None = None
        self.up = False  # open, and writable as far as is known
        self.out: deque[bytes | memoryview] = deque()  # to be written, in order
        self.out_size = 0
        self.pos: list[PosLink] = []
        self.only: PosLink | None = None  # the one POS link, when there is just one
        self.turns = Turns(self._free)
        self.router = Router(self._to_pos, lambda: changed(self), star=model.dialect == "star")
        self.last_byte = 0.0  # when a POS byte was last written
        self.on_free: Callable[[], None] = lambda: None  # nobody has the turn
        self.on_gone: Callable[[], bool] = lambda: False  # True: what is not written must not be written later
        self.torn = (0, 0.0)  # bytes that would end the command in which a POS broke off, and when that was
        self._changed = changed
        self._sent: deque[bytes | memoryview] = deque()  # written, perhaps not taken
        self._sent_size = self._written = 0
        self._taken_before = 0
        self._events = 0
        self._retry_s = RETRY_FIRST_S
        self._timer: Timer | None = None
        self.urgent: deque[tuple[PosLink | None, bytes, Callable[[bytes], None] | None]] = deque()

    # ------------------------------------------------------------------ being there

    def open(self) -> None:
        self._timer = None
        try:
            self.link = open_printer(self.url)
        except DeviceGone as error:
            self._later(error)
            return
        self._written = 0
        self._events = OUT
        self.loop.watch(self.link.fileno(), OUT, self._ready)
        limit_s = getattr(self.link, "connect_s", CONNECT_S)
        self._timer = self.loop.after(limit_s, lambda: self._no_answer(limit_s))

    def _no_answer(self, limit_s: float) -> None:
        self._timer = None
        self.gone(DeviceGone(f"{self.url} does not answer within {limit_s:.0f} s"))

    def _opened(self) -> None:
        assert self.link is not None
        try:
            if not self.link.opened():
                return
        except DeviceGone as error:
            self.gone(error)
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.up = True
        self._retry_s = RETRY_FIRST_S
        self.counters.printer_opened += 1
        log.info("printer=%s open=%s peer=%s waiting_bytes=%d", self.name, self.url, self.link.peer, self.out_size)
        self._watch(IN)
        self._listen_to_its_lines()
        for link in self.pos:
            link.replay_due = True
        self._flush()
        for link in tuple(self.pos):
            link.turn()
        if self.turns.holder is None:
            self.on_free()
        self._changed(self)

    def _listen_to_its_lines(self) -> None:
        """What the device says beside the stream: a status byte, ready lines."""
        link, watch = self.link, getattr(self.link, "watch", None)

        def tell(**known: Any) -> None:
            self.loop.soon(lambda: self.router.device_says(known) if self.link is link else None)

        if watch is not None:
            watch(tell)

    def gone(self, error: Exception) -> None:
        """Let go of the link; keep what its device has not taken; try again later."""
        was_up, self.up = self.up, False
        if self.link is not None:
            self.loop.forget(self.link.fileno())
            self._trim()
            self._taken_before += self.link.taken
            self.link.close()
            self.link = None
        self._events = 0
        missing = self._sent
        self._sent, self._sent_size = deque(), 0
        if missing:
            self.out.extendleft(reversed(missing))
            self.out_size = sum(len(data) for data in self.out)
        if self._timer is not None:
            self._timer.cancel()
        self.router.reset()
        if self.on_gone():
            self.out.clear()
            self.out_size = 0
        elif was_up and self.last_pos is not None:
            self.last_pos.lost()
        self._answer_the_waiting()
        if was_up:
            log.warning("printer=%s gone=%s unwritten_bytes=%d", self.name, error, self.out_size)
            for link in tuple(self.pos):
                link.printer_gone()
            self._changed(self)
        self._later(error)

    def _later(self, error: Exception) -> None:
        if self._retry_s == RETRY_FIRST_S:
            log.warning("printer=%s cannot_open=%s trying_again=yes", self.name, error)
        self._timer = self.loop.after(self._retry_s, self.open)
        self._retry_s = min(self._retry_s * 2, RETRY_MOST_S)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self.link is not None:
            self.loop.forget(self.link.fileno())
            self.link.close()
            self.link = None
        self.up = False

    # ------------------------------------------------------------------ to the printer

    def send(self, data: bytes | memoryview) -> None:
        """Write now what the device takes; the rest as soon as it takes more."""
        if self.out or not self.up:
            self.out.append(data)
            self.out_size += len(data)
            return
        try:
            taken = self.link.write(data)  # type: ignore[union-attr]
        except DeviceGone as error:
            self.out.append(data)
            self.out_size += len(data)
            self.gone(error)
            return
        if taken == len(data):
            self._sent.append(data)
            self._sent_size += taken
            self._written += taken
            if self._sent_size > TRIM_AT:
                self._trim()
        else:
            self._rest(data, taken)

    def _rest(self, data: bytes | memoryview, taken: int) -> None:
        view = memoryview(data)
        if taken:
            self._sent.append(view[:taken])
            self._sent_size += taken
            self._written += taken
        self.out.append(view[taken:])
        self.out_size += len(view) - taken
        self._watch(IN | OUT)

    def _flush(self) -> None:
        """Write what waits. Several pieces go in one call where they are small."""
        while self.out and self.up and self.link is not None:
            data = self.out[0]
            if len(data) < 4096 and len(self.out) > 1:
                data = self._joined()
            try:
                taken = self.link.write(data)
            except DeviceGone as error:
                self.gone(error)
                return
            if taken:
                self._sent.append(data if taken == len(data) else memoryview(data)[:taken])
                self._sent_size += taken
                self._written += taken
                self.out_size -= taken
            if taken < len(data):
                self.out[0] = memoryview(data)[taken:]
                self._watch(IN | OUT)
                if self._sent_size > TRIM_AT:
                    self._trim()
                return
            self.out.popleft()
        if self._sent_size > TRIM_AT:
            self._trim()
        if self._events != IN:
            self._watch(IN)
        if self.urgent:
            self._send_realtime()
        holder = self.turns.holder
        if holder is not None and holder is self.turns.holder:
            holder.turn()
        for link in tuple(self.pos):
            if link.is_paused:
                link.turn()

    def _joined(self) -> bytes:
        pieces, size = [], 0
        while self.out and size < HIGH:
            piece = self.out.popleft()
            pieces.append(piece)
            size += len(piece)
        data = b"".join(pieces)
        self.out.appendleft(data)
        return data

    def _trim(self) -> None:
        """Forget what the device has taken."""
        assert self.link is not None
        unsure = self._written - self.link.taken
        while self._sent and self._sent_size - len(self._sent[0]) >= unsure:
            self._sent_size -= len(self._sent.popleft())
        extra = self._sent_size - unsure
        if self._sent and extra > 0:
            self._sent[0] = memoryview(self._sent[0])[extra:]
            self._sent_size -= extra

    @property
    def all_taken(self) -> bool:
        """Has the device itself accepted every byte?"""
        return not self.out and self.link is not None and self.link.taken >= self._written

    def taken_total(self) -> int:
        """Bytes the device has accepted, over all openings of its link."""
        return self._taken_before + (self.link.taken if self.link is not None else 0)

    def _watch(self, events: int) -> None:
        if self.link is not None and events != self._events:
            self._events = events
            self.loop.change(self.link.fileno(), events)

    def instead(self, keep: int, data: bytes) -> None:
        """While the printer is gone: of what waits for it, only the first `keep` bytes, then these."""
        while self.out and self.out_size > keep:
            last = memoryview(self.out.pop())
            self.out_size -= len(last)
            if self.out_size < keep:
                last = last[: keep - self.out_size]
                self.out.append(last)
                self.out_size += len(last)
        self.out.append(data)
        self.out_size += len(data)

    # ------------------------------------------------------------------ real-time

    def realtime(self, link: PosLink | None, raw: bytes, take: Callable[[bytes], None] | None = None) -> None:
        """A real-time command that overtakes what waits: at once where the printer's stream stands between two
        tokens; else told from what is known, when that is fresh or the printer is gone; else at the next boundary.

        `take`: the question is ours, and this gets the answer.
        """
        if self.up and not self.out and self.at_boundary():
            self._put_realtime(link, raw, take)
            return
        if link is not None and self._told_from_memory(link, raw):
            return
        self.urgent.append((link, raw, take))

    def _put_realtime(self, link: PosLink | None, raw: bytes, take: Callable[[bytes], None] | None) -> None:
        now = self.loop.now
        if raw[:2] == b"\x10\x04" and len(raw) == 3:
            if take is not None:
                self.router.we_ask(take, Form.REALTIME, raw[2], now)
            elif link is not None:
                self.router.pos_asks(link, Answer.REALTIME, raw, now)
        elif take is not None:
            self.router.we_ask(take, Form.ASB, 0, now)
        elif link is not None:
            self.router.pos_asks(link, Answer.STAR, raw, now)
        self.send(raw)

    def _told_from_memory(self, link: PosLink, raw: bytes) -> bool:
        known = self.router.status_at and self.loop.now - self.router.status_at <= FRESH_S
        if not (known or not self.up):
            return False
        if not (raw[:2] == b"\x10\x04" and len(raw) == 3) and not (self.router.star and raw[0] != 0x10):
            return False
        if answer := self.from_memory(raw):
            self.counters.answered_by_relay += 1
            link.answer(answer)
        return True

    def from_memory(self, raw: bytes) -> bytes:
        """What the printer would answer, as far as is known. b"" where it would say nothing, or that is not known."""
        if raw[:2] == b"\x10\x04" and len(raw) == 3:
            return eot_answer(raw[2], self.router.status, gone=not self.up)
        if self.router.star and (len(raw) == 1 or raw == STAR_ASK):
            return star_answer(raw, self.router.status, gone=not self.up)
        return b""

    def ask_how_it_is(self, answered: Callable[[bytes], None]) -> int:
        """A few real-time questions of ours; `answered` gets each answer. -> how many."""
        model = self.model
        if not (self.up and model.answers):
            return 0
        questions = [STAR_ASK] if self.router.star else []
        if model.realtime:
            questions += [bytes((0x10, 0x04, n)) for n in (1, 2, 4)]
        for raw in questions:
            self.realtime(None, raw, answered)
        return len(questions)

    def _send_realtime(self) -> None:
        while self.urgent and self.up and not self.out and self.at_boundary():
            self._put_realtime(*self.urgent.popleft())

    def _answer_the_waiting(self) -> None:
        """The printer is gone: questions that wait for a boundary are answered with that."""
        waiting, self.urgent = self.urgent, deque()
        for link, raw, _ in waiting:
            if link is not None:
                self._told_from_memory(link, raw)

    def boundary(self) -> None:
        """The holder's stream has come to the end of a token."""
        if self.urgent:
            self._send_realtime()

    def at_boundary(self) -> bool:
        holder = self.turns.holder
        return holder is None or bool(getattr(holder, "at_boundary", True))

    # ------------------------------------------------------------------ from the printer

    def _ready(self, events: int) -> None:
        if not self.up:
            self._opened()
            return
        if events & (IN | BROKEN):
            assert self.link is not None
            try:
                data = self.link.read()
                if data == b"":
                    raise DeviceGone(f"{self.link.peer} closed the connection")
            except DeviceGone as error:
                self.gone(error)
                return
            if data:
                self.counters.bytes_in += len(data)
                self.router.heard(data, self.only, self.loop.now)
        if events & OUT and self.up:
            self._flush()

    def _to_pos(self, link: PosLink | None, data: bytes) -> None:
        if link is None:  # nobody asked: who printed last may know what to do with it
            holder = self.turns.holder
            link = holder if holder in self.pos else self.pos[-1] if self.pos else None
        if link is not None:
            link.answer(data)

    # ------------------------------------------------------------------ POS links

    def add(self, link: PosLink) -> None:
        self.pos.append(link)
        self.only = link if len(self.pos) == 1 else None

    def remove(self, link: PosLink) -> None:
        if link in self.pos:
            self.pos.remove(link)
        self.only = self.pos[0] if len(self.pos) == 1 else None
        self.router.forget(link)
        self.turns.release(link)

    def _free(self) -> None:
        if self.urgent:
            self._send_realtime()
        self.on_free()

    def counted(self) -> dict[str, int]:
        """Its counters, as far as they are not zero."""
        self.counters.bytes_out = self.taken_total()
        return self.counters.counted()

    def status(self) -> dict[str, Any]:
        known = self.router.status.as_dict()
        if not self.up:
            known["online"] = False
        return known | {
            "connected": self.up,
            "model": self.model.name,
            "says": self.says,
            "asks_for_probe": self.up and self.model_is_ours and not self.says,
            "busy": self.turns.holder is not None,
            "unwritten": self.out_size,
        }
