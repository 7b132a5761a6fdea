"""Where jobs begin and end in a POS stream. Pure.

A job starts at the first token that prints, feeds, cuts, pulses or sets state; real-time commands and queries alone
start none. A cut ends it; what only feeds, beeps or opens the drawer right after the cut still belongs to it. A job
that grows to `most` bytes is split there. Silence and hanging up end jobs too: the caller knows them, not the stream.

Offsets count from the beginning of the stream, as those of `receipt.tokens.Mark`.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from receipt.commands import Command, Effect
from receipt.tokens import Mark

MOST = 4 * 1024 * 1024
STARTING = (
    Effect.PRINTS
    | Effect.FEEDS
    | Effect.CUTS
    | Effect.PULSES
    | Effect.STATE
    | Effect.MOVES
    | Effect.PAGE
    | Effect.INIT
    | Effect.STORES
)
FEED_ONLY = {  # feeding is all they do; a raster or a barcode feeds too, but prints first
    "line_feed",
    "carriage_return",
    "form_feed",
    "vertical_tab",
    "feed_lines",
    "feed_dots",
    "feed_back_lines",
    "feed_back_dots",
    "label_feed",
}
PRINTS, ASKS, FEEDS, NOTHING, CUTS = range(5)
TRAILING = (FEEDS, NOTHING)  # right after a cut: still its job


class What(Enum):
    START = "start"  # a job begins at `start`
    CUT = "cut"  # its cut is the command start..end; `end` may lie beyond the bytes fed so far
    END = "end"  # a job that was cut is over for good at `end`: another one starts
    SPLIT = "split"  # it became too long: `end` is where this part ends and the next begins


class Edge(NamedTuple):
    what: What
    start: int
    end: int


class _Roles(dict[Command, int]):
    """What a command means for jobs, worked out once for each row of the tables."""

    def __missing__(self, command: Command) -> int:
        effect = command.effect
        if effect & Effect.CUTS:
            role = CUTS
        elif effect & (Effect.QUERY | Effect.REALTIME) and not effect & Effect.STATE:
            role = ASKS
        elif command.name in FEED_ONLY or effect & Effect.PULSES:
            role = FEEDS
        elif effect & STARTING or command.name == "unknown":
            role = PRINTS  # unknown bytes may print: better a job too many than bytes that nobody kept
        else:
            role = NOTHING
        self[command] = role
        return role


ROLES = _Roles()


class Jobs:
    """Follows one stream. `open` is true from START to CUT; `tail` from CUT to the next START, or until over()."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self.open = self.tail = False
        self.start = 0  # where the job began that is open or in its tail
        self.end = 0  # in the tail: where the job ends as far as is known
        self._resume: int | None = None  # a job was ended inside a command here: what follows is another job

    @property
    def is_idle(self) -> bool:
        """No job is open, and nothing that comes can belong to an earlier one."""
        return not self.open and not self.tail and self._resume is None

    def feed(self, marks: Iterable[Mark], position: int) -> list[Edge]:
        """Marks, in stream order, and the bytes fed so far -> what happened to jobs, in stream order."""
        edges: list[Edge] = []
        roles = ROLES
        if self._resume is not None and position > self._resume:
            edges.append(Edge(What.START, self._resume, self._resume))
            self.open, self.start, self._resume = True, self._resume, None
        for command, start, end in marks:
            role = roles[command]
            if self.open:
                if role == CUTS:
                    self._split(edges, start)
                    edges.append(Edge(What.CUT, start, end))
                    self.open, self.tail, self.end = False, True, end
            elif role == ASKS:
                pass
            elif self.tail and (role in TRAILING):
                self.end = end
            elif role != NOTHING:
                if self.tail:
                    edges.append(Edge(What.END, self.start, self.end))
                    self.tail = False
                edges.append(Edge(What.START, start, start))
                self.open, self.start = True, start
                if role == CUTS:
                    edges.append(Edge(What.CUT, start, end))
                    self.open, self.tail, self.end = False, True, end
        if self.open and position - self.start >= self.most:
            self._split(edges, position)
        return edges

    def over(self, inside: int | None = None) -> None:
        """The caller has ended the job: after silence, or because the POS hung up.

        `inside`: the stream stands here, in the middle of a command; its rest, should it come, makes a job of its own.
        """
        self.open = self.tail = False
        self._resume = inside

    def _split(self, edges: list[Edge], position: int) -> None:
        while position - self.start >= self.most:
            self.start += self.most
            edges.append(Edge(What.SPLIT, self.start - self.most, self.start))
