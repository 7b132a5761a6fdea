"""Keep the agent's parts running: named tasks, restarted when they crash; and what systemd wants to hear.

This is one of the two places with `except Exception`: a part that crashes is logged, waited for, and started again,
so that no fault of one part ends another. What a part must not lose is in agent.db or in the relay's journal.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
from collections.abc import Awaitable, Callable

log = logging.getLogger("tillwire.agent")

Part = Callable[[], Awaitable[None]]


class Backoff:
    """Waiting times that double from `first` to `most` seconds, each with jitter of a quarter either way."""

    def __init__(self, first: float, most: float) -> None:
        self.first, self.most, self._next = first, most, first

    def reset(self) -> None:
        self._next = self.first

    def next(self) -> float:
        pause, self._next = self._next, min(self._next * 2, self.most)
        return pause * random.uniform(0.75, 1.25)

    async def wait(self) -> None:
        await asyncio.sleep(self.next())


class Supervisor:
    """Owns every task of the agent. A part is a coroutine function that runs until it is cancelled."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.restarts: dict[str, int] = {}

    def start(self, name: str, part: Part) -> None:
        self._tasks[name] = asyncio.create_task(self._keep(name, part), name=name)

    async def stop(self) -> None:
        """Cancel the parts in the reverse order of their start, and wait for each."""
        for task in reversed(list(self._tasks.values())):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._tasks.clear()

    async def _keep(self, name: str, part: Part) -> None:
        backoff = Backoff(0.2, 5.0)
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            try:
                await part()
                return
            except Exception:
                self.restarts[name] = self.restarts.get(name, 0) + 1
                if loop.time() - started > 60:
                    backoff.reset()
                log.exception("part=%s crashed and is started again; restarts=%d", name, self.restarts[name])
            await backoff.wait()


def notify(state: str) -> None:
    """Tell systemd, where it listens: "READY=1", "WATCHDOG=1", "STOPPING=1". Never fails."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as door:
            door.connect(address)
            door.send(state.encode())
    except OSError as error:
        log.warning("systemd was not told %s: %s", state, error)


def watchdog_s() -> float | None:
    """How often systemd wants a WATCHDOG=1, halved as it asks for; None where it does not."""
    usec = os.environ.get("WATCHDOG_USEC", "")
    return int(usec) / 2e6 if usec.isdigit() and int(usec) else None
