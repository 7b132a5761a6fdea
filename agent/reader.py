"""The reading child: `python -m agent.reader`. Masks card numbers and reads receipts, apart from the agent's loop.

Paper can say anything, and what crashes or hangs here must not take the agent along: the parent (agent/child.py)
kills this process and starts another. It has no files, no network, no settings.

On stdin    frames: 1 byte what ("m" mask, then read; "r" only read: the bytes are masked already; "k" only mask; "p"
            what is known of the next job's printer: no answer), 4 bytes length (big-endian), the bytes.
On stdout   once a frame "h": it has loaded what it needs. Then, for "m" and "k", a frame "m" with the masked
            bytes; and, for "m" and "r", a frame "r" (or "R", see RASTER_ONLY) with a wire.Reading as MessagePack.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

import msgspec

if TYPE_CHECKING:
    from receipt import Reading as Read
from wire.messages import Reading

MOST_PACKED = 80 * 1024  # deflated bytes of a reading: with its envelope it fits one message
ALONE_S = 20.0  # of computing: a job that takes longer ends the child, also when nobody is left to kill it
MOST_MEMORY = 1 << 30  # of address space: whatever the paper claims, the box has room left for the rest
READY = b"h"
RASTER_ONLY = b"R"  # as the what of the answer: as "r", and the paper is nothing but a picture

_encode = msgspec.msgpack.Encoder().encode


def main() -> None:
    import receipt
    from agent.profiles import unpack
    from receipt.habits import Habits
    from receipt.redact import mask

    receipt.read(b"TOTAL 1.00\n")  # the vocabularies are there before the first job
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    stdin, stdout = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints goes to the log, not among the frames
    gc.collect()
    gc.freeze()  # what is loaded stays: no collection looks at it again
    gc.set_threshold(20_000, 20, 20)  # what a job leaves behind is no cycle
    profile, habits = None, Habits()
    put(stdout, READY, b"")
    while frame := take(stdin):
        signal.setitimer(signal.ITIMER_PROF, ALONE_S)
        what, raw = frame
        if what == b"p":
            profile = unpack(raw)
            continue
        if what != b"r":
            raw = mask(raw)
            put(stdout, b"m", raw)
        if what != b"k":
            known = profile or receipt.Profile()
            read = receipt.read(raw, known if known.date_order else replace(known, date_order=habits.date_order))
            habits.learn(read.receipts)
            put(stdout, RASTER_ONLY if read.raster_only else b"r", pack(read))
        profile = None
        signal.setitimer(signal.ITIMER_PROF, 0)


def pack(read: Read) -> bytes:
    """A reading as MessagePack, cut down at its end where it is larger than a message may be."""
    lines = [line.text for line in read.lines]
    value = Reading(read.rules_version, lines, list(read.receipts), read.unknown, read.raster_only)
    packed = _encode(value)
    while len(packed) > MOST_PACKED and len(zlib.compress(packed, 1)) > MOST_PACKED:
        value.lines = value.lines[: len(value.lines) // 2]
        if not value.lines:
            value.receipts = []
        packed = _encode(value)
    return packed


def take(stream: BinaryIO) -> tuple[bytes, bytes] | None:
    """The next frame; None at the end."""
    head = stream.read(5)
    if len(head) < 5:
        return None
    return head[:1], stream.read(int.from_bytes(head[1:], "big"))


def put(stream: BinaryIO, what: bytes, body: bytes) -> None:
    stream.write(what + len(body).to_bytes(4, "big") + body)
    stream.flush()


if __name__ == "__main__":
    main()
