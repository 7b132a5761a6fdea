"""What the box knows of itself, for whoever stands in front of it: `tillwire doctor`, the status slip, the local page.

The agent serves it as JSON on a socket of its own beside its store (mode 0660: root and the group tillwire). It holds
no secret and nothing of a receipt. A folder's path may be longer than a socket's may be: it is reached by its number.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

log = logging.getLogger("tillwire.agent")

NAME = "agent.sock"
MOST = 256 * 1024
ANSWER_S = 10.0
State = Callable[[], Coroutine[Any, Any, dict[str, Any]]]


async def serve(folder: Path, state: State) -> None:
    """Tell the state to each who connects, until cancelled. A socket that cannot be made costs only the telling."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(json.dumps(await state(), ensure_ascii=False).encode() + b"\n")
            await writer.drain()
        writer.close()

    try:
        listening = _bound(folder)
    except OSError as error:
        log.warning("state=%s cannot be told: %s", folder / NAME, error)
        return
    server = await asyncio.start_unix_server(answer, sock=listening)
    async with server:
        await server.serve_forever()


def ask(folder: Path) -> dict[str, Any] | None:
    """The running agent's state; None where none answers."""
    heard = b""
    try:
        with _by_number(folder) as path, socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(ANSWER_S)
            sock.connect(path)
            while len(heard) < MOST and (data := sock.recv(65536)):
                heard += data
        found = json.loads(heard)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _bound(folder: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    try:
        with _by_number(folder) as path:
            with contextlib.suppress(FileNotFoundError):
                Path(path).unlink()
            sock.bind(path)
            Path(path).chmod(0o660)
    except OSError:
        sock.close()
        raise
    return sock


@contextlib.contextmanager
def _by_number(folder: Path) -> Iterator[str]:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{number}/{NAME}"
    finally:
        os.close(number)
