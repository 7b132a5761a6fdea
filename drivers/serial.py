"""serial: a serial line, also a USB adapter or a pseudo-terminal. Either side. Needs pyserial.

URL     serial:///dev/ttyUSB0?baud=38400&bits=8&parity=none&stop=1&flow=none
        parity none | even | odd, flow none | rtscts | dsrdtr | xonxoff. /dev/serial/by-id/… stays the same when the
        adapter is plugged in elsewhere.
Gives   links whose fileno() the relay's loop watches; read() and write() never block. The line is opened for ourselves
        alone. While we do not read, the kernel holds the POS back by the line's own flow control.
Raises  DeviceGone when the line is not there, is used elsewhere, or is unplugged. ValueError for a wrong option.

A pseudo-terminal has no modem lines: none is touched unless `flow` asks for it.
"""

from __future__ import annotations

import fcntl
import os
import termios
from typing import Any
from urllib.parse import parse_qs, urlsplit

import serial as pyserial

from drivers import DeviceGone

READ = 65536
PARITY = {"none": "N", "even": "E", "odd": "O"}
FLOW = ("none", "rtscts", "dsrdtr", "xonxoff")


class SerialLink:
    """An open line. There is no hanging up on it: a line that is there is a POS, or a printer, that may be off."""

    def __init__(self, line: Any, peer: str) -> None:
        self._line, self.peer = line, peer
        self._fd: int = line.fileno()
        self._written = 0

    def fileno(self) -> int:
        return self._fd

    def opened(self) -> bool:
        return True

    def read(self) -> bytes | None:
        """The bytes that are there; None when there are none. A line never ends: what looks like an end is a fault."""
        try:
            data = os.read(self._fd, READ)
        except BlockingIOError:
            return None
        except OSError as error:
            raise DeviceGone(f"serial read from {self.peer}: {error}") from error
        if not data:
            raise DeviceGone(f"serial read from {self.peer}: the line is gone; is the adapter plugged in?")
        return data

    def write(self, data: bytes | memoryview) -> int:
        """How many bytes were taken, from the first on; 0 while the line takes no more."""
        try:
            sent = os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise DeviceGone(f"serial write to {self.peer}: {error}") from error
        self._written += sent
        return sent

    @property
    def taken(self) -> int:
        """Bytes that have left the kernel's queue."""
        try:
            waiting = int.from_bytes(fcntl.ioctl(self._fd, termios.TIOCOUTQ, b"\0\0\0\0"), "little")
        except OSError:
            waiting = 0
        return self._written - waiting

    def close(self) -> None:
        if self._fd >= 0:
            self._fd = -1
            try:
                self._line.close()
            except OSError:
                pass


class SerialPort:
    """A line is always there: the POS comes in once, with the line."""

    def __init__(self, link: SerialLink) -> None:
        self._link, self._given = link, False
        self.fileno = link.fileno

    def accept(self) -> SerialLink | None:
        if self._given:
            return None
        self._given = True
        return self._link

    def close(self) -> None:
        self._link.close()


def open_pos(url: str) -> SerialPort:
    return SerialPort(open_printer(url))


def open_printer(url: str) -> SerialLink:
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    path = parts.netloc + parts.path
    flow = options.pop("flow", "none")
    try:
        settings: dict[str, Any] = {
            "baudrate": int(options.pop("baud", "9600")),
            "bytesize": int(options.pop("bits", "8")),
            "parity": PARITY[options.pop("parity", "none")],
            "stopbits": {"1": 1, "1.5": 1.5, "2": 2}[options.pop("stop", "1")],
        }
    except (KeyError, ValueError) as error:
        raise ValueError(f"{url!r}: {error}: baud, bits, parity (none, even, odd) and stop (1, 1.5, 2)") from None
    if options or flow not in FLOW:
        raise ValueError(f"{url!r}: options are baud, bits, parity, stop and flow ({', '.join(FLOW)})")
    try:
        line = pyserial.serial_for_url(path, do_not_open=True, timeout=0, write_timeout=0, **settings)
        line.exclusive = True
        if flow != "none":
            setattr(line, flow, True)
        line.open()
        _raw(line.fileno())
    except (OSError, termios.error) as error:  # pyserial's own error is an OSError
        raise DeviceGone(f"serial open {path}: {error}; is it plugged in, and does no other program use it?") from error
    except ValueError as error:
        raise ValueError(f"{url!r}: {error}") from error
    return SerialLink(line, path)


def _raw(fd: int) -> None:
    """What pyserial leaves as it was: a break, a parity error and a NUL bit must not change or drop bytes."""
    attributes = termios.tcgetattr(fd)
    attributes[0] &= ~(termios.BRKINT | termios.ISTRIP | termios.INLCR | termios.IGNCR | termios.ICRNL | termios.PARMRK)
    attributes[1] &= ~termios.OPOST
    attributes[6][termios.VMIN] = 1  # nothing there is EAGAIN, so that no bytes means: the line is gone
    termios.tcsetattr(fd, termios.TCSANOW, attributes)
