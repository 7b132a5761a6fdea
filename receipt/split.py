"""Where one piece of paper ends and the next begins, in bytes whose timing is not known. Pure.

Files are such bytes, and jobs of printers that do not cut. A cut always ends a piece (`receipt.jobs`). Without one
there are signs: a form feed; so much blank paper that a hand can tear it off, and then a fresh start (ESC @, a code
page as at the first beginning) or some more lines of text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from receipt.commands import TEXT, Command, Effect
from receipt.encoding import slices
from receipt.jobs import ROLES, TRAILING, Edge, Jobs, What
from receipt.paper import Profile
from receipt.tokens import Dialect, Mark, Scanner

_TEAR = 5  # blank lines: the paper from head to cutter, and a hand's width
_FRESH = 2  # blank lines before a fresh start
_LINES = 4  # printed lines that make a piece of their own where only blank paper speaks for it


_PAGES = ("code_page", "star_code_page")
_ON_PAPER, _PRINTS, _PULSES, _STATE, _INIT, _ASKS = (1 << bit for bit in range(6))
_MEANS = (
    (_ON_PAPER, Effect.PRINTS | Effect.FEEDS | Effect.CUTS | Effect.PULSES),
    (_PRINTS, Effect.PRINTS),
    (_PULSES, Effect.PULSES),
    (_STATE, Effect.STATE),
    (_INIT, Effect.INIT),
    (_ASKS, Effect.QUERY | Effect.REALTIME),
)


class _Kinds(dict[Command, int]):
    """What counts here of a command's effect, as bits of a plain number, worked out once for each row."""

    def __missing__(self, command: Command) -> int:
        self[command] = sum(bit for bit, effect in _MEANS if command.effect & effect)
        return self[command]


_KINDS = _Kinds()


class Part(NamedTuple):
    """One piece of paper: bytes `start` to `end`, and what ended it: cut, form (as told above), size or close."""

    start: int
    end: int
    boundary: str


class _Seam(NamedTuple):
    """Between two pieces."""

    end: int  # of the piece before
    start: int  # of the piece after
    sure: bool
    lines: int  # printed in the piece before


def split(stream: bytes, profile: Profile | None = None) -> list[Part]:
    """The pieces of paper in a stream of any length. Bytes that print nothing between two of them belong to neither.

    Raises nothing. Time is linear in the bytes.
    """
    return list(pieces(stream, profile))


def pieces(stream: bytes, profile: Profile | None = None) -> Iterator[Part]:
    """As `split`, one by one: what is held besides the stream does not grow with it."""
    scanner, jobs = Scanner(profile.dialect if profile is not None else Dialect.AUTO), Jobs()
    job: _Job | None = None
    for slice_ in slices(stream):
        marks = scanner.feed(slice_)
        edges = _placed(jobs.feed(marks, scanner.position))
        place, edge = next(edges)
        for mark in marks:
            while edge is not None and place <= mark.start:
                yield from _turn(job, edge)
                job = _next_job(stream, job, edge)
                place, edge = next(edges)
            if job is not None:
                yield from job.mark(mark)
        while edge is not None:
            yield from _turn(job, edge)
            job = _next_job(stream, job, edge)
            place, edge = next(edges)
    if job is not None:
        yield from job.close(job.end if job.cut else len(stream), "cut" if job.cut else "close")


def _placed(edges: list[Edge]) -> Iterator[tuple[int, Edge | None]]:
    """Each edge and the byte before which it happened; at last, none."""
    for at, edge in enumerate(edges):
        if edge.what is What.END:  # known when the next job starts
            yield edges[at + 1].start, edge
        else:
            yield edge.end if edge.what is What.SPLIT else edge.start, edge
    yield 0, None


def _turn(job: _Job | None, edge: Edge) -> Iterator[Part]:
    """What an edge completes."""
    if job is not None and edge.what is What.END:
        yield from job.close(job.end, "cut")
    elif job is not None and edge.what is What.SPLIT:
        yield from job.close(edge.end, "size")


def _next_job(stream: bytes, job: _Job | None, edge: Edge) -> _Job | None:
    """The job that bytes after the edge belong to."""
    if edge.what is What.START:
        return _Job(stream, edge.start)
    if edge.what is What.SPLIT:
        return _Job(stream, edge.end)
    if edge.what is What.CUT and job is not None:
        job.cut, job.end = True, edge.end
    return job if edge.what is What.CUT else None


class _Job:
    """Follows one job, mark by mark, and looks for pieces of paper in it that no cut parts."""

    def __init__(self, stream: bytes, start: int) -> None:
        self.stream = stream
        self.cut = False
        self.end = start  # after a cut: where the job ends so far
        self._start = start  # of the piece that goes on
        self._held: _Seam | None = None  # whether it parts two pieces depends on what follows
        self._opening: list[str] = []  # the first commands that set something
        self._seen = 0
        self._printed = self._blank = 0  # lines in this piece; blank lines since the last printed one
        self._on_paper = self._pending = self._page = self._pulsed = self._fed_out = False
        self._torn = self._begin = start  # where the blank paper ends, and what follows it begins

    def close(self, end: int, boundary: str) -> Iterator[Part]:
        """The last pieces of the job; none where it did nothing to the paper or the drawer."""
        if not self._on_paper:
            return
        end = min(end, len(self.stream))
        yield from self._seam(_Seam(end, end, True, self._printed + self._pending))
        yield Part(self._start, end, boundary)

    def _seam(self, seam: _Seam) -> Iterator[Part]:
        """The piece before the last seam, where that one is real: pieces too short to be told by blank paper alone
        stay with the piece before."""
        held, self._held = self._held, seam
        if held is not None and (held.sure or (held.lines >= _LINES and seam.lines >= _LINES)):
            yield Part(self._start, held.end, "form")
            self._start = held.start

    def mark(self, mark: Mark) -> Iterator[Part]:
        """A mark of this job -> the pieces that are certain now."""
        command, start, end = mark
        stream, name, kind = self.stream, command.name, _KINDS[command]
        if kind & _ON_PAPER:
            self._on_paper = True
        if self.cut:
            # What only feeds is the cut's; and the drawer is opened for what was cut.
            if start >= self.end and (ROLES[command] in TRAILING or (kind & _PULSES and start == self.end)):
                self.end = end
            return
        if self._seen < 6:
            self._seen += 1
            if kind & _STATE:
                self._opening.append(name)
        if command is TEXT:
            if not stream[start:end].strip():
                return
            if self._printed and not self._pending and (self._fed_out or self._blank >= _TEAR):
                yield from self._seam(_Seam(self._torn, self._begin, self._fed_out, self._printed))
                self._printed = 0
            self._pending, self._fed_out = True, False
        elif name == "page_mode":
            self._page = True
        elif name == "form_feed" and not self._page:
            self._printed, self._pending, self._blank = self._printed + self._pending, False, 0
            self._fed_out, self._torn, self._begin = self._printed > 0, end, end
        elif name in ("form_feed", "standard_mode"):
            self._page, self._pending = False, self._pending or name == "form_feed"
        elif kind & _INIT or (name in _PAGES and name in self._opening[:2] and self._blank > _FRESH):
            if self._pending or (self._printed and not self._fed_out and self._blank < _FRESH):
                return
            if self._printed or self._pulsed:
                torn = self._torn if self._printed else start
                yield from self._seam(_Seam(torn, start, True, self._printed))
            elif self._held is None:
                self._start = start  # initialised twice: the first for nothing
            self._printed, self._blank, self._fed_out, self._pulsed = 0, 0, False, False
        elif name in ("line_feed", "feed_lines"):
            count = 1 if name == "line_feed" else stream[end - 1] if end <= len(stream) else 0
            if self._pending:
                self._printed, self._pending, self._blank, count = self._printed + 1, False, 0, count - 1
            self._blank += max(count, 0)
            self._torn = self._begin = end
        elif kind & _PRINTS and end - start > 4:
            self._printed, self._blank, self._torn, self._begin = self._printed + 1, 0, end, end  # a picture or a code
        elif kind & _ASKS and self._begin == start:
            self._begin = end
        if kind & _PULSES:
            self._pulsed = True
