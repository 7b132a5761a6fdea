"""The child process that reads receipts: whatever a receipt does to a parser, the service lives on.

stdin   4 bytes length (big endian), then a raw job; again and again
stdout  4 bytes length, then a wire Reading as MessagePack; one for each job, and one empty Reading at the start that
        says which rules_version this is
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from typing import BinaryIO

import msgspec

from receipt import read
from wire.messages import Reading

MEMORY = 1 << 30
MAX_LINES = 20_000


def main() -> None:
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    os.nice(5)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    _write(sink, b"")
    while len(head := source.read(4)) == 4:
        size = int.from_bytes(head, "big")
        raw = source.read(size)
        if len(raw) < size:
            return
        _write(sink, raw)


def _write(sink: BinaryIO, raw: bytes) -> None:
    found = read(raw)
    reading = Reading(
        rules_version=found.rules_version,
        lines=[line.text for line in found.lines[:MAX_LINES]],
        receipts=list(found.receipts),
        unknown=found.unknown,
        raster_only=found.raster_only,
    )
    body = msgspec.msgpack.encode(reading)
    sink.write(len(body).to_bytes(4, "big") + body)
    sink.flush()


if __name__ == "__main__":
    main()
