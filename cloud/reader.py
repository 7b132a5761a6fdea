"""The child process that reads receipts: whatever a receipt does to a parser, the service lives on.

stdin   one byte, what is wanted: r reading, h HTML, p PNG; 4 bytes length (big endian); a raw job. Again and again.
        Before a job may stand k and what is known of it, see Known; that has no answer.
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

from receipt import Profile, read
from receipt.habits import Habits
from wire.messages import Reading

MOST_PRINTERS = 10_000  # whose habits are remembered
MEMORY = 1 << 30
MAX_LINES = 20_000
ALARM_S = 30


class Known(msgspec.Struct):
    """What is known of a job beforehand, as JSON; as the box knows it when it reads."""

    printer: str = ""  # any name that no other printer has: the order of day and month is learned for each
    day: str | None = None  # YYYY-MM-DD, where the clock was right
    country: str | None = None  # ISO 3166, of the shop
    currency: str | None = None  # ISO 4217, of the shop


known, habits = Known(), dict[str, Habits]()


def tell(what: bytes) -> None:
    global known
    known = msgspec.json.decode(what, type=Known)


def reading(raw: bytes) -> bytes:
    if known.printer not in habits and len(habits) >= MOST_PRINTERS:
        habits.clear()
    habit = habits.setdefault(known.printer, Habits())
    there = Profile(day=known.day, date_order=habit.date_order, country=known.country, currency=known.currency)
    found = read(raw, there)
    if known.printer:
        habit.learn(found.receipts)
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
        while True:
            head = source.read(5)
            size = int.from_bytes(head[1:], "big")
            raw = source.read(size)
            if len(head) < 5 or len(raw) < size:
                return
            if head[:1] != b"k":
                break
            tell(raw)
        signal.alarm(ALARM_S)
        answer = ANSWERS[head[:1]](raw)
        signal.alarm(0)
        tell(b"{}")


if __name__ == "__main__":
    main()
