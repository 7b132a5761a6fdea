"""What relay and agent both need to know of a disk: names that survive a power cut, and errors that pass."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

_PASSING = (  # what SQLite says of the disk, the memory, another process: the file itself may be whole
    sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
)  # fmt: skip


def sync_folder(folder: Path) -> None:
    """The names in it are on disk. Raises OSError: they may be gone after a power cut, a whole WAL with them."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # this file system syncs no folders
            raise
    finally:
        os.close(fd)


def says_damage(error: Exception) -> bool:
    """Of SQLite's error while a file was opened. What it cannot explain, and we cannot read, is damage too."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF not in _PASSING
