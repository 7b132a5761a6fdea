"""Ports for servers under test. A port that is merely found free may be somebody else's a moment later, when tests run
side by side: here it stays taken, by a socket that never listens, until the test process ends.

Linux lets a server that sets SO_REUSEADDR, as all of ours do, listen on it all the same, again and again; and never
gives it to anybody who asks for any port, nor to a connection as its own end.
"""

from __future__ import annotations

import socket

_held: list[socket.socket] = []


def hold(port: int = 0) -> int:
    """Keep this port of 127.0.0.1, or a free one, for the life of this process. -> the port"""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    _held.append(sock)
    return int(sock.getsockname()[1])


def free_port() -> int:
    return hold()
