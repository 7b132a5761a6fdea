"""The one loop of the relay: ready file descriptors, due timers, and calls from other threads.

Linux' epoll itself, which `selectors` would wrap at 3 µs a turn. Nothing called from here may wait for anything.
With nothing due the loop sleeps without a limit: an idle relay does not wake up.
"""

from __future__ import annotations

import heapq
import logging
import os
import select
import signal
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any, TypeVar

IN, OUT = select.EPOLLIN, select.EPOLLOUT
BROKEN = select.EPOLLHUP | select.EPOLLERR  # always reported; reading or writing tells what it is
A = TypeVar("A")
R = TypeVar("R")
log = logging.getLogger("relay")


class Timer:
    """Something to be called at `when` (monotonic seconds), unless cancelled before."""

    __slots__ = ("call", "when")

    def __init__(self, when: float, call: Callable[[], None]) -> None:
        self.when = when
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None

    def __lt__(self, other: Timer) -> bool:
        return self.when < other.when


class Loop:
    """`now` is the monotonic time at which the current turn began."""

    def __init__(self) -> None:
        self.now = monotonic()
        self.turns = 0
        self._epoll = select.epoll()
        self._calls: dict[int, Callable[[int], None]] = {}
        self._timers: list[Timer] = []
        self._others: deque[Callable[[], None]] = deque()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._stopping = False
        self.watch(self._wake, IN, self._run_others)

    def watch(self, fd: int, events: int, call: Callable[[int], None]) -> None:
        """Call with the ready events, level-triggered, until forget()."""
        self._calls[fd] = call
        self._epoll.register(fd, events)

    def change(self, fd: int, events: int) -> None:
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        if self._calls.pop(fd, None) is not None:
            try:
                self._epoll.unregister(fd)
            except (OSError, ValueError):  # closed already: the kernel forgot it by itself
                pass

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        timer = Timer(monotonic() + seconds, call)
        heapq.heappush(self._timers, timer)
        return timer

    def at(self, when: float, call: Callable[[], None]) -> Timer:
        timer = Timer(when, call)
        heapq.heappush(self._timers, timer)
        return timer

    def soon(self, call: Callable[[], None]) -> None:
        """From any thread: call it in the loop."""
        self._others.append(call)
        os.eventfd_write(self._wake, 1)

    def stop(self) -> None:
        self._stopping = True
        os.eventfd_write(self._wake, 1)

    def on_signals(self, call: Callable[[int], None], *numbers: int) -> None:
        """Signals reach `call` inside the loop."""

        def handler(number: int, frame: Any) -> None:
            self.soon(lambda: call(number))

        for number in numbers:
            signal.signal(number, handler)

    def run(self) -> None:
        poll, calls, timers = self._epoll.poll, self._calls, self._timers
        while not self._stopping:
            while timers and timers[0].call is None:
                heapq.heappop(timers)
            ready = poll(max(0.0, timers[0].when - monotonic()) if timers else -1)
            self.now = monotonic()
            self.turns += 1
            for fd, events in ready:
                call = calls.get(fd)  # an earlier call of this turn may have forgotten it
                if call is not None:
                    call(events)
            while timers and timers[0].when <= self.now:
                due = heapq.heappop(timers).call
                if due is not None:
                    due()

    def _run_others(self, events: int) -> None:
        try:
            os.eventfd_read(self._wake)
        except BlockingIOError:
            pass
        for _ in range(len(self._others)):
            self._others.popleft()()

    def close(self) -> None:
        self._epoll.close()
        os.close(self._wake)


def fenced(capture: Callable[[A], R], instead: Callable[[A, Exception], R]) -> Callable[[A], R]:
    """Keep capture apart from passing: whatever goes wrong in `capture`, the bytes go on by `instead`.

    The only place in the relay where every exception is caught: a fault in what merely watches the bytes must never
    stop them.
    """

    def call(value: A) -> R:
        try:
            return capture(value)
        except Exception as error:
            log.exception("capture fault, passing through")
            return instead(value, error)

    return call
