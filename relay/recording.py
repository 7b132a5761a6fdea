"""A job on its way into the journal: hashed and cut into pieces as its bytes come."""

from __future__ import annotations

import hashlib
from collections import deque

from relay.clock import mono_ms, wall_ms

PIECE, PIECE_MOST = 64 * 1024, 256 * 1024  # a piece that is shorter than the first is filled up by what comes


class Recording:
    """The loop only appends to `inbox`; everything else is the journal thread's."""

    def __init__(self, pos: str, printer: str, previous: Recording | None = None) -> None:
        self.capture = 0  # given at the first save
        self.pos, self.printer = pos, printer
        self.previous = previous  # the part before this one, of a job that was split
        self.started = (mono_ms(), wall_ms())
        self.inbox: deque[bytes] = deque()
        self.handed = 0  # bytes that the loop has appended so far
        self.buffer: list[bytes] = []  # pieces from the first one on that is not full, or not yet committed
        self.full = 0  # pieces that are full and committed
        self.size = 0
        self.hash = hashlib.sha256()
        self.id: int | None = None
        self.life = -1  # of the store that the full pieces are in
        self.open = False  # has a row in open_jobs

    def hand(self, data: bytes) -> None:
        """The loop's side."""
        self.inbox.append(data)
        self.handed += len(data)

    def take_in(self) -> None:
        """Hash what has come, and make pieces of it.

        In few long steps that need no interpreter lock: each time it is wanted back, the loop has to give way.
        """
        while self.inbox:
            first = self.buffer.pop() if self.buffer and len(self.buffer[-1]) < PIECE else b""
            some, size = [first], len(first)
            while self.inbox and size < PIECE_MOST:
                some.append(self.inbox.popleft())
                size += len(some[-1])
            piece = b"".join(some)
            self.hash.update(memoryview(piece)[len(first) :])
            self.size += size - len(first)
            self.buffer.append(piece)
