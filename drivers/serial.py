"""serial: a serial line, also a USB adapter or a pseudo-terminal. Either side. Needs pyserial.

URL     serial:///dev/ttyUSB0?baud=38400&bits=8&parity=none&stop=1&flow=none
        serial://usb/A50285BI?baud=…  the USB adapter with this serial number, wherever it is plugged in
        serial://usb?port=1-1.2&baud=…  the USB adapter in this socket; serial://usb: the only one
        parity none | even | odd, flow none | rtscts | dsrdtr | xonxoff. /dev/serial/by-id/… and by-path/… do too, and
        tell the ports of one adapter apart.
Gives   links whose fileno() the relay's loop watches; read() and write() never block. The line is opened for ourselves
        alone. While we do not read, the POS is held back by the line's own flow control: RTS/CTS and XON/XOFF by the
        kernel, DTR/DSR by a thread (drivers/lines/paced.py).
Raises  DeviceGone when the line is not there, is used elsewhere, or is unplugged. ValueError for a wrong option.

A printer whose ready lines drop for some seconds is off-line, where the cable carries them. A POS whose printer cannot
be reached sees our ready lines drop, or XOFF. A pseudo-terminal has no such lines.
"""

from __future__ import annotations

import contextlib
import fcntl
import termios
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import serial as pyserial

from drivers import DeviceGone, Watch
from drivers.lines import Line, LinePort, adapters, modem
from drivers.lines.paced import PacedLink

PARITY = {"none": "N", "even": "E", "odd": "O"}
FLOW = ("none", "rtscts", "dsrdtr", "xonxoff")


class SerialLink(Line):
    """An open line, whose flow control is the kernel's."""

    def __init__(self, line: Any, peer: str) -> None:
        super().__init__(line.fileno(), "serial", peer, "is the adapter plugged in?")
        self._line = line
        self._watch: Watch | None = None

    @property
    def taken(self) -> int:
        """Bytes that have left the kernel's queue."""
        try:
            waiting = int.from_bytes(fcntl.ioctl(self._fd, termios.TIOCOUTQ, b"\0\0\0\0"), "little")
        except (OSError, ValueError):  # closed
            waiting = 0
        return self.written - waiting

    def watch(self, tell: Callable[..., None]) -> None:
        """tell(online=) whenever the ready lines say something new; never where there are none."""
        self._watch = watched(self, self.fileno(), tell)

    def say(self, there: bool) -> None:
        """Our own ready lines: may the other end send?"""
        with contextlib.suppress(OSError):
            modem.say_ready(self._fd, there)

    def close(self) -> None:
        if self._watch is not None:
            self._watch.stop()
        if self._fd >= 0:
            with contextlib.suppress(OSError, termios.error):  # else the kernel waits for the printer, up to 30 s
                if self.taken < self.written:
                    termios.tcflush(self._fd, termios.TCOFLUSH)
            self._fd = -1
            with contextlib.suppress(OSError):
                self._line.close()


class XonLink(SerialLink):
    """The same with XON/XOFF: the characters say what the ready lines do elsewhere, which it has too."""

    def say(self, there: bool) -> None:
        super().say(there)
        with contextlib.suppress(termios.error, ValueError):  # it was closed, or unplugged: reading tells
            termios.tcflow(self._fd, termios.TCION if there else termios.TCIOFF)


class DtrLink(PacedLink):
    """DTR/DSR."""

    def __init__(self, line: SerialLink, baud: int) -> None:
        self._watch: Watch | None = None
        super().__init__(line, baud, line.close)

    def watch(self, tell: Callable[..., None]) -> None:
        self._watch = watched(self, self._line.fileno(), tell)

    def close(self) -> None:
        if self._watch is not None:
            self._watch.stop()
        super().close()


def watched(link: SerialLink | DtrLink, fd: int, tell: Callable[..., None]) -> Watch | None:
    """A watch over the ready lines of this line; None where it has none."""
    state = modem.Readiness()
    before = -1

    def look() -> dict[str, Any]:
        online = state.look(modem.lines(fd))
        return {} if online is None else {"online": online}

    def busy() -> bool:
        nonlocal before
        moved, before = link.written != before, link.written
        return moved or state.doubtful

    try:
        modem.lines(fd)
    except OSError:
        return None
    watch = Watch(f"serial {link.peer} lines", look, busy)
    watch.start(tell)
    return watch


class SerialPort(LinePort[Any]):
    """A line is always there: the POS comes in once, with the line."""

    def show(self, *, there: bool, ready: bool, paper: bool, error: bool) -> None:
        """A printer that cannot be reached is not ready. One that only has no paper is left to say so itself: a POS
        that is held back by a line could not ask, and nobody would learn that there is paper again."""
        self._link.say(there)


def open_pos(url: str) -> SerialPort:
    return SerialPort(open_printer(url))


def open_printer(url: str) -> SerialLink | DtrLink:
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    flow = options.pop("flow", "none")
    path = _path(url, parts.netloc, parts.path, options.pop("port", ""))
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
        raise ValueError(f"{url!r}: options are baud, bits, parity, stop, port and flow ({', '.join(FLOW)})")
    if not path:
        raise DeviceGone(f"{url}: no such USB serial adapter is plugged in; `ls -l /dev/serial/by-id` shows what is")
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
    link = (XonLink if flow == "xonxoff" else SerialLink)(line, path)
    return DtrLink(link, settings["baudrate"]) if flow == "dsrdtr" else link


def _path(url: str, host: str, path: str, port: str) -> str:
    """The device's path; "" while such an adapter is not plugged in."""
    if host == "usb":
        found = adapters.find(unquote(path.strip("/")), port)
        return found.path if found else ""
    if port:
        raise ValueError(f"{url!r}: port is for serial://usb, the adapter in that socket")
    return host + path


def _raw(fd: int) -> None:
    """What pyserial leaves as it was: a break, a parity error and a NUL bit must not change or drop bytes."""
    attributes = termios.tcgetattr(fd)
    attributes[0] &= ~(termios.BRKINT | termios.ISTRIP | termios.INLCR | termios.IGNCR | termios.ICRNL | termios.PARMRK)
    attributes[1] &= ~termios.OPOST
    attributes[6][termios.VMIN] = 1  # nothing there is EAGAIN, so that no bytes means: the line is gone
    termios.tcsetattr(fd, termios.TCSANOW, attributes)
