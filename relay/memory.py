"""What one POS has made of its printer, to be made again: the settings in force (P1), and the job under way.

A slip or a power cycle changes code page, tabs, margins or modes under a POS that sets them once and for ever. Where
jobs are reprinted (`when_lost`), the bytes of the one under way are kept too.
"""

from __future__ import annotations

from collections import deque

from receipt.tokens import Command
from relay.kinds import INIT, STATE, Note

REPRINT = b"\n*** REPRINT: the printer was off ***\n"
REPRINT_MOST = 1024 * 1024  # a longer job goes on where it stood
PARTS = {"star_raster": 4, "star_function": 4, "star_qr": 5, "star_pdf417": 5}  # one row, several settings: told by


class Memory:
    """`job_size`: bytes of the job under way that are kept; 0 where it is not kept, or not whole."""

    def __init__(self) -> None:
        self._settings: dict[tuple[Command, bytes], bytes] = {}  # since the last ESC @
        self._job = bytearray()
        self._job_is_whole = True
        self._settings_then = b""  # when the job began

    def note(self, note: Note) -> None:
        """A command that sets state has gone to the printer."""
        command, kind, raw, _ = note
        if kind & INIT:
            self._settings.clear()
        elif command.name == "star_raster_off":
            self._settings = {key: raw for key, raw in self._settings.items() if key[0].name != "star_raster_on"}
        elif kind & STATE:
            key = (command, raw[: PARTS.get(command.name, 6 if raw[1:2] == b"(" else 0)])
            self._settings.pop(key, None)
            self._settings[key] = raw

    @property
    def settings(self) -> bytes:
        """The commands that set all of it again."""
        return b"".join(self._settings.values())

    def keep(self, data: bytes, at: int, starts: deque[int]) -> None:
        """These bytes pass now; `at` is where they stand in the stream, and jobs begin at `starts`."""
        begun = None
        while starts and starts[0] < at + len(data):
            begun = starts.popleft()
        if begun is not None:
            self._job = bytearray() if begun >= at else self._job[len(self._job) - (at - begun) :]
            self._job += data[max(begun - at, 0) :]
            self._settings_then = self.settings
            self._job_is_whole = True
        elif self._job_is_whole:
            self._job += data
        if len(self._job) > REPRINT_MOST:
            self._job.clear()
            self._job_is_whole = False

    @property
    def job_size(self) -> int:
        return len(self._job)

    def reprint(self) -> bytes:
        """The job from its beginning, under a line that says so."""
        return REPRINT + self._settings_then + bytes(self._job)
