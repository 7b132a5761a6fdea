"""Lines that are always there: an open character device, and the port whose POS comes in once, with it.

What serial lines (drivers/serial.py) and the kernel's printer function (drivers/printer_class/f_printer.py) share.
"""

from __future__ import annotations

import os
from typing import Generic, TypeVar

from drivers import DeviceGone

READ = 65536
L = TypeVar("L", bound="Line")


class Line:
    """There is no hanging up on it: a line that is there is a POS, or a printer, that may be off."""

    ends = True  # to read nothing says that the device has gone

    def __init__(self, fd: int, kind: str, peer: str, hint: str) -> None:
        self._fd, self._kind, self.peer, self._hint = fd, kind, peer, hint
        self.written = 0

    def fileno(self) -> int:
        return self._fd

    def opened(self) -> bool:
        return True

    def read(self) -> bytes | None:
        """The bytes that are there; None when there are none yet."""
        try:
            data = os.read(self._fd, READ)
        except BlockingIOError:
            return None
        except OSError as error:
            raise self.gone("read from", error) from error
        if not data and self.ends:
            raise self.gone("read from", "it has ended")
        return data or None

    def write(self, data: bytes | memoryview) -> int:
        """How many bytes were taken, from the first on; 0 while the line takes no more."""
        try:
            sent = os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self.gone("write to", error) from error
        self.written += sent
        return sent

    def gone(self, what: str, error: object) -> DeviceGone:
        return DeviceGone(f"{self._kind} {what} {self.peer}: {error}; {self._hint}")

    @property
    def taken(self) -> int:
        return self.written

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class LinePort(Generic[L]):
    """The POS comes in once, with the line."""

    def __init__(self, link: L) -> None:
        self._link, self._given = link, False
        self.fileno = link.fileno

    def accept(self) -> L | None:
        if self._given:
            return None
        self._given = True
        return self._link

    def close(self) -> None:
        self._link.close()
