"""Disk space kept for tombstones: a file that is given up when the disk is full, so that what was lost can be told.

Nothing here raises but `check`: a disk that is full, read-only or gone costs captures, never the journal's thread.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from relay.recording import Recording
from relay.store import Full

RESERVE = 128 * 1024


class Space:
    """`full`: the disk was full, or cannot be used, and the reserve is spent."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._reserve = folder, folder / "capture.reserve"
        self.full = False

    def make(self) -> None:
        """Make the reserve, where there is room for it and for some work."""
        try:
            there = self._reserve.exists()
            if not there and self._free() >= 4 * RESERVE:
                self._reserve.write_bytes(b"\xa5" * RESERVE)
                there = True
            self.full = not there or self._free() < 4 * RESERVE
        except OSError:
            self._give_up()

    def release(self) -> None:
        """The disk is full: what was kept is for tombstones now."""
        self.full = True
        self._give_up()

    def check(self, recording: Recording, owed: int) -> None:
        """Raises Full while the disk could not hold this, the `owed` bytes of the WAL, and some tombstones."""
        size = sum(map(len, recording.buffer)) + sum(map(len, tuple(recording.inbox)))
        if self._free() < 2 * size + owed + 2 * RESERVE:
            self.full = True
            raise Full("the disk is nearly full; what is left is for tombstones")

    def size(self) -> int:
        """Of the whole disk, in bytes."""
        disk = os.statvfs(self._folder)
        return disk.f_blocks * disk.f_frsize

    def _free(self) -> int:
        disk = os.statvfs(self._folder)
        return disk.f_bavail * disk.f_frsize

    def _give_up(self) -> None:
        with contextlib.suppress(OSError):  # read-only, or gone
            self._reserve.unlink(missing_ok=True)
