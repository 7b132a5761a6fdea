"""Moves bytes between the relay's loop and a device; knows no receipts. One file per kind, found by its URL's scheme.

URL     SCHEME://...: the scheme is the file's name (`tcp`, `serial`, `file`, ...), which is imported only when used.
Gives   open_pos(url) -> Port, open_printer(url) -> Link. Every fileno() can be watched by a selector; nothing blocks.
Raises  DeviceGone where the device cannot be opened, read or written now: wait, then open again.
        ValueError where the URL itself is wrong: tell the technician.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Protocol
from urllib.parse import urlsplit


class DeviceGone(Exception):
    """The device is not there (any more). Open it again: after 0.2 s, doubling to 5 s."""


class Link(Protocol):
    """An open byte stream to a POS or a printer."""

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


class Port(Protocol):
    """Where a POS comes in: a listening socket, or a line that is always there.

    A port may also have:
        outlives_links          True where it stays when a POS on it goes
        show(ready=, paper=, error=)    tells a POS how the printer is without being asked: a status byte, a ready line
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
