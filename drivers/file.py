"""file: prints into a file, or replays a captured job as if a POS sent it. For benches, tests and first tries.

URL     file:///tmp/out.prn: the printer side appends to it; the POS side reads it once, from its beginning.
Gives   links whose fileno() the relay's loop can watch (a regular file cannot be: an eventfd stands for it).
Raises  DeviceGone when the file cannot be opened, read or written now: full disk, no such folder.
"""

from __future__ import annotations

import os
from urllib.parse import unquote, urlsplit

from drivers import DeviceGone

READ = 65536


class FileLink:
    """A file, written to its end or read from its beginning; it never has anything to say as a printer."""

    def __init__(self, fd: int, path: str, *, readable: bool) -> None:
        self._fd, self.peer, self._readable = fd, path, readable
        self._event = os.eventfd(1 if readable else 0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.taken = 0

    def fileno(self) -> int:
        return self._event

    def opened(self) -> bool:
        return True

    def read(self) -> bytes | None:
        """The next 64 KiB; b"" at the end. None from a file that is a printer."""
        if not self._readable:
            return None
        try:
            return os.read(self._fd, READ)
        except OSError as error:
            raise DeviceGone(f"file read from {self.peer}: {error}") from error

    def write(self, data: bytes | memoryview) -> int:
        """All of it goes into the file; a replayed capture takes the answers and forgets them."""
        if self._readable:
            return len(data)
        try:
            sent = os.write(self._fd, data)
        except OSError as error:
            raise DeviceGone(f"file write to {self.peer}: {error}") from error
        self.taken += sent
        return sent

    def close(self) -> None:
        if self._event >= 0:
            os.close(self._fd)
            os.close(self._event)
            self._event = -1


class FilePort:
    """A POS that comes in once, and sends the file."""

    def __init__(self, path: str) -> None:
        self._path, self._event = path, os.eventfd(1, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        return self._event

    def accept(self) -> FileLink | None:
        try:
            os.eventfd_read(self._event)
            return FileLink(os.open(self._path, os.O_RDONLY | os.O_CLOEXEC), self._path, readable=True)
        except BlockingIOError:
            return None
        except OSError as error:
            raise DeviceGone(f"file open {self._path}: {error}") from error

    def close(self) -> None:
        os.close(self._event)


def open_pos(url: str) -> FilePort:
    path = _path(url)
    if not os.access(path, os.R_OK):
        raise DeviceGone(f"file open {path}: it is not there, or may not be read")
    return FilePort(path)


def open_printer(url: str) -> FileLink:
    path = _path(url)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DeviceGone(f"file open {path}: {error}") from error
    return FileLink(fd, path, readable=False)


def _path(url: str) -> str:
    parts = urlsplit(url)
    path = unquote(parts.netloc + parts.path)
    if not path:
        raise ValueError(f"{url!r}: write file:///folder/name.prn")
    return path
