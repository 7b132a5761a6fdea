"""How a `tillwire-cloud` command comes to the process that may write.

While a service runs on the same SQLite file, a command asks it through a Unix socket beside the file (mode 0600),
because SQLite has one writer; else, and on PostgreSQL, the command writes by itself. A running service notices.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from cloud.store.database import Busy, Store
from config.cloud import CloudConfig

log = logging.getLogger("cloud.admin")
Operations = Mapping[str, Callable[..., dict[str, Any]]]


class Refused(Exception):
    """What was asked cannot be done, and why."""


def run(operations: Operations, config: CloudConfig, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Do it: through the running service, or by ourselves. Raises Refused, Busy, StoreAway."""
    path = config.sqlite_path
    if path is not None:
        answer = _ask(_socket_path(path), {"op": operation, **arguments})
        if answer is not None:
            return answer
    store = Store(config.store.url, path)
    try:
        return operations[operation](store, **arguments)
    except sa.exc.DBAPIError as error:
        raise Refused(f"the database does not do it: {str(error.orig).splitlines()[0]}") from error
    finally:
        store.close()


def _socket_path(database: Path) -> Path:
    return database.with_name(database.name + ".admin")


def _ask(path: Path, request: dict[str, Any]) -> dict[str, Any] | None:
    """None: nobody listens there."""
    if not path.exists():
        return None
    folder = os.open(path.parent, os.O_PATH)  # a socket's path may be 107 bytes long, a folder's is longer
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(30)
            line.connect(f"/proc/self/fd/{folder}/{path.name}")
            line.sendall(msgspec.json.encode(request) + b"\n")
            line.shutdown(socket.SHUT_WR)
            data = b""
            while piece := line.recv(65536):
                data += piece
    except (ConnectionRefusedError, FileNotFoundError):
        return None
    finally:
        os.close(folder)
    if not data:
        raise Busy("the running service ended before it answered: try again")
    answer: dict[str, Any] = msgspec.json.decode(data)
    if "refused" in answer:
        raise Refused(answer["refused"])
    return answer


class Door:
    """The service's side of the socket. `after` is called when something was done, before the answer goes out."""

    def __init__(self, store: Store, database: Path, operations: Operations, after: Callable[[str], None]) -> None:
        self._store, self._operations, self._after = store, operations, after
        self._path = _socket_path(database)
        self._path.unlink(missing_ok=True)
        folder = os.open(self._path.parent, os.O_PATH)
        self._line = socket.socket(socket.AF_UNIX)
        before = os.umask(0o177)
        try:
            self._line.bind(f"/proc/self/fd/{folder}/{self._path.name}")
        finally:
            os.umask(before)
            os.close(folder)
        self._line.listen(8)
        threading.Thread(target=self._serve, name="admin", daemon=True).start()

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        try:
            self._line.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._line.close()

    def _serve(self) -> None:
        while True:
            try:
                caller, _ = self._line.accept()
            except OSError:
                return
            with caller:
                caller.settimeout(10)
                try:
                    caller.sendall(msgspec.json.encode(self._one(caller)))
                except OSError as error:
                    log.warning("admin socket: %s", error)

    def _one(self, caller: socket.socket) -> dict[str, Any]:
        data = b""
        while not data.endswith(b"\n") and (piece := caller.recv(65536)):
            data += piece
        try:
            request: dict[str, Any] = msgspec.json.decode(data)
            operation = request.pop("op")
            answer = self._operations[operation](self._store, **request)
            self._after(operation)
            return answer
        except Refused as error:
            return {"refused": str(error)}
        except (msgspec.DecodeError, KeyError, TypeError) as error:
            return {"refused": f"not a request: {error}"}
        except sa.exc.SQLAlchemyError as error:
            return {"refused": f"the database does not answer: {str(error).splitlines()[0]}"}
