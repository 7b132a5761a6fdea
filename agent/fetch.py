"""Fetch one file over HTTP in pieces: what was fetched before a cut is kept, and asked for no more. Blocking.

Raises Gone where asking again is of no use; OSError (URLError among it) where it may be.
"""

from __future__ import annotations

import hashlib
import os
import threading
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from agent import tls

MOST = 200 * 1024 * 1024
SPARE = 64 * 1024 * 1024  # of the disk, for receipts
TIMEOUT_S = 8.0  # without a byte: then the next attempt goes on from here
CHUNK = 64 * 1024


class Gone(Exception):
    """It will never come from there; the text says why."""


def fetch(url: str, path: Path, stop: threading.Event, ca_file: str = "") -> None:
    """`url` -> `path`, whole or not at all; beside it, `path`.part grows. Ends with an OSError soon after `stop`."""
    part = path.with_name(path.name + ".part")
    path.parent.mkdir(mode=0o750, exist_ok=True)
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    context = tls.trusting(ca_file) if url.startswith("https") else None
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context) as answer:
            _take(answer, part, have if answer.status == 206 else 0, stop)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # it is shorter now: another file
            part.unlink()
            raise OSError(f"{url} has changed: from the beginning") from error
        if error.code < 500 and error.code not in (408, 429):
            raise Gone(f"{url} answers {error.code} {error.reason}") from error
        raise
    except HTTPException as error:
        raise OSError(f"{url}: {error!r}") from error
    part.replace(path)


def _take(answer: HTTPResponse, part: Path, have: int, stop: threading.Event) -> None:
    length = int(answer.headers.get("Content-Length") or 0)
    if have + length > MOST:
        raise Gone(f"it has {have + length} bytes; at most {MOST} are taken")
    disk = os.statvfs(part.parent)
    if disk.f_bavail * disk.f_frsize < SPARE + 4 * (have + length):
        raise OSError("the disk is too full for an update: receipts come first")
    took = have
    with part.open("r+b" if have else "wb") as out:
        out.seek(have)
        while data := answer.read1(CHUNK):
            took += len(data)
            if took > MOST:
                raise Gone(f"it has more than {MOST} bytes")
            out.write(data)
            if stop.is_set():
                raise InterruptedError("stopped")
        out.flush()
        os.fsync(out.fileno())
    if length and took < have + length:
        raise OSError(f"cut off after {took} of {have + length} bytes")


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
