"""DTR/DSR flow control, which Linux leaves to programs: printers ship with it, and lose what comes while DSR is down.

A thread passes few bytes at a time, and looks at DSR before each; towards a POS it drops DTR while the relay reads no
more. Behind a socketpair with a small buffer, as in every driver whose device cannot be polled. Where there are no such
lines at all (a pseudo-terminal), bytes pass.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
from collections.abc import Callable

from drivers import DeviceGone
from drivers.lines import READ, Line, modem

BUFFER = 4096  # bytes between the loop and the thread
AT_ONCE = 16  # bytes: a printer drops DSR while it still has room for more than these
CLOSED_MS = 20  # how often DSR is looked at while it is down


class PacedLink:
    """`line`: open and non-blocking; `close_line` closes it."""

    def __init__(self, line: Line, baud: int, close_line: Callable[[], None]) -> None:
        self._line, self._close_line, self.peer = line, close_line, line.peer
        self._pace_ms = max(1, AT_ONCE * 10 * 1000 // baud)
        self._sock, self._inner = socket.socketpair()
        for sock in (self._sock, self._inner):
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        self.fileno = self._sock.fileno
        self._stop = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._there, self._error = True, ""
        self._closing = threading.Lock()
        self._thread = threading.Thread(target=self._pass, daemon=True, name=f"serial {self.peer}")
        self._thread.start()

    def opened(self) -> bool:
        return True

    def read(self) -> bytes | None:
        """The bytes that are there; None when there are none yet."""
        try:
            data = self._sock.recv(READ)
        except BlockingIOError:
            return None
        except OSError as error:
            raise DeviceGone(self._error or str(error)) from error
        if not data:
            raise DeviceGone(self._error or f"{self.peer}: closed")
        return data

    def write(self, data: bytes | memoryview) -> int:
        """How many bytes were taken, from the first on; 0 while the line takes no more."""
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise DeviceGone(self._error or str(error)) from error

    @property
    def taken(self) -> int:
        return self._line.taken

    @property
    def written(self) -> int:
        return self._line.written

    def say(self, there: bool) -> None:
        """May the other end send at all?"""
        self._there = there
        self._say_ready(there)

    def close(self) -> None:
        if self._closing.acquire(blocking=False):
            self._sock.close()
            os.eventfd_write(self._stop, 1)
            self._thread.join(1.0)  # it never waits for long; the line can be opened again then
            os.close(self._stop)

    # ------------------------------------------------------------------ in the thread

    def _pass(self) -> None:
        fd, stop, out, back = self._line.fileno(), self._stop, memoryview(b""), b""
        with contextlib.suppress(OSError):
            modem.say_ready(fd, self._there)
        try:
            while not self._closing.locked():
                open_, drained = self._may_send(), not out or self._line.taken == self._line.written
                poll = select.poll()
                poll.register(stop, select.POLLIN)
                if not back:  # else a line that has hung up would be told again and again
                    poll.register(fd, select.POLLIN)
                poll.register(self._inner, (0 if out else select.POLLIN) | (select.POLLOUT if back else 0))
                if out and open_ and drained:
                    out = out[self._line.write(out[:AT_ONCE]) :]
                    continue
                wait = None if not out else self._pace_ms if open_ else CLOSED_MS
                ready = dict(poll.poll(wait))
                if ready.get(self._inner.fileno(), 0) & (select.POLLIN | select.POLLHUP) and not out:
                    out = memoryview(self._inner.recv(READ))
                    if not out:
                        break
                if ready.get(fd) and not back:
                    back = self._line.read() or b""
                if back:
                    back = self._give(back)
        except DeviceGone as error:
            self._error = str(error)
        except OSError as error:
            self._error = f"serial {self.peer}: {error}"
        self._inner.close()
        self._close_line()

    def _may_send(self) -> bool:
        try:
            return bool(modem.lines(self._line.fileno()) & modem.DSR)
        except OSError:
            return True

    def _give(self, data: bytes) -> bytes:
        """To the loop -> what it does not take yet: the other end waits that long."""
        try:
            left = data[self._inner.send(data) :]
        except BlockingIOError:
            left = data
        self._say_ready(self._there and not left)
        return left

    def _say_ready(self, ready: bool) -> None:
        with contextlib.suppress(OSError):
            modem.say_ready(self._line.fileno(), ready)
