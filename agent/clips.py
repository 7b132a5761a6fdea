"""The merchant's own alert sounds, as the cloud brings them (cloud/sounds.py): one file for each event.

A file's name is made here, EVENT.DIGEST.wav, and the status says these names; DIGEST is of what came: G.711 mu-law, one
channel, RATE a second. What is kept is the WAV file that is played.
"""

from __future__ import annotations

import array
import hashlib
import os
import re
import sys
import wave
from pathlib import Path

from agent.voice import MULAW, RATE

NAME = re.compile(r"^([a-z][a-z_]{0,39})\.([0-9a-f]{16})\.wav$")
EVENT = re.compile(r"[a-z][a-z_]{0,39}")
MOST = 32
LONGEST = 5 * RATE  # samples


class Clips:
    """The files of one folder; there need be none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def files(self) -> dict[str, Path]:
        """Event -> its file."""
        try:
            found = sorted(self.folder.iterdir())
        except OSError:  # nothing was ever brought
            return {}
        return {match[1]: path for path in found if (match := NAME.fullmatch(path.name))}

    def held(self) -> dict[str, str]:
        """Event -> digest: what the status says."""
        return {event: path.name.split(".")[1] for event, path in self.files().items()}

    def keep(self, event: str, data: bytes) -> None:
        """Raises ValueError, OSError."""
        if not EVENT.fullmatch(event) or not 0 < len(data) <= LONGEST:
            raise ValueError(f"a sound is for an event, and has at most {LONGEST} samples")
        if event not in (held := self.files()) and len(held) >= MOST:
            raise ValueError(f"this box keeps {MOST} sounds at most")
        frames = array.array("h", map(MULAW.__getitem__, data))
        if sys.byteorder == "big":
            frames.byteswap()
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{event}.{hashlib.sha256(data).hexdigest()[:16]}.wav"
        part = path.with_suffix(".part")
        with part.open("wb") as out, wave.open(out, "wb") as sound:
            sound.setparams((1, 2, RATE, 0, "NONE", ""))
            sound.writeframes(frames.tobytes())
        with part.open("rb") as done:
            os.fsync(done.fileno())
        part.replace(path)
        self._forget(event, path)

    def remove(self, event: str) -> None:
        """Raises OSError. What is not there is no error."""
        self._forget(event)

    def _forget(self, event: str, but: Path | None = None) -> None:
        if not EVENT.fullmatch(event):
            return
        for path in self.folder.glob(f"{event}.*"):
            if path != but:
                path.unlink(missing_ok=True)
