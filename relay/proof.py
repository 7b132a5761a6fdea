"""How surely a slip became paper: questions that stand behind it, and what their answers prove.

L0  the device took the bytes · L1  the printer worked through to a question behind them, and is well
L2  it answered the slip's own process id (GS ( H), which it does after printing
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from receipt.status import Form, ask_process_id, process_id
from relay.answers import Ask
from relay.loop import Loop, Timer
from relay.printer import PrinterLink

if TYPE_CHECKING:
    from relay.slips import Slips

PROOF_S = 10.0  # how long an answer may take once the bytes are taken
CHECK_S = 0.4  # how long the printer may take to say how it is
WARY_S = 600.0  # how long a late answer is kept from the POS, and looked at
PAPER_NOW = b"\x1dr\x01"


class Asking:
    """DLE EOT 1, 2 and 4: `then` once all are answered, or nothing more comes."""

    def __init__(self, loop: Loop, printer: PrinterLink, then: Callable[[], None]) -> None:
        self._left = 3
        self._then: Callable[[], None] | None = then
        self._timer = loop.after(CHECK_S, self._over)
        for n in (1, 2, 4):
            printer.realtime(None, bytes((0x10, 0x04, n)), self._answered)

    def _answered(self, answer: bytes) -> None:
        self._left -= 1
        if self._left == 0:
            self._over()

    def _over(self) -> None:
        then = self._then
        self.stop()
        if then is not None:
            then()

    def stop(self) -> None:
        self._then = None
        self._timer.cancel()


class Proof:
    """The questions behind one slip, and what their answers prove."""

    def __init__(self, slips: Slips, slip: dict[str, Any]) -> None:
        self.slips, self.slip = slips, slip
        self._paper: Ask | None = None
        self._process: Ask | None = None
        self._answered = False
        self._level = ""
        self._told = False
        self._timer: Timer | None = None
        self._taken = False

    def questions(self, printer: PrinterLink) -> bytes:
        """The bytes to send behind the slip. The answers have their place in the printer's queue from now on."""
        model, router, now = printer.model, printer.router, self.slips.loop.now
        asked = b""
        if model.answers and model.ask_after:
            self._paper = router.we_ask(self._paper_says, Form.BYTE, 1, now)
            asked += PAPER_NOW
        if model.answers and model.process_id:
            self._process = router.we_ask(self._process_says, Form.BLOCK, 0, now)
            asked += ask_process_id(pid_bytes(self.slip["pid"]))
        return asked

    def taken(self) -> None:
        """The device has all bytes: L0, and the printer has its time to answer."""
        self._taken = True
        if self._paper is None and self._process is None:
            self._tell("L0", "this printer gives no answers")
        elif not self._told:
            self._timer = self.slips.loop.after(PROOF_S, self._no_answer)

    def _paper_says(self, answer: bytes) -> None:
        self._answered = True
        if self._process is not None:
            return  # its answer comes right behind, and proves more
        self._ask_how_it_is()

    def _process_says(self, answer: bytes) -> None:
        if pid_in(answer) == self.slip["pid"]:
            self._tell("L2", "")
        elif self._answered:
            self._ask_how_it_is()

    def _ask_how_it_is(self, then: Callable[[], None] | None = None) -> None:
        slips = self.slips
        if slips.printer.up and slips.printer.model.realtime and slips.may_ask():
            Asking(slips.loop, slips.printer, then or self._grade)
        else:
            (then or self._grade)()

    def _grade(self) -> None:
        trouble = self.slips.printer.router.status.trouble
        self._tell("L0" if trouble else "L1", trouble)

    def _no_answer(self) -> None:
        """The answer may still come when the paper is refilled: then it lands late."""
        if self._answered:
            self._grade()
        else:
            self._ask_how_it_is(self._give_up)

    def _give_up(self) -> None:
        trouble = self.slips.printer.router.status.trouble
        self._tell("L0", trouble or f"no answer within {PROOF_S:.0f} s")

    def _tell(self, level: str, reason: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._told and level <= self._level:
            return
        late = self._told
        self._told, self._level = True, level
        self.slips.proven(self, level, "late" if late and not reason else reason)


class CutShort:
    """A slip that was started when the relay died: for PROOF_S the printer may still answer its process id.

    The question is not put again: a printer answers it at once, whatever became of the slip.
    """

    def __init__(self, slips: Slips, slip: dict[str, Any]) -> None:
        self.slips, self.slip = slips, slip
        self._ask: Ask | None = None
        model = slips.printer.model
        self._timer = slips.loop.after(PROOF_S if model.answers and model.process_id else 0.0, self._over)
        self.listen()

    def listen(self) -> None:
        """The printer is there (again): its answer has its place in the queue."""
        printer = self.slips.printer
        if printer.up and self._ask is None:
            self._ask = printer.router.we_ask(self._proven, Form.BLOCK, 0, self.slips.loop.now, self._is_mine)

    def printer_gone(self) -> None:
        self._ask = None

    def _is_mine(self, block: bytes) -> bool:
        return bool(pid_in(block) == self.slip["pid"])

    def _proven(self, answer: bytes) -> None:
        self._timer.cancel()
        self.slips.ended(self, "L2", "proven after the relay had stopped while it was printed")

    def _over(self) -> None:
        if self._ask is not None:
            self.slips.printer.router.give_up(self._ask)
            self.slips.printer.router.wary_until = self.slips.loop.now + WARY_S
        self.slips.ended(self, "", "the relay stopped while it was printed")


def pid_in(block: bytes) -> int | None:
    """The number of a process id's answer; None: it is none."""
    four = process_id(block)
    return None if four is None else _pid_number(four)


def pid_bytes(number: int) -> bytes:
    """A count as four bytes of 32..126."""
    return bytes(32 + number // 95**place % 95 for place in (3, 2, 1, 0))


def _pid_number(four: bytes) -> int:
    number = 0
    for byte in four:
        number = number * 95 + byte - 32
    return number
