"""Questions alone, more of them than any till asks: the printer is spared, and everybody else too.

One of each kind still goes to the printer while its state is not known; the rest is told from memory. The asker is not
read until it has waited for its turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.loop import Timer
from relay.printer import FRESH_S

if TYPE_CHECKING:
    from relay.link import PosLink

ASKS_PER_S, ASKS_AT_ONCE = 2000, 2000  # no till asks more often
CALM_MOST_S = 2.0


class Flood:
    """How much one POS link may still ask."""

    def __init__(self, link: PosLink) -> None:
        self._link = link
        self._may_ask, self._asked_at = float(ASKS_AT_ONCE), 0.0
        self._calm: Timer | None = None  # it has asked too much, and is not read for a while
        self.stub = b""  # the beginning of a question, whose end is still to come

    @property
    def waits(self) -> bool:
        return self._calm is not None

    def takes(self, data: bytes) -> bool:
        """Are these questions too many? Then they were answered here, and do not go to the printer."""
        link = self._link
        now, capture, printer = link.loop.now, link.capture, link.printer
        notes = capture.notes
        self._may_ask = min(self._may_ask + (now - self._asked_at) * ASKS_PER_S, ASKS_AT_ONCE) - len(notes)
        self._asked_at = now
        first = notes[0].end - len(notes[0].raw)
        if self._may_ask >= 0 or link.held or first < capture.scanner.position - len(data):
            return False
        if capture.tail:
            self.stub = data[-capture.tail :]
        link.counters.floods += 1
        told = bytearray()
        fresh = printer.router.status_at and now - printer.router.status_at <= FRESH_S
        put: set[bytes] = set() if not fresh and printer.up else {note.raw for note in notes}
        for note in notes:
            if note.raw in put:
                told += printer.from_memory(note.raw)
            else:
                put.add(note.raw)
                printer.realtime(link, note.raw)
        link.counters.answered_by_relay += len(told)
        if told:
            link.answer(bytes(told))
        if not link.closed and self._calm is None:
            link.pause()
            self._calm = link.loop.after(min(-self._may_ask / ASKS_PER_S, CALM_MOST_S), self._over)
        return True

    def _over(self) -> None:
        self._calm = None
        if not self._link.ended and not self._link.closed:
            self._link.turn()

    def stop(self) -> None:
        if self._calm is not None:
            self._calm.cancel()
