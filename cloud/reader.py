"""The child process that reads receipts: whatever a receipt does to a parser, the service lives on.

stdin   one byte, what is wanted: r reading, h HTML, p PNG; 4 bytes length (big endian); a raw job. Again and again.
stdout  4 bytes length, then the answer: for r a wire Reading as MessagePack. One at the start, of an empty job, says
        which rules_version this is.

It ends when stdin does, and kills itself when one job takes longer than ALARM_S: it does not outlive the service.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Callable

import msgspec

from receipt import read
from wire.messages import Reading

MEMORY = 1 << 30
MAX_LINES = 20_000
ALARM_S = 30


def reading(raw: bytes) -> bytes:
    found = read(raw)
    return msgspec.msgpack.encode(
        Reading(
            rules_version=found.rules_version,
            lines=[line.text for line in found.lines[:MAX_LINES]],
            receipts=list(found.receipts),
            unknown=found.unknown,
            raster_only=found.raster_only,
        )
    )


def html(raw: bytes) -> bytes:
    from receipt.picture import as_html

    return as_html(read(raw).lines).encode()


def png(raw: bytes) -> bytes:
    from receipt.picture import as_png

    return as_png(raw)


ANSWERS: dict[bytes, Callable[[bytes], bytes]] = {b"r": reading, b"h": html, b"p": png}


def main() -> None:
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    os.nice(10)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    answer = reading(b"")
    while True:
        sink.write(len(answer).to_bytes(4, "big") + answer)
        sink.flush()
        head = source.read(5)
        if len(head) < 5:
            return
        size = int.from_bytes(head[1:], "big")
        raw = source.read(size)
        if len(raw) < size:
            return
        signal.alarm(ALARM_S)
        answer = ANSWERS[head[:1]](raw)
        signal.alarm(0)


if __name__ == "__main__":
    main()
