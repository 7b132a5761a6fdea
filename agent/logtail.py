"""The agent's latest log lines, in memory: the cloud may ask for them (send_logs). Ids and states, no contents."""

from __future__ import annotations

import logging
from collections import deque

LINES = 400
MOST_BYTES = 60_000  # of an answer: a message of the wire is at most 128 KiB
WIDEST = 500


class Tail(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._lines: deque[str] = deque(maxlen=LINES)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname).1s %(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record)[:WIDEST])

    def lines(self) -> list[str]:
        """The newest that fit, in their order."""
        out: list[str] = []
        room = MOST_BYTES
        for line in reversed(self._lines.copy()):
            room -= len(line.encode()) + 3
            if room < 0:
                break
            out.append(line)
        return out[::-1]
