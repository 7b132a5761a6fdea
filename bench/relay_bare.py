"""As little as can be done in Python, for bench/relay_costs.py: copy between one till and one printer with epoll.

relay_bare.py POS_PORT PRINTER_PORT [DATABASE]: with a database, what ends with a cut is hashed and inserted in one
transaction that waits for the disk. No journal of a job in progress, no queue, no reconnecting, no parsing, no faults.
"""

from __future__ import annotations

import select
import socket
import sys
from typing import Any

CUT = b"\x1dV\x00"


def main() -> None:
    with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
        printer = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
        till, _ = listener.accept()
    keep = Kept(sys.argv[3]) if len(sys.argv) > 3 else None
    for sock in (till, printer):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    other = {till.fileno(): (till, printer), printer.fileno(): (printer, till)}
    epoll = select.epoll()
    for fd in other:
        epoll.register(fd, select.EPOLLIN)
    while True:
        for fd, _ in epoll.poll():
            source, sink = other[fd]
            data = source.recv(65536)
            if not data:
                return
            sink.sendall(data)
            if keep is not None and source is till:
                keep(data)


class Kept:
    def __init__(self, path: str) -> None:
        import hashlib
        import sqlite3

        self._sha256: Any = hashlib.sha256
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY, sha256 BLOB, raw BLOB)")
        self._job, self._digest = bytearray(), self._sha256()

    def __call__(self, data: bytes) -> None:
        self._job += data
        self._digest.update(data)
        if data.endswith(CUT):
            self._db.execute("INSERT INTO jobs (sha256, raw) VALUES (?, ?)", (self._digest.digest(), self._job))
            self._job, self._digest = bytearray(), self._sha256()


if __name__ == "__main__":
    main()
