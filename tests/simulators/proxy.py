"""A TCP proxy between a box and its broker, with switches for what networks do.

proxy = Proxy(broker_port); … proxy.port …
proxy.delay_s = 0.3          each way
proxy.hole = True            takes everything, passes nothing on, and never says so: half-open
proxy.reset()                every connection ends with a reset, now
proxy.closed = True          takes connections and ends them at once
proxy.shuffle = Random(1)    of MQTT: PUBLISH packets upwards change places, and some come twice
proxy.pubacks = 1            of MQTT: so many PUBACKs downwards are lost, and all that follows is passed on
proxy.portal = b"HTTP/1.1…"  answers whoever speaks, and passes nothing on: a captive portal
proxy.up, proxy.down         bytes that were passed
"""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections.abc import Iterator

LINGER_RESET = struct.pack("ii", 1, 0)


class Proxy:
    def __init__(self, target: int, host: str = "127.0.0.1", at: str = "127.0.0.1") -> None:
        self.target = (host, target)
        self.delay_s = 0.0
        self.hole = self.closed = False
        self.shuffle: random.Random | None = None
        self.pubacks = 0
        self.portal = b""
        self.up = self.down = self.connections = 0
        self._links: set[socket.socket] = set()
        self._server = socket.create_server((at, 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True, name="proxy").start()

    def reset(self) -> None:
        for link in list(self._links):
            try:
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
                link.shutdown(socket.SHUT_RD)  # wakes whoever reads
                link.close()
            except OSError:
                pass

    def close(self) -> None:
        self.closed = True
        self._server.close()
        self.reset()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            if self.closed:
                near.close()
                continue
            try:
                far = socket.create_connection(self.target, 5)
            except OSError:
                near.close()
                continue
            for sock in (near, far):
                sock.settimeout(None)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._links.add(sock)
            for source, drain, upwards in ((near, far, True), (far, near, False)):
                threading.Thread(target=self._pump, args=(source, drain, upwards), daemon=True).start()

    def _pump(self, source: socket.socket, drain: socket.socket, upwards: bool) -> None:
        packets = Packets()
        try:
            while data := source.recv(65536):
                if self.portal and upwards:
                    source.sendall(self.portal)
                    break
                if self.hole or self.portal:
                    continue
                if self.delay_s:
                    time.sleep(self.delay_s)
                if upwards and self.shuffle is not None:
                    data = packets.shuffled(data, self.shuffle)
                elif packets.rest:
                    data, packets.rest = packets.rest + data, b""
                if not upwards and self.pubacks:
                    data = self._without_pubacks(packets, data)
                if upwards:
                    self.up += len(data)
                else:
                    self.down += len(data)
                drain.sendall(data)
        except OSError:
            pass
        for sock in (source, drain):
            self._links.discard(sock)
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def _without_pubacks(self, packets: Packets, data: bytes) -> bytes:
        out = []
        for packet in packets.whole(data):
            if packet[0] >> 4 == 4 and self.pubacks:
                self.pubacks -= 1
            else:
                out.append(packet)
        return b"".join(out)


class Packets:
    """A stream of MQTT packets, cut where they end."""

    def __init__(self) -> None:
        self.rest = b""

    def whole(self, data: bytes) -> Iterator[bytes]:
        """The packets that are whole; the rest waits."""
        self.rest += data
        while (size := self._size()) is not None:
            packet, self.rest = self.rest[:size], self.rest[size:]
            yield packet

    def shuffled(self, data: bytes, rng: random.Random) -> bytes:
        """Whole packets; the PUBLISH ones among them in another order, one in five twice."""
        publishes, others = [], []
        for packet in self.whole(data):
            if packet[0] >> 4 == 3:
                publishes += [packet] * (2 if rng.random() < 0.2 else 1)
            else:
                others.append(packet)
        rng.shuffle(publishes)
        return b"".join([*others, *publishes])

    def _size(self) -> int | None:
        """The length of the first packet, None while it is not whole."""
        size, shift = 0, 0
        for at in range(1, min(5, len(self.rest))):
            size |= (self.rest[at] & 0x7F) << shift
            shift += 7
            if self.rest[at] < 0x80:
                return at + 1 + size if len(self.rest) >= at + 1 + size else None
        return None
