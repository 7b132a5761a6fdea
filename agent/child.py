"""The reading child, seen from the agent: give it jobs, start it again when it died, never wait for it in vain.

The other side is agent/reader.py. Whatever stands on paper, a job costs at most TRIES children and TRIES x LIMIT_S of
their computing time. On a board that has no time to spare they may take PATIENCE times as long by the clock: a busy
machine is no job's fault, and a receipt is not to go out without its bytes for it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger("tillwire.agent")

TRIES = 3
START_S = 30.0  # for the child to load
LIMIT_S = 5.0  # of computing, for one reading; 4 MiB take well below one second
PATIENCE = 12  # times LIMIT_S, by the clock


class Unreadable(Exception):
    """The reading child crashed or hung on these bytes. `masked` is the masked form where it got that far."""

    def __init__(self, problem: str, masked: bytes | None) -> None:
        super().__init__(problem)
        self.masked = masked


class NoReader(Exception):
    """The reading child cannot be started at all: no job is to blame, and none is taken until it can."""


@dataclass(frozen=True, slots=True)
class Read:
    """What the child made of a job. `raw` None: it could not be masked. `packed` empty: it could not be read."""

    raw: bytes | None
    packed: bytes
    raster_only: bool


class Reader:
    """The reading child, one job at a time; started when it is needed, and again when it has died."""

    def __init__(self, command: list[str] | None = None) -> None:
        self._command = command or [sys.executable, "-m", "agent.reader"]
        self._child: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._owes = False  # an answer; whoever is asked meanwhile would be given it in place of his own
        self.crashes = 0

    async def read(
        self, raw: bytes, masked: bool, ready: Callable[[bytes], None] | None = None, profile: bytes = b""
    ) -> Read:
        """Mask (unless `masked`) and read. `ready` hears of the masked bytes before the reading begins; `profile` is
        what is known of the printer (agent/profiles.py).

        Never raises for what stands in the bytes: after TRIES crashes there is no reading. Raises NoReader.
        """
        form = raw if masked else None
        async with self._turn:
            for attempt in range(1, TRIES + 1):
                try:
                    return await self._once(raw if form is None else form, form is not None, ready, profile)
                except Unreadable as error:
                    self.crashes += 1
                    form = form or error.masked
                    log.error("reading bytes=%d attempt=%d of %d: %s", len(raw), attempt, TRIES, error)
        return Read(form, b"", False)

    async def mask_all(self, raws: list[bytes]) -> list[bytes]:
        """Only mask them, all in one go: many receipts at once. Raises Unreadable (one of them is bad), NoReader."""
        async with self._turn:
            child = await self._running()
            assert child.stdin is not None and child.stdout is not None
            try:
                async with _limit(child):
                    self._owes = True
                    for raw in raws:
                        child.stdin.write(b"k" + len(raw).to_bytes(4, "big") + raw)
                    forms = [await _form(child.stdout, raw) for raw in raws]
                    self._owes = False
                    return forms
            except (TimeoutError, asyncio.IncompleteReadError, ConnectionError) as error:
                await self.stop()
                raise Unreadable("one of many could not be masked", None) from error
            except BaseException:
                await self.stop()
                raise

    async def start(self) -> None:
        """Have the child there before the first job needs it."""
        async with self._turn:
            await self._running()

    async def stop(self) -> None:
        child, self._child, self._owes = self._child, None, False
        if child is not None and child.returncode is None:
            child.kill()
            await child.wait()

    async def _once(self, raw: bytes, masked: bool, ready: Callable[[bytes], None] | None, profile: bytes) -> Read:
        child = await self._running()
        assert child.stdin is not None and child.stdout is not None
        form = raw if masked else None
        try:
            async with _limit(child):
                self._owes = True
                if profile:
                    child.stdin.write(b"p" + len(profile).to_bytes(4, "big") + profile)
                child.stdin.write((b"r" if masked else b"m") + len(raw).to_bytes(4, "big") + raw)
                await child.stdin.drain()
                if form is None:
                    form = await _form(child.stdout, raw)
                    if ready is not None:
                        ready(form)
                what, body = await _frame(child.stdout)
                if what not in (b"r", b"R"):
                    raise ConnectionError
                self._owes = False
                return Read(form, body, what == b"R")
        except TimeoutError:
            await self.stop()
            raise Unreadable(f"no result within {LIMIT_S:g} s of computing: the child was killed", form) from None
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            code = await child.wait() if child.stdout.at_eof() else None
            await self.stop()
            problem = "gave an answer that is none" if code is None else f"ended with {code}"
            raise Unreadable(f"the child {problem}", form) from error
        except BaseException:  # cancelled half-way: the child's next answer would be for this job
            await self.stop()
            raise

    async def _running(self) -> asyncio.subprocess.Process:
        if self._owes:  # to somebody who was cancelled
            await self.stop()
        if self._child is None or self._child.returncode is not None:
            self._owes = True
            self._child = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=1 << 16,
            )
            assert self._child.stdout is not None
            try:
                async with asyncio.timeout(START_S):
                    await _frame(self._child.stdout)
                self._owes = False
            except (TimeoutError, asyncio.IncompleteReadError, ConnectionError) as error:
                await self.stop()
                raise NoReader(f"the reading child does not start: {' '.join(self._command)}; see the log") from error
        return self._child


@asynccontextmanager
async def _limit(child: asyncio.subprocess.Process) -> AsyncIterator[None]:
    """Raises TimeoutError when the child has computed for LIMIT_S, or PATIENCE times as long went by."""
    loop = asyncio.get_running_loop()
    end, most = loop.time() + PATIENCE * LIMIT_S, _computed(child.pid) + LIMIT_S
    async with asyncio.timeout(LIMIT_S) as limit:

        def look() -> None:
            left = min(most - _computed(child.pid), end - loop.time())
            if left > 0 and not limit.expired():
                limit.reschedule(loop.time() + left + LIMIT_S / 10)
                again.append(loop.call_later(left, look))

        again = [loop.call_later(LIMIT_S * 0.9, look)]
        try:
            yield
        finally:
            again[-1].cancel()


def _computed(pid: int) -> float:
    """Seconds of processor time that a process has had; without end where that cannot be told."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return float("inf")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _form(stream: asyncio.StreamReader, raw: bytes) -> bytes:
    """The masked form of a job. Raises ConnectionError where it cannot be: it has as many bytes as the job."""
    what, form = await _frame(stream)
    if what != b"m" or len(form) != len(raw):
        raise ConnectionError
    return form


async def _frame(stream: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await stream.readexactly(5)
    return head[:1], await stream.readexactly(int.from_bytes(head[1:], "big"))
