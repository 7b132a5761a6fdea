"""Ask printers how and what they are, between jobs: for `tillwire doctor` and setup. Imported only when asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from config.models import find_model
from receipt.status import Form, ask_process_id, info_text, process_id

if TYPE_CHECKING:
    from relay.box import Relay
    from relay.printer import PrinterLink

WAIT_S = 1.0
TEST_ID = b"TILL"


def ask_all(relay: Relay, done: Callable[[], None]) -> None:
    """DLE EOT 1, 2 and 4 to every printer that nobody prints on; `done` when they answered, or after a second."""
    left = 0
    over = False

    def answered(answer: bytes) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            finish()

    def finish() -> None:
        nonlocal over
        if not over:
            over = True
            done()

    for printer in relay.printers.values():
        if printer.turns.holder is None:
            left += printer.ask_how_it_is(answered)
    if left:
        relay.loop.after(WAIT_S, finish)
    else:
        finish()


def probe(relay: Relay, url: str, done: Callable[[list[dict[str, Any]]], None], *, gently: bool = False) -> None:
    """What the configured printers say of themselves: name and maker, and whether they prove what they printed.

    `gently`: nobody stands in front of it. Only one that has answered DLE EOT is asked more: another might print it.
    Raises no error for a printer that says nothing: it is told as such.
    """
    printers = [p for p in relay.printers.values() if url in ("", p.url, p.name)]
    found = [_Probe(relay, printer, gently) for printer in printers]
    relay.loop.after(2 * WAIT_S if gently else WAIT_S, lambda: done([one.result() for one in found]))


class _Probe:
    def __init__(self, relay: Relay, printer: PrinterLink, gently: bool) -> None:
        self.relay, self.printer, self.gently = relay, printer, gently
        self.maker = self.model = ""
        self.proves = self.after = self.answers = False
        self.asked = printer.up and relay.slips[printer.name].between_jobs(b"")
        if not self.asked:
            return
        if printer.router.star:
            printer.ask_how_it_is(self._alive)
            return
        if not gently:
            self._ask()
        for n in (1, 2, 4):
            printer.realtime(None, bytes((0x10, 0x04, n)), self._alive)

    def _ask(self) -> None:
        printer, now = self.printer, self.relay.loop.now
        if not self.relay.slips[printer.name].between_jobs(b""):
            return
        router = printer.router
        router.we_ask(self._maker, Form.BLOCK, 66, now, _is_text)
        router.we_ask(self._model, Form.BLOCK, 67, now, _is_text)
        router.we_ask(self._process, Form.BLOCK, 0, now, lambda answer: process_id(answer) == TEST_ID)
        router.we_ask(self._worked_through, Form.BYTE, 1, now)
        printer.send(b"\x1dI\x42\x1dI\x43" + ask_process_id(TEST_ID) + b"\x1dr\x01")

    def _alive(self, answer: bytes) -> None:
        first, self.answers = not self.answers, True
        if self.gently and first and not self.printer.router.star:
            self._ask()

    def _maker(self, answer: bytes) -> None:
        self.answers, self.maker = True, info_text(answer) or ""

    def _model(self, answer: bytes) -> None:
        self.answers, self.model = True, info_text(answer) or ""

    def _process(self, answer: bytes) -> None:
        self.answers = self.proves = True

    def _worked_through(self, answer: bytes) -> None:
        self.answers = self.after = True

    def result(self) -> dict[str, Any]:
        known = find_model(self.model) if self.model else None
        return {
            "name": self.printer.name,
            "url": self.printer.url,
            "connected": self.printer.up,
            "asked": self.asked,
            "answers": self.answers,
            "maker": self.maker,
            "says": self.model,
            "process_id": self.proves,
            "proof": "L2" if self.proves else "L1" if self.after else "L0",
            "model": known[0] if known else "",
            "status": self.printer.status(),
        }


def _is_text(answer: bytes) -> bool:
    return info_text(answer) is not None
