"""What the printer sends goes to the POS that asked; answers to our own questions never reach one.

Questions that are not real-time, ours and the POS's, stand in one queue, and answers are assigned in that order;
real-time answers have a queue of their own and are known by their fixed bits, as automatic status is.
With one POS, and nothing asked by us, bytes pass as they come, and are only watched.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from receipt.status import (
    UNKNOWN,
    Answers,
    Form,
    StarAnswers,
    Status,
    from_asb,
    from_eot,
    from_gs_r,
    from_star_asb,
    from_star_byte,
)
from receipt.tokens import Answer

if TYPE_CHECKING:
    from relay.link import PosLink

FORGET_S = 15.0  # a question without an answer; while the printer stands still, answers may take hours
MOST_ASKED = 256
WATCHED = 256  # a longer piece of answer is data, not status


class Ask:
    """A question on its way. `who`: a POS link, or a function of ours that takes the answer."""

    __slots__ = ("fits", "form", "n", "when", "who")

    def __init__(
        self,
        who: PosLink | Callable[[bytes], None],
        form: Form,
        n: int,
        when: float,
        fits: Callable[[bytes], bool] | None = None,
    ) -> None:
        self.who, self.form, self.n, self.when = who, form, n, when
        self.fits = fits  # None: whatever has the form


class Router:
    """One printer's answers."""

    def __init__(
        self, to_pos: Callable[[PosLink | None, bytes], None], changed: Callable[[], None], *, star: bool = False
    ) -> None:
        self.star = star
        self.status: Status = UNKNOWN
        self.status_at = 0.0  # when it was last heard of
        self.asb: set[PosLink] = set()
        self.wary_until = 0.0  # an answer of ours may come though nobody waits for it any more
        self.ours = 0  # questions of ours that are not answered yet
        self.unasked: Callable[[bytes], bool] | None = None  # may take a block that nobody waits for
        self._to_pos, self._changed = to_pos, changed
        self._parser, self._shown = self._fresh(), 0  # of the parser's pending bytes, so many went to the POS
        self._beside: set[str] = set()  # what of the status the device told beside the stream
        self._eots: dict[int, bytes] = {}  # the last answer to each DLE EOT n: the status holds what it says
        self._realtime: deque[Ask] = deque()
        self._queue: deque[Ask] = deque()

    def _fresh(self) -> Answers | StarAnswers:
        return StarAnswers() if self.star else Answers()

    def pos_asks(self, link: PosLink, answer: Answer, raw: bytes, now: float) -> None:
        """A POS question has gone to the printer."""
        n = raw[2] if len(raw) > 2 else 1
        if answer is Answer.REALTIME:
            self._add(self._realtime, Ask(link, Form.REALTIME, n, now))
        elif answer is Answer.BYTE:
            if raw[:2] in (b"\x1bv", b"\x1bu"):
                n = 1 if raw[1:2] == b"v" else 2
            elif raw[:2] != b"\x1dr":
                n = 0
            self._add(self._queue, Ask(link, Form.BYTE, n, now))
        elif answer in (Answer.BLOCK, Answer.REALTIME_BLOCK):
            self._add(self._queue, Ask(link, Form.BLOCK, n, now))
        elif answer is Answer.ASB:
            if n:
                self.asb.add(link)
            else:
                self.asb.discard(link)
        elif answer is Answer.STAR and self.star:
            if len(raw) == 1 and raw[0] in (4, 5):
                self._add(self._realtime, Ask(link, Form.REALTIME, raw[0], now))
            elif raw == b"\x1b\x06\x01":
                self._add(self._realtime, Ask(link, Form.ASB, 0, now))
            elif raw[:3] == b"\x1b\x1ea":
                if raw[3] & 1:
                    self.asb.add(link)
                else:
                    self.asb.discard(link)

    def we_ask(
        self,
        take: Callable[[bytes], None],
        form: Form,
        n: int,
        now: float,
        fits: Callable[[bytes], bool] | None = None,
    ) -> Ask:
        ask = Ask(take, form, n, now, fits)
        self._add(self._realtime if form in (Form.REALTIME, Form.ASB) else self._queue, ask)
        self.ours += 1
        return ask

    def give_up(self, ask: Ask) -> None:
        """Nobody waits for this answer any more."""
        for asked in (self._realtime, self._queue):
            if ask in asked:
                asked.remove(ask)
                self._drop(ask)

    def _add(self, asked: deque[Ask], ask: Ask) -> None:
        if len(asked) >= MOST_ASKED:
            self._drop(asked.popleft())
        asked.append(ask)

    def _drop(self, ask: Ask) -> None:
        if callable(ask.who):
            self.ours -= 1

    def waits(self, link: PosLink) -> bool:
        """Has this POS asked something that is not answered yet?"""
        return any(ask.who is link for ask in self._realtime) or any(ask.who is link for ask in self._queue)

    def reset(self) -> None:
        """The printer is gone: what was asked will not be answered."""
        for asked in (self._realtime, self._queue):
            while asked:
                self._drop(asked.popleft())
        self._parser, self._shown = self._fresh(), 0
        self.asb.clear()
        self.status = replace(self.status, **dict.fromkeys(self._beside))
        self._beside.clear()

    def device_says(self, known: dict[str, Any]) -> None:
        """The device has told this beside the stream. It knows `out` from `ok`, and nothing of `near`."""
        if known.get("paper") == "ok" and self.status.paper == "near":
            del known["paper"]
        before, self.status = self.status, replace(self.status, **known)
        self._beside |= known.keys()
        if self.status != before:
            self._eots.clear()
            self._changed()

    def forget(self, link: PosLink) -> None:
        self.asb.discard(link)

    def heard(self, data: bytes, only: PosLink | None, now: float) -> None:
        """Bytes from the printer. `only`: the one POS link there is."""
        if self.ours:
            self._forget_old(self._realtime, now)
            self._forget_old(self._queue, now)
        if only is not None and not self.ours and now >= self.wary_until:
            if len(self._parser.pending) > self._shown:  # held back while a question of ours was open
                self._to_pos(only, self._parser.pending[self._shown :])
                self._shown = len(self._parser.pending)
            self._to_pos(only, data)
            if (
                len(data) == 1
                and self._realtime
                and not self.star
                and data[0] & 0x93 == 0x12
                and not self._parser.pending
            ):
                first = self._realtime.popleft()  # by far the most frequent answer
                if self._eots.get(first.n) == data:
                    self.status_at = now
                else:
                    before = self.status
                    self._learn(Form.REALTIME, data, first, now)
                    if self.status != before:
                        self._eots.clear()
                    self._eots[first.n] = data
                return
            if len(data) > WATCHED:
                self._parser, self._shown = self._fresh(), 0
                return
            for form, answer in self._parser.feed(data):
                self._learn(form, answer, self._take(form, answer, now), now)
            self._shown = len(self._parser.pending)
            return
        for form, answer in self._parser.feed(data):
            ask = self._take(form, answer, now)
            self._learn(form, answer, ask, now)
            new = answer[self._shown :]  # the POS may have its beginning already
            self._shown = max(0, self._shown - len(answer))
            if form is Form.ASB and ask is None and self.asb:
                for link in tuple(self.asb):
                    self._to_pos(link, new)
            elif ask is None:
                if not (form is Form.BLOCK and self.unasked is not None and self.unasked(answer)):
                    self._to_pos(only, new)
            elif callable(ask.who):
                self.ours -= 1
                ask.who(answer)
            else:
                self._to_pos(ask.who, new)

    def _take(self, form: Form, answer: bytes, now: float) -> Ask | None:
        """The question that this is the answer to."""
        if form is Form.REALTIME or (form is Form.ASB and self.star):
            asked = self._realtime
        elif form in (Form.BYTE, Form.BLOCK):
            asked = self._queue
        else:
            return None
        self._forget_old(asked, now)
        for at, ask in enumerate(asked):
            if ask.form is form and (ask.fits is None or ask.fits(answer)):
                if self.star and form is Form.REALTIME and (ask.n == 4) != bool(answer[0] & 0x10):
                    continue  # of ENQ and EOT, this is the other one's
                for _ in range(at if form is Form.REALTIME else 0):
                    self._drop(asked.popleft())
                del asked[0 if form is Form.REALTIME else at]
                return ask
        return None

    def _forget_old(self, asked: deque[Ask], now: float) -> None:
        """Questions that will not be answered any more. While the printer stands still, answers may take hours."""
        patience = FORGET_S if asked is self._realtime or self.status.online is not False else 1e9
        while asked and now - asked[0].when > patience:
            self._drop(asked.popleft())

    def _learn(self, form: Form, answer: bytes, ask: Ask | None, now: float) -> None:
        before = self.status
        if not (form is Form.REALTIME and ask is not None):
            self._eots.clear()
        if self.star:
            if form is Form.ASB:
                self.status = from_star_asb(answer, before)
            elif form is Form.REALTIME and ask is not None:
                self.status = from_star_byte(answer[0], before)
            else:
                return
        elif form is Form.REALTIME and ask is not None:
            self.status = from_eot(ask.n, answer[0], before)
        elif form is Form.BYTE and ask is not None:
            self.status = from_gs_r(ask.n, answer[0], before)
        elif form is Form.ASB:
            self.status = from_asb(answer, before)
        else:
            return
        self.status_at = now
        if self.status != before:
            self._changed()
