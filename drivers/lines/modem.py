"""The lines beside the data of a serial port: who is ready, as far as the cable carries it.

Source: tty_ioctl(4). A pseudo-terminal has none of them. A line that was never seen up is taken for not connected.
"""

from __future__ import annotations

import errno
import fcntl
import struct
import termios

DSR, CTS, DCD = termios.TIOCM_DSR, termios.TIOCM_CTS, termios.TIOCM_CAR
READY = DSR | CTS | DCD
OURS = struct.pack("I", termios.TIOCM_DTR | termios.TIOCM_RTS)
AWAY_LOOKS = 3  # a printer whose buffer is full drops its line too, for moments


def lines(fd: int) -> int:
    """The bits of those that are up. Raises OSError where there are none."""
    return int(struct.unpack("I", _ioctl(fd, termios.TIOCMGET, b"\0\0\0\0"))[0])


def say_ready(fd: int, ready: bool) -> None:
    """Raise or drop our own lines. Raises OSError where there are none."""
    _ioctl(fd, termios.TIOCMBIS if ready else termios.TIOCMBIC, OURS)


def _ioctl(fd: int, request: int, value: bytes) -> bytes:
    if fd < 0:
        raise OSError(errno.EBADF, "the line is closed")
    return bytes(fcntl.ioctl(fd, request, value))


class Readiness:
    """What the other end's lines tell of a printer: `look()` after `look()`."""

    def __init__(self) -> None:
        self._carried = self._down = 0

    @property
    def doubtful(self) -> bool:
        """Down, but perhaps only for a moment."""
        return 0 < self._down < AWAY_LOOKS

    def look(self, up: int) -> bool | None:
        """Is it on-line? None: these lines do not tell, or not yet."""
        up &= READY
        self._carried |= up
        if not self._carried:
            return None
        self._down = 0 if up == self._carried else self._down + 1
        return False if self._down >= AWAY_LOOKS else True if self._down == 0 else None
