"""Whose turn it is on a printer: one POS job at a time, slips in between, never interleaved. POS first.

A slip that only asks the printer how it is gives way at once; one that has begun to print is finished.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol


class Turner(Protocol):
    """Who may have the turn."""

    def turn(self) -> None:
        """It is yours now."""

    def asked_to_yield(self) -> bool:
        """Another one wants the turn: True gives it up."""


class Turns:
    def __init__(self, free: Callable[[], None]) -> None:
        self.holder: Turner | None = None
        self._waiting: deque[Turner] = deque()
        self._free = free  # called when the turn is given back and no POS waits

    def claim(self, who: Turner) -> bool:
        """May `who` write now? If not, it stands in the queue, and turn() is called when its time comes."""
        holder = self.holder
        if holder is who:
            return True
        if holder is None or holder.asked_to_yield():
            self.holder = who
            if who in self._waiting:
                self._waiting.remove(who)
            return True
        if self.holder is who:  # the holder has let go, and it was our turn
            return True
        if who not in self._waiting:
            self._waiting.append(who)
        return False

    def claim_if_free(self, who: Turner) -> bool:
        """For slips: only when nobody has the turn or waits for it."""
        if self.holder is None and not self._waiting:
            self.holder = who
        return self.holder is who

    def release(self, who: Turner) -> None:
        if who in self._waiting:
            self._waiting.remove(who)
        if self.holder is not who:
            return
        self.holder = None
        if self._waiting:
            self.holder = self._waiting.popleft()
            self.holder.turn()
        else:
            self._free()

    @property
    def wanted(self) -> bool:
        return bool(self._waiting)
