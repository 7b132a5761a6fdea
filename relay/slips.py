"""Slips on one printer: printed between POS jobs, never twice without a mark, and told of truthfully.

    queued   it waits for its turn; `reason` says what else it waits for (paper out, cover open ...)
    started  committed before its first byte
    done     its bytes went out; `proof` says how surely they became paper: L0 the device took them, L1 the printer
             answered a question that stood behind them and is well, L2 it answered the slip's own process id
    failed   none of its bytes was taken · expired, withdrawn: it was never started

Once its bytes and questions are written, the printer is free for the next POS job; the answers come in turn.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from relay.counters import Counters
from relay.fates import Fate
from relay.journal import Journal
from relay.loop import Loop, Timer
from relay.printer import PrinterLink
from relay.proof import Asking, CutShort, Proof, pid_in

QUIET_S = 1.0  # after a POS byte
AGAIN_S = 2.0  # when it is not well
HUSH_S = 15.0  # a printer that has answered before and says nothing now gets so long: what it is sent may be lost
HUSHED_AGAIN_S = 0.5
LINGER_S = 2.0  # how long the turn is kept for answers when no POS wants it
TORN_MOST = 1024 * 1024  # a POS broke off inside a picture: so many NULs may end it, so that the slip is no part of it
RESET = b"\x1b@"
log = logging.getLogger("relay.slips")


class Slips:
    def __init__(
        self,
        loop: Loop,
        printer: PrinterLink,
        journal: Journal,
        counters: Counters,
        told: Callable[[Fate], None],
    ) -> None:
        self.loop, self.printer, self.journal, self.counters, self._told = loop, printer, journal, counters, told
        self.queue: deque[dict[str, Any]] = deque()
        self._now: dict[str, Any] | None = None  # the slip that has, or wants, the turn
        self._stage = ""  # "" checking starting writing proving
        self._timer: Timer | None = None
        self._expiry: Timer | None = None
        self._proof_timer: Timer | None = None
        self._ask_after = 0.0  # it said that it is not well: it is not asked again before, unless it says otherwise
        self._start_after = 0.0  # a start could not be recorded, or nobody answers: not tried again before
        self._asked_at = 0.0
        self.has_answered = False  # questions, ever: at the start the journal says so
        self._hush: tuple[dict[str, Any], float] | None = None  # the slip, since when an answer is waited for
        self._asking: Asking | None = None
        self._proving: Proof | None = None
        self._told_reason: dict[tuple[str, int], str] = {}
        printer.on_free = self.check
        printer.on_gone = self._printer_gone
        printer.router.unasked = self._unasked
        self._cut_short: list[CutShort] = []

    at_boundary = True

    # ------------------------------------------------------------------ waiting

    def add(self, slip: dict[str, Any]) -> None:
        self.queue.append(slip)
        self.check()

    def resume(self, slip: dict[str, Any]) -> None:
        """The relay died while this one was printed. Never again by itself; but its proof may still come."""
        self._cut_short.append(CutShort(self, slip))

    def remove(self, slip: str, attempt: int) -> None:
        """It was withdrawn."""
        self.queue = deque(s for s in self.queue if (s["slip"], s["attempt"]) != (slip, attempt))

    def is_started(self, slip: str, attempt: int) -> bool:
        now = self._now
        return now is not None and (now["slip"], now["attempt"]) == (slip, attempt) and self._stage != "checking"

    def check(self) -> None:
        """Can the next slip be printed? Called whenever something changed that it may have waited for."""
        for cut_short in self._cut_short:
            cut_short.listen()
        if not self.queue and self._expiry is None:
            return
        self._drop_expired()
        if not self.queue or self._stage or not self.printer.up:
            return
        wait = max(self._start_after, self._ask_after if self.printer.router.status.trouble else 0.0) - self.loop.now
        if wait > 0:
            self._again(wait)
            return
        wait = self.printer.last_byte + QUIET_S - self.loop.now
        if self.printer.last_byte and wait > 0:
            self._again(wait)
            return
        if not self.printer.all_taken:  # what is not taken may have to be written again, before the slip
            self._again(0.1)
            return
        if any(link.held for link in self.printer.pos) or not self.printer.turns.claim_if_free(self):
            return
        self._now = self.queue[0]
        self._stage = "checking"
        if self.printer.model.answers and self.printer.model.realtime:
            self._asked_at = self.loop.now
            self._asking = Asking(self.loop, self.printer, self._checked)
        else:
            self._checked()

    def _drop_expired(self) -> None:
        now = self.loop.now
        for slip in tuple(self.queue):
            if slip["valid_until"] <= now and not (slip is self._now and self._stage != "checking"):
                self.queue.remove(slip)
                why = self._told_reason.pop((slip["slip"], slip["attempt"]), "")
                self._change(slip, "expired", reason=why or self._why_waiting())
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        if self.queue:
            self._expiry = self.loop.at(min(slip["valid_until"] for slip in self.queue) + 0.01, self.check)

    def _why_waiting(self) -> str:
        if not self.printer.up:
            return "printer cannot be reached"
        return self.printer.router.status.trouble or "the POS was printing"

    def _again(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.after(seconds, self.check)

    # ------------------------------------------------------------------ the turn

    def turn(self) -> None:
        """The printer takes bytes again."""
        if self._stage == "writing":
            self._written()

    def asked_to_yield(self) -> bool:
        """A POS wants to print. Yes, unless bytes of a slip are on their way."""
        if self._stage == "checking":
            self._stop_asking()
            self._stage, self._now = "", None
            return True
        return self._stage == "proving"

    def _release(self) -> None:
        self.printer.turns.release(self)

    def between_jobs(self, raw: bytes) -> bool:
        """Write a few bytes of ours now, if nobody prints. -> whether that was done."""
        printer = self.printer
        free = printer.up and not printer.out and printer.turns.holder is None and not printer.turns.wanted
        if free and raw:
            printer.send(raw)
        return free

    def _stop_asking(self) -> None:
        if self._asking is not None:
            self._asking.stop()
            self._asking = None

    def _timer_for(self, seconds: float, call: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.after(seconds, call)

    # ------------------------------------------------------------------ printing

    def _checked(self) -> None:
        slip = self._now
        if slip is None or self._stage != "checking":
            return
        trouble = self.printer.router.status.trouble or self._says_nothing(slip)
        if slip not in self.queue or slip["valid_until"] <= self.loop.now or trouble:
            self._stage, self._now = "", None
            if self.printer.router.status.trouble:
                self._ask_after, self._hush = self.loop.now + AGAIN_S, None
            if trouble and slip in self.queue:
                self._tell_waiting(slip, trouble)
                self._again(AGAIN_S)
            self._release()
            if not trouble:
                self.check()
            return
        self._stage = "starting"
        self.journal.do(
            lambda store: store.fates.change(slip["slip"], slip["attempt"], "started"),
            self._started,
            self._not_started,
        )

    def _says_nothing(self, slip: dict[str, Any]) -> str:
        """The printer answered before, and none of three questions now: it may be off behind a print server that takes
        everything, or hang. What is not sent can still be printed elsewhere; after HUSH_S it is sent all the same,
        since only the way back may be broken. -> what is wrong; "" to go on."""
        now = self.loop.now
        if self._hush is None or self._hush[0] is not slip:
            self._hush = slip, self._asked_at
        since = self._hush[1]
        if self.printer.router.status_at >= since:  # an answer, if a slow one
            self.has_answered = True
            return ""
        if not self.has_answered or now - since >= HUSH_S:
            return ""
        self._start_after = now + HUSHED_AGAIN_S
        return "the printer does not answer"

    def _tell_waiting(self, slip: dict[str, Any], reason: str) -> None:
        key = (slip["slip"], slip["attempt"])
        if self._told_reason.get(key) != reason:
            self._told_reason[key] = reason
            self._change(slip, "queued", reason=reason)

    def _not_started(self, error: Exception) -> None:
        """What cannot be remembered is not printed: it would be printed twice after a crash."""
        slip, self._now, self._stage = self._now, None, ""
        log.error("slip=%s cannot be recorded: %s", slip and slip["slip"], error)
        self._start_after = self.loop.now + AGAIN_S
        self._again(AGAIN_S)
        self._release()

    def _started(self, fate: Fate) -> None:
        slip, printer = self._now, self.printer
        assert slip is not None
        self._told(fate)
        self.queue.remove(slip)
        self._told_reason.pop((slip["slip"], slip["attempt"]), None)
        if not printer.up:
            self._end_of(slip, "failed", reason="the printer went away before the first byte")
            return
        self._stage = "writing"
        self.counters.slips += 1
        self._before = printer.taken_total()
        proof = self._proving = Proof(self, slip)
        missing, when = printer.torn
        torn = b"\0" * min(missing, TORN_MOST) if when == printer.last_byte else b""
        data = torn + RESET + slip["raw"] + RESET + proof.questions(printer)
        for link in printer.pos:
            link.replay_due = True
        printer.send(data)
        self._written()

    def _written(self) -> None:
        """Everything is handed to the device? Then it is for the device to take it."""
        if self._stage != "writing" or self.printer.out:
            return
        if not self.printer.all_taken:
            self._timer_for(0.05, self._written)
            return
        slip, proof = self._now, self._proving
        assert slip is not None and proof is not None
        proof.taken()
        if self._stage == "writing":  # not proven on the spot
            self._stage = "proving"
            if self.printer.turns.wanted:
                self._now, self._stage = None, ""
                self._release()
            else:
                self._timer_for(LINGER_S, self._linger_over)

    def _linger_over(self) -> None:
        if self._stage == "proving":
            self._now, self._stage = None, ""
            self._release()
            self.check()

    def _printer_gone(self) -> bool:
        """-> True: what is left of the slip must not be written when the printer is back."""
        self._stop_asking()
        for cut_short in self._cut_short:
            cut_short.printer_gone()
        if self._stage == "checking":
            self._stage, self._now = "", None
            self._release()
        elif self._stage == "writing":
            slip = self._now
            assert slip is not None
            none_taken = self.printer.taken_total() <= self._before
            self._proving = None
            if none_taken:
                self._end_of(slip, "failed", reason="the printer went away before the first byte")
            else:
                self._end_of(slip, "done", "", "the printer went away while it was printed")
            return True
        return False

    def _end_of(self, slip: dict[str, Any], state: str, proof: str = "", reason: str = "") -> None:
        self._change(slip, state, proof, self.printer.status(), reason)
        if self._now is slip:
            self._now, self._stage = None, ""
            self._release()
        self.check()

    # ------------------------------------------------------------------ proof

    def proven(self, proof: Proof, level: str, reason: str) -> None:
        """What is known of a slip that was written; may come again when a late answer proves more."""
        slip = proof.slip
        self._change(slip, "done", level, self.printer.status(), reason)
        if self._now is slip and self._stage in ("writing", "proving"):
            self._now, self._stage = None, ""
            if self._timer is not None:
                self._timer.cancel()
            self._release()
        self.check()

    def ended(self, cut_short: CutShort, level: str, reason: str) -> None:
        """What became of a slip that was started before the relay was."""
        if cut_short in self._cut_short:
            self._cut_short.remove(cut_short)
        self._change(cut_short.slip, "done", level, self.printer.status(), reason)

    def may_ask(self) -> bool:
        """Between jobs: no POS has the turn."""
        return self.printer.turns.holder in (None, self)

    def _unasked(self, block: bytes) -> bool:
        """A block nobody waits for: the process id of an earlier slip?"""
        pid = pid_in(block)
        if pid is None:
            return False
        self.journal.do(lambda store: store.fates.late_proof(pid, self.printer.name), self._told_if)
        return True

    def _told_if(self, fate: Fate | None) -> None:
        if fate is not None:
            self._told(fate)

    def _change(
        self, slip: dict[str, Any], state: str, proof: str = "", status: dict[str, Any] | None = None, reason: str = ""
    ) -> None:
        log.info("slip=%s attempt=%s state=%s proof=%s reason=%s", slip["slip"], slip["attempt"], state, proof, reason)
        self.journal.do(
            lambda store: store.fates.change(slip["slip"], slip["attempt"], state, proof, status, reason),
            self._told,
            lambda error: log.error("slip=%s state=%s cannot be recorded: %s", slip["slip"], state, error),
        )
