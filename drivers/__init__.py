"""Moves bytes between the relay's loop and a device; knows no receipts. One file per kind, found by its URL's scheme.

URL     SCHEME://...: the scheme is the file's name (`tcp`, `serial`, `file`, ...), which is imported only when used.
Gives   open_pos(url) -> Port, open_printer(url) -> Link. Every fileno() can be watched by a selector; nothing blocks.
Raises  DeviceGone where the device cannot be opened, read or written now: wait, then open again.
        ValueError where the URL itself is wrong: tell the technician.
"""

from __future__ import annotations

import importlib
import pkgutil
import threading
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import urlsplit

LOOK_S, REST_S = 1.0, 10.0  # how often a device that cannot tell by itself is looked at


class DeviceGone(Exception):
    """The device is not there (any more). Open it again: after 0.2 s, doubling to 2.5 s."""


class Link(Protocol):
    """An open byte stream to a POS or a printer.

    A printer's link may also have:
        connect_s       seconds until opening it is given up, where that is not the relay's usual 3
        watch(tell)     tell(**known) is called, from any thread, when the device itself says something new without
            being asked in the stream: online=, paper= ("out" or "ok"), error=, as far as it says that
    """

    peer: str  # who is at the other end, for the log

    def fileno(self) -> int: ...

    def opened(self) -> bool:
        """True once the device is there. False while it is still being reached: ask again when fileno() is writable."""

    def read(self) -> bytes | None:
        """The bytes that are there, at most 64 KiB; None when there are none yet; b"" once the peer hung up."""

    def write(self, data: bytes | memoryview) -> int:
        """How many bytes were taken, from the first on; 0 while the device takes no more."""

    @property
    def taken(self) -> int:
        """Bytes that the device itself has accepted since this link was opened."""

    def close(self) -> None: ...


class Watch:
    """A thread that looks at a device again and again, and tells what is new: more often while `busy()`, or while
    something is wrong, than at rest, so that an idle relay hardly wakes up. Ends when `look` raises OSError."""

    def __init__(self, name: str, look: Callable[[], dict[str, Any] | None], busy: Callable[[], bool]) -> None:
        self._name, self._look, self._busy = name, look, busy
        self._over = threading.Event()

    def start(self, tell: Callable[..., None]) -> None:
        threading.Thread(target=self._run, args=(tell,), daemon=True, name=self._name).start()

    def stop(self) -> None:
        self._over.set()

    def _run(self, tell: Callable[..., None]) -> None:
        before: dict[str, Any] = {}
        while not self._over.is_set():
            try:
                known = self._look()
            except OSError:  # the device has gone: reading and writing tell
                return
            if known and known != before and not self._over.is_set():
                tell(**known)
                before = known
            wrong = before.get("online") is False or before.get("error") or before.get("paper") == "out"
            self._over.wait(LOOK_S if wrong or self._busy() else REST_S)


class Port(Protocol):
    """Where a POS comes in: a listening socket, or a line that is always there.

    A port may also have:
        outlives_links          True where it stays when a POS on it goes
        show(there=, ready=, paper=, error=)    tells a POS how the printer is without being asked: a status byte, a
            ready line. `there`: it can be reached; `ready`: and nothing is known to be wrong with it
    """

    def fileno(self) -> int: ...

    def accept(self) -> Link | None:
        """The next POS, once fileno() is readable; None when there is none after all."""

    def close(self) -> None: ...


def schemes() -> list[str]:
    """The schemes that have a driver file."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name != "sound" and not m.ispkg)


def open_pos(url: str) -> Port:
    port: Port = _driver(url).open_pos(url)
    return port


def open_printer(url: str) -> Link:
    link: Link = _driver(url).open_printer(url)
    return link


def _driver(url: str):  # type: ignore[no-untyped-def]  # a module, by its scheme
    scheme = urlsplit(url).scheme
    if scheme not in schemes():
        raise ValueError(f"no driver for {url!r}: its scheme must be one of {', '.join(schemes())}")
    return importlib.import_module(f"drivers.{scheme}")
