"""tcp: raw print data over TCP, port 9100 by custom. Either side.

URL     tcp://HOST:PORT: the address to listen on (POS side), or the printer's (printer side). POS side also:
        ?allow=192.168.1.0/24,10.0.0.7 (who may connect; default everybody) &limit=8 (how many at once) &each=4 (how
        many from one address)
Gives   links whose fileno() the relay's loop watches; read() and write() never block. A printer link is given while it
        is still being reached; opened() tells when it is there.
Raises  DeviceGone when the peer resets or cannot be reached. The caller waits and opens again.

`taken` is what the printer's own TCP has acknowledged: bytes that were written and not acknowledged may be lost with
the connection, and have to be written again on the next.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
import threading
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from drivers import DeviceGone

READ = 65536
BUFFER = 256 * 1024  # kernel buffers: what a POS may believe printed while the printer stands still is bounded by them
SIOCOUTQ = termios.TIOCOUTQ  # the same number on every Linux: bytes not yet acknowledged by the peer
NO_LINGER = struct.pack("ii", 1, 0)


class TcpLink:
    """One connection. Closed and gone are the same for the caller: drop it."""

    def __init__(self, sock: socket.socket, peer: str, *, connecting: bool = False) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
        self._sock, self.peer, self.host = sock, peer, ""
        self._connecting = connecting
        self._written = 0
        self._recv, self._send = sock.recv, sock.send
        self.fileno = sock.fileno

    def opened(self) -> bool:
        """Has the peer been reached? Raises DeviceGone when it refused, or is not there."""
        if not self._connecting:
            return True
        error = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise DeviceGone(f"tcp connect to {self.peer}: {OSError(error, _words(error))}")
        try:
            self._sock.getpeername()
        except OSError:
            return False
        self._connecting = False
        return True

    def read(self) -> bytes | None:
        """The bytes that are there, at most 64 KiB; None when there are none yet; b"" once the peer hung up."""
        try:
            return self._recv(READ)
        except BlockingIOError:
            return None
        except OSError as error:
            raise DeviceGone(f"tcp read from {self.peer}: {error}") from error

    def write(self, data: bytes | memoryview) -> int:
        """How many bytes were taken, from the first on; 0 while the peer takes no more."""
        try:
            sent = self._send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise DeviceGone(f"tcp write to {self.peer}: {error}") from error
        self._written += sent
        return sent

    @property
    def taken(self) -> int:
        """Bytes that the peer has acknowledged. Also true after the connection broke, until close()."""
        try:
            answer = fcntl.ioctl(self._sock.fileno(), SIOCOUTQ, b"\0\0\0\0")
        except OSError:
            return self._written
        return self._written - int.from_bytes(answer, "little")

    def close(self) -> None:
        self._sock.close()

    def hang_up(self) -> None:
        """Close with a reset: the peer learns at once that what it sent was not taken."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        self._sock.close()


class TcpPort:
    """Where POS systems connect."""

    def __init__(self, sock: socket.socket, allow: list[str], limit: int, each: int) -> None:
        self._sock, self._limit, self._each = sock, limit, each
        self._open: list[TcpLink] = []
        self._allow = [_network(text) for text in allow]
        self.fileno = sock.fileno
        self.refused = 0
        self.make_room: Callable[[], bool] = lambda: False  # may hang up on a link that is silent

    def accept(self) -> TcpLink | None:
        """The next POS, once fileno() is readable; None when it hung up already, or may not come in."""
        try:
            sock, address = self._sock.accept()
        except OSError:
            return None
        self._open = [link for link in self._open if link.fileno() >= 0]
        mine = sum(link.host == address[0] for link in self._open)
        if not self._may(address[0]) or mine >= self._each or (len(self._open) >= self._limit and not self.make_room()):
            self.refused += 1
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
            sock.close()
            return None
        link = TcpLink(sock, f"{address[0]}:{address[1]}")
        link.host = address[0]
        self._open.append(link)
        return link

    def _may(self, host: str) -> bool:
        if not self._allow:
            return True
        from ipaddress import ip_address

        address = ip_address(host.split("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._allow)

    def close(self) -> None:
        self._sock.close()


def open_pos(url: str) -> TcpPort:
    """Listen. Raises DeviceGone while the address cannot be used, ValueError for a URL that can never work."""
    host, port, options = _parts(url)
    allow = [text for text in options.get("allow", "").split(",") if text]
    limit = int(options.get("limit", "8"))
    each = int(options.get("each", limit + 1))  # not set: one address may have them all
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)  # handed on to what is accepted
        sock.setblocking(False)
        sock.bind((host or "0.0.0.0", port))
        sock.listen(16)
    except OSError as error:
        sock.close()
        raise DeviceGone(f"tcp listen on {host}:{port}: {error}") from error
    return TcpPort(sock, allow, limit, each)


def open_printer(url: str) -> TcpLink:
    """Begin to connect. Raises DeviceGone when that fails at once."""
    host, port, _ = _parts(url)
    family, address = _names.find(host or "127.0.0.1", port)
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    link = TcpLink(sock, f"{host}:{port}", connecting=True)
    try:
        sock.connect(address)
    except BlockingIOError:
        pass
    except OSError as error:
        sock.close()
        _names.forget(host)
        raise DeviceGone(f"tcp connect to {host}:{port}: {error}") from error
    return link


class _Names:
    """Host names -> addresses, looked up in a thread of their own: a dead name server must not stop the loop."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[socket.AddressFamily, str] | None] = {}

    def find(self, host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
        for family in (socket.AF_INET, socket.AF_INET6):
            try:
                socket.inet_pton(family, host)
                return family, (host, port)
            except OSError:
                pass
        if host not in self._known:
            self._known[host] = None
            threading.Thread(target=self._look_up, args=(host,), daemon=True, name=f"look up {host}").start()
        found = self._known.get(host)
        if found is None:
            raise DeviceGone(f"tcp: the address of {host} is being looked up; an IP address needs no look-up")
        return found[0], (found[1], port)

    def forget(self, host: str) -> None:
        self._known.pop(host, None)

    def _look_up(self, host: str) -> None:
        try:
            answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            self._known[host] = answers[0][0], str(answers[0][4][0])
        except OSError:
            self.forget(host)


_names = _Names()


def _network(text: str):  # type: ignore[no-untyped-def]  # an ipaddress network, imported only where it is used
    from ipaddress import ip_network

    return ip_network(text, strict=False)


def _parts(url: str) -> tuple[str, int, dict[str, str]]:
    parts = urlsplit(url)
    if parts.port is None:
        raise ValueError(f"{url!r}: write tcp://HOST:PORT; printers listen on port 9100 by custom")
    return parts.hostname or "", parts.port, {name: values[-1] for name, values in parse_qs(parts.query).items()}


def _words(error: int) -> str:
    import os

    return os.strerror(error)
