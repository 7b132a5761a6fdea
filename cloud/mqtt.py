"""A small MQTT 3.1.1 client for the cloud's side: one thread, blocking, QoS 0 and 1, messages taken in batches.

Why not paho here: an ingest worker wants everything that has arrived in one call, commits it in one transaction and
acknowledges it in one write; a callback for each message costs more than storing it. Boxes use paho.

Source: MQTT Version 3.1.1, OASIS Standard, 2014.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

CONNECT: Final = 0x10
CONNACK: Final = 0x20
PUBLISH: Final = 0x30
PUBACK: Final = 0x40
SUBSCRIBE: Final = 0x82
SUBACK: Final = 0x90
UNSUBSCRIBE: Final = 0xA2
PINGREQ: Final = b"\xc0\x00"
DISCONNECT: Final = b"\xe0\x00"
MAX_PACKET: Final = 1 << 20  # boxes send 128 KiB at most; a broker that sends more is not ours
REFUSALS: Final = {
    1: "it does not speak MQTT 3.1.1",
    2: "it does not like the client id",
    3: "it is not available",
    4: "wrong user name or password",
    5: "not authorized",
}


class Offline(Exception):
    """The broker cannot be reached, or hung up. Back off and connect again."""


class Publish(NamedTuple):
    topic: str
    payload: bytes
    qos: int
    retain: bool
    mid: int  # 0 with QoS 0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a broker is, and who we are there. `tls` is None for a plain connection."""

    host: str
    port: int
    username: str
    password: str
    tls: ssl.SSLContext | None = None


class Mqtt:
    """One connection with a clean session. Every call raises Offline when it breaks; then make a new one.

    receive()       -> the messages that are there; waits for the first
    ack(messages)   the PUBACKs of those, in one write
    publish()       -> the message's mid; `acked` collects the mids that the broker has confirmed
    """

    def __init__(self, address: Address, client_id: str, keepalive_s: int = 30, timeout_s: float = 10) -> None:
        self.where = f"{address.host}:{address.port}"
        self.acked: set[int] = set()
        self._keepalive = keepalive_s
        self._buffer = bytearray()
        self._early: list[Publish] = []
        self._subacks: dict[int, bytes] = {}
        self._mid = 0
        self._sent = self._heard = self._pinged = time.monotonic()
        try:
            plain = socket.create_connection((address.host, address.port), timeout_s)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = address.tls.wrap_socket(plain, server_hostname=address.host) if address.tls else plain
            self._socket.settimeout(timeout_s)
            self._send(_connect(client_id, address.username, address.password, keepalive_s))
            answer = self._exactly(4)
        except (OSError, ValueError) as error:
            raise Offline(f"broker {self.where}: {error}") from error
        if answer[0] != CONNACK or answer[3]:
            self.close()
            raise Offline(f"broker {self.where} refuses: {REFUSALS.get(answer[3], f'code {answer[3]}')}")

    def fileno(self) -> int:
        return self._socket.fileno()

    def subscribe(self, filters: list[str], qos: int = 1, timeout_s: float = 10) -> None:
        """Returns when the broker granted all of them."""
        mid = self._next_mid()
        body = struct.pack("!H", mid) + b"".join(_string(f) + bytes([qos]) for f in filters)
        self._send(bytes([SUBSCRIBE]) + _length(len(body)) + body)
        end = time.monotonic() + timeout_s
        while mid not in self._subacks:
            left = end - time.monotonic()
            if left <= 0:
                raise Offline(f"broker {self.where} did not answer a SUBSCRIBE in {timeout_s} s")
            self._early += self._receive(left)
        if 0x80 in self._subacks.pop(mid):
            raise Offline(f"broker {self.where} refuses a subscription of {', '.join(filters)}")

    def unsubscribe(self, filters: list[str]) -> None:
        """Does not wait for the answer: what comes until then is for the caller to drop."""
        body = struct.pack("!H", self._next_mid()) + b"".join(_string(f) for f in filters)
        self._send(bytes([UNSUBSCRIBE]) + _length(len(body)) + body)

    def receive(self, timeout_s: float) -> list[Publish]:
        """All messages that have arrived whole; waits up to `timeout_s` for the first. Keeps the connection alive."""
        if self._early:
            early, self._early = self._early, []
            return early
        return self._receive(timeout_s)

    def ack(self, messages: Iterable[Publish]) -> None:
        self._send(b"".join(struct.pack("!BBH", PUBACK, 2, m.mid) for m in messages if m.qos))

    def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> int:
        mid, packet = self.packet(topic, payload, qos, retain)
        self._send(packet)
        return mid

    def packet(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> tuple[int, bytes]:
        """-> (mid, the bytes of a PUBLISH), for sending many at once with `send()`."""
        mid = self._next_mid() if qos else 0
        body = _string(topic) + (struct.pack("!H", mid) if qos else b"")
        head = bytes([PUBLISH | qos << 1 | retain]) + _length(len(body) + len(payload))
        return mid, head + body + payload

    def send(self, packets: bytes) -> None:
        self._send(packets)

    def close(self) -> None:
        try:
            self._socket.settimeout(1)
            self._socket.sendall(DISCONNECT)
        except OSError:
            pass
        self._socket.close()

    def _receive(self, timeout_s: float) -> list[Publish]:
        end = time.monotonic() + timeout_s
        while True:
            self._stay_alive()
            if messages := self._packets():
                return messages
            left = end - time.monotonic()
            if not self._wait(max(0.0, min(left, self._keepalive / 2))):
                if left <= 0:
                    return []
                continue
            try:
                data = self._socket.recv(262144)
            except TimeoutError:
                continue
            except OSError as error:
                raise Offline(f"broker {self.where}: {error}") from error
            if not data:
                raise Offline(f"broker {self.where} hung up")
            self._heard = time.monotonic()
            self._buffer += data
            if (messages := self._packets()) or self._subacks:
                return messages

    def _pending(self) -> bool:
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    def _wait(self, timeout_s: float) -> bool:
        return self._pending() or bool(select.select([self._socket], [], [], timeout_s)[0])

    def _packets(self) -> list[Publish]:
        out: list[Publish] = []
        buffer, at = self._buffer, 0
        size = len(buffer)
        while size - at >= 2:
            length, shift, body = 0, 0, at + 1
            while body < size:
                byte = buffer[body]
                length |= (byte & 0x7F) << shift
                body, shift = body + 1, shift + 7
                if byte < 0x80:
                    break
                if shift > 21:
                    raise Offline(f"broker {self.where} sent a length that MQTT does not know")
            else:
                break
            if length > MAX_PACKET:
                raise Offline(f"broker {self.where} sent a packet of {length} bytes")
            end = body + length
            if end > size:
                break
            self._one(buffer[at], buffer, body, end, out)
            at = end
        del buffer[:at]
        return out

    def _one(self, head: int, buffer: bytearray, body: int, end: int, out: list[Publish]) -> None:
        kind = head & 0xF0
        if kind == PUBLISH:
            qos = head >> 1 & 3
            topic_end = body + 2 + (buffer[body] << 8 | buffer[body + 1])
            start = topic_end + (2 if qos else 0)
            if start > end or qos > 1:
                raise Offline(f"broker {self.where} sent a PUBLISH that is not one")
            mid = buffer[topic_end] << 8 | buffer[topic_end + 1] if qos else 0
            topic = buffer[body + 2 : topic_end].decode("utf-8", "replace")
            out.append(Publish(topic, bytes(buffer[start:end]), qos, bool(head & 1), mid))
        elif kind == PUBACK and end - body == 2:
            self.acked.add(buffer[body] << 8 | buffer[body + 1])
        elif kind == SUBACK and end - body >= 3:
            self._subacks[buffer[body] << 8 | buffer[body + 1]] = bytes(buffer[body + 2 : end])

    def _stay_alive(self) -> None:
        """A broker need not answer what is published with QoS 0, only a ping: so however much we say, one that was not
        heard of is pinged. What lies unread in the socket was said."""
        now = time.monotonic()
        silent_s = now - self._heard
        if silent_s > self._keepalive * 1.5 and not self._wait(0):
            raise Offline(f"broker {self.where} was silent for {silent_s:.0f} s")
        if now - self._sent > self._keepalive / 2 or (
            silent_s > self._keepalive / 2 and now - self._pinged > self._keepalive / 4
        ):
            self._pinged = now
            self._send(PINGREQ)

    def _send(self, data: bytes) -> None:
        if not data:
            return
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise Offline(f"broker {self.where}: {error}") from error
        self._sent = time.monotonic()

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self._socket.recv(count - len(data))
            if not piece:
                raise OSError("hung up before it answered")
            data += piece
        return data

    def _next_mid(self) -> int:
        self._mid = self._mid % 65535 + 1
        return self._mid


def _connect(client_id: str, username: str, password: str, keepalive_s: int) -> bytes:
    flags = 0x02 | (0x80 if username else 0) | (0x40 if password else 0)  # clean session
    body = b"\x00\x04MQTT\x04" + struct.pack("!BH", flags, keepalive_s) + _string(client_id)
    body += (_string(username) if username else b"") + (_string(password) if password else b"")
    return bytes([CONNECT]) + _length(len(body)) + body


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("!H", len(data)) + data


def _length(size: int) -> bytes:
    out = bytearray()
    while True:
        size, byte = divmod(size, 128)
        out.append(byte | (0x80 if size else 0))
        if not size:
            return bytes(out)
