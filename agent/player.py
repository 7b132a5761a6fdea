"""Make a noise, whatever is broken: simpleaudio in a child process, else aplay, else the printer's buzzer.

A signal may be followed by words (agent/voice.py), and is as loud as the settings say; what was put together is kept in
`cache`, so that a repeat costs nothing. Where that fails, the bare signal is played.

A sound that none of them could play is a `SilentError`: the alert is shown, and the silence itself is reported.
No sound card, a busy one, a crash in the library and a hang are all the same to the caller: the next way is tried.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import sys
import wave
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from agent import voice
from agent.clips import Clips
from config.box import Alerts

log = logging.getLogger("tillwire.agent")

LIMIT_S = 8.0  # for a whole sound: the longest is 5 s
CACHED = 60  # files of sounds with words that are kept
SHIPPED = Path(__file__).parent.parent / "config" / "sounds"


class SilentError(Exception):
    """Nothing could make this sound; the message names what was tried."""


def _in(folder: Path) -> Callable[[str], Path | None]:
    return lambda stem: folder / f"{stem}.wav"


def _is_sound(path: Path) -> bool:
    try:
        with wave.open(str(path), "rb") as sound:
            return sound.getnframes() > 0
    except (OSError, EOFError, wave.Error) as error:
        log.warning("sound=%s is no WAV file, another one is played: %s", path, error)
        return False


class Player:
    def __init__(
        self,
        alerts: Alerts,
        buzz: Callable[[], Awaitable[bool]] | None = None,
        cache: Path | None = None,
        clips: Clips | None = None,
    ) -> None:
        self.settings, self.cache, self.clips = alerts, cache, clips
        self.folder = Path(alerts.sounds_dir) if alerts.sounds_dir else SHIPPED
        self.last_way = ""  # simpleaudio | aplay | buzzer: what played last
        self._buzz = buzz
        self._child: asyncio.subprocess.Process | None = None
        self._library = True
        self._turn = asyncio.Lock()

    def path(self, name: str) -> Path:
        """The merchant's own sound of that name (agent/clips.py), else that of the shop's folder, else the shipped one.
        A wrong or missing name falls back to `fault`."""
        own = self.clips.files() if self.clips else {}
        for stems in ((name, name.rpartition("_")[0]), ("fault",)):
            for find in (own.get, _in(self.folder), _in(SHIPPED)):
                for stem in stems:
                    if stem and (found := find(stem)) is not None and found.is_file() and _is_sound(found):
                        return found
        return SHIPPED / "fault.wav"

    async def play(self, name: str, say: Sequence[str] = ()) -> str:
        """-> the way it was played. Raises SilentError."""
        path = await asyncio.to_thread(self.made, name, say)
        tried: list[str] = []
        async with self._turn:
            for way, attempt in (
                ("simpleaudio", self._in_child),
                ("aplay", self._with_aplay),
                ("buzzer", self._buzzer),
            ):
                problem = await attempt(path)
                if problem is None:
                    if way != self.last_way:
                        log.info(
                            "sound=%s is played by %s%s", path.name, way, f" ({'; '.join(tried)})" if tried else ""
                        )
                    self.last_way = way
                    return way
                tried.append(f"{way}: {problem}")
        self.last_way = ""
        raise SilentError("; ".join(tried))

    def made(self, name: str, say: Sequence[str] = ()) -> Path:
        """The file to play: the signal itself, or one made of it with words and loudness."""
        signal = self.path(name)
        words = tuple(say) if self.settings.voice else ()
        if self.cache is None or not (words or self.settings.volume != 100):
            return signal
        try:
            stamp = f"{signal}:{signal.stat().st_mtime_ns}:{words}:{self.settings.voice}:{self.settings.volume}"
            path = self.cache / f"{hashlib.sha256(stamp.encode()).hexdigest()[:24]}.wav"
            if path.is_file():
                return path
            self.cache.mkdir(parents=True, exist_ok=True)
            for old in sorted(self.cache.glob("*.wav"), key=lambda file: file.stat().st_mtime)[:-CACHED]:
                old.unlink(missing_ok=True)
            own = self.folder if self.settings.sounds_dir else None
            return voice.announcement(path, signal, words, self.settings.voice, own, self.settings.volume)
        except (OSError, ValueError, EOFError, wave.Error) as error:
            log.warning("sound=%s words=%s cannot be put together: %s", name, " ".join(words), error)
            return signal

    async def stop(self) -> None:
        child, self._child = self._child, None
        if child is not None and child.returncode is None:
            child.kill()
            await child.wait()

    async def _in_child(self, path: Path) -> str | None:
        """-> None when it was played, else what happened."""
        if not self._library:
            return "simpleaudio is not installed"
        if "\n" in str(path):
            return "the file's name has a line break"
        try:
            child = await self._running()
        except OSError as error:
            return f"the child cannot be started: {error}"
        assert child.stdin is not None and child.stdout is not None
        started = False
        try:
            async with asyncio.timeout(LIMIT_S):
                child.stdin.write(f"play {path}\n".encode())
                await child.stdin.drain()
                while line := (await child.stdout.readline()).decode(errors="replace").strip():
                    word = line.partition(" ")[0]
                    if word == "done":
                        return None
                    if word == "error":
                        return line.removeprefix("error ").removeprefix(f"{path}: ")
                    started = started or word == "started"
                code = await child.wait()
        except TimeoutError:
            await self.stop()
            return f"no end within {LIMIT_S:.0f} s"
        except ConnectionError:
            code = await child.wait()
        except BaseException:
            await self.stop()
            raise
        self._child = None
        self._library = code != 3
        return None if started else f"the child ended with {code}"

    async def _running(self) -> asyncio.subprocess.Process:
        if self._child is None or self._child.returncode is not None:
            self._child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "drivers.sound",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=os.environ | {"PYTHONMALLOC": "malloc"},
            )
        return self._child

    async def _with_aplay(self, path: Path) -> str | None:
        try:
            child = await asyncio.create_subprocess_exec(
                "aplay", "-q", str(path), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
            )
        except OSError as error:
            return f"cannot be started: {error.strerror}"
        try:
            async with asyncio.timeout(LIMIT_S):
                _, told = await child.communicate()
        except TimeoutError:
            child.kill()
            await child.wait()
            return f"no end within {LIMIT_S:.0f} s"
        if child.returncode == 0:
            return None
        return told.decode(errors="replace").strip().rpartition("\n")[2] or f"ended with {child.returncode}"

    async def _buzzer(self, _path: Path) -> str | None:
        if self._buzz is None:
            return "none"
        return None if await self._buzz() else "the printer has none, or is gone"
