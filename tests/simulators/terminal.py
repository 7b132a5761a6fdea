"""A technician at a terminal: the command `tillwire` in a pseudo-terminal, what it shows and what is typed."""

from __future__ import annotations

import os
import pty
import select
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
WITHIN_S = 60.0


class Terminal:
    """A program on a terminal of 80 columns: what it says is waited for, what is typed is answered."""

    def __init__(self, *words: str) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:  # the program
            os.chdir(ROOT)
            os.execv(sys.executable, [sys.executable, "-m", "agent.cli", *words])
        self.shown = ""
        self.code: int | None = None

    def until(self, text: str) -> str:
        """Everything shown since the last wait, once `text` is among it."""
        end = time.monotonic() + WITHIN_S
        while text not in self.shown:
            assert time.monotonic() < end, f"{text!r} does not come; shown is:\n{self.shown}"
            if not self._more(1.0):
                raise AssertionError(f"it ended without {text!r}:\n{self.shown}")
        at = self.shown.index(text) + len(text)
        before, self.shown = self.shown[:at], self.shown[at:]
        return before

    def types(self, line: str) -> None:
        os.write(self.fd, line.encode() + b"\n")

    def end(self) -> str:
        """What is still said; `code` is its exit code."""
        end = time.monotonic() + WITHIN_S
        while self._more(1.0):
            assert time.monotonic() < end, self.shown
        self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        return self.shown

    def _more(self, within: float) -> bool:
        if select.select([self.fd], [], [], within)[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:  # the other side is closed
                return False
            self.shown += data.decode("utf-8", "replace")
            return bool(data)
        return True
