"""Receipts as boxes send them: packets built beforehand, sent by processes of their own through raw sockets."""

from __future__ import annotations

import multiprocessing
import random
import select
import socket
import string
import time
import uuid
from typing import Any

from cloud.mqtt import Address, Mqtt
from receipt.extract import RULES_VERSION
from tests.simulators.box import job
from wire import topics
from wire.messages import encode

NAMES = [f"shop-{n:03d}-front" for n in range(40)]
WINDOW = 1000  # unacknowledged PUBLISHes of one connection
LETTERS = string.ascii_letters + string.digits + " "
PUBACK = 4  # bytes
PIECE = 20  # PUBLISHes in one write


def payloads(count: int) -> list[tuple[str, bytes]]:
    """(topic, message) of receipts whose message has about 3 KB, read with the rules that the cloud has."""
    rng = random.Random(1)
    epochs = {name: str(uuid.UUID(int=rng.getrandbits(128))) for name in NAMES}
    out = []
    for n in range(count):
        name = NAMES[n % len(NAMES)]
        text = "\n".join("".join(rng.choices(LETTERS, k=46)) for _ in range(56))
        message = encode(job(epochs[name], n // len(NAMES) + 1, text, RULES_VERSION))
        out.append((topics.up(name, "receipts"), message))
    return out


class Load:
    """`senders` publishers, waiting for `start()`. `rate`: receipts a second of all together; 0: as fast as can be."""

    def __init__(self, port: int, count: int, senders: int = 2, rate: float = 0) -> None:
        context = multiprocessing.get_context("fork")
        self._ready, self._go = context.Semaphore(0), context.Event()
        everything = payloads(count)
        self.bytes_each = sum(len(payload) for _, payload in everything) / count
        self._processes = [
            context.Process(target=_publish, args=(port, everything[n::senders], rate / senders, self._ready, self._go))
            for n in range(senders)
        ]
        for process in self._processes:
            process.start()
        for _ in self._processes:
            self._ready.acquire()

    def start(self) -> float:
        self._go.set()
        return time.monotonic()

    def close(self) -> None:
        for process in self._processes:
            process.join(60)
            process.kill()


def _publish(port: int, messages: list[tuple[str, bytes]], rate: float, ready: Any, go: Any) -> None:
    """A process's work: everything is built, then sent; at most WINDOW ahead of the broker's PUBACKs."""
    line = Mqtt(Address("127.0.0.1", port, "crowd", "crowd"), f"load-{uuid.uuid4().hex[:8]}", keepalive_s=600)
    packets = [line.packet(topic, payload)[1] for topic, payload in messages]
    pieces = [b"".join(packets[n : n + PIECE]) for n in range(0, len(packets), PIECE)]
    ready.release()
    go.wait()
    plain: socket.socket = line._socket
    began, sent, acked = time.monotonic(), 0, 0
    for piece in pieces:
        while sent - acked // PUBACK > WINDOW or select.select([plain], [], [], 0)[0]:
            acked += len(plain.recv(65536))
        if rate and (early := began + sent / rate - time.monotonic()) > 0:
            time.sleep(early)
        plain.sendall(piece)
        sent += PIECE
    while acked < PUBACK * len(packets):
        acked += len(plain.recv(65536))
    line.close()
