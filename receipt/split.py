"""Where one piece of paper ends and the next begins, in bytes whose timing is not known. Pure.

Files are such bytes, and jobs of printers that do not cut. A cut always ends a piece (`receipt.jobs`). Without one
there are signs: a form feed; so much blank paper that a hand can tear it off, and then a fresh start (ESC @, a code
page as at the first beginning) or some more lines of text.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from receipt.commands import TEXT, Effect
from receipt.jobs import Edge, Jobs, What
from receipt.paper import Profile
from receipt.tokens import Dialect, Mark, Scanner

_TEAR = 5  # blank lines: the paper from head to cutter, and a hand's width
_FRESH = 2  # blank lines before a fresh start
_LINES = 4  # printed lines that make a piece of their own where only blank paper speaks for it


_PAGES = ("code_page", "star_code_page")
_ON_PAPER = Effect.PRINTS | Effect.FEEDS | Effect.CUTS | Effect.PULSES


class Part(NamedTuple):
    """One piece of paper: bytes `start` to `end`, and what ended it: cut, form (as told above), size or close."""

    start: int
    end: int
    boundary: str


def split(stream: bytes, profile: Profile | None = None) -> list[Part]:
    """The pieces of paper in a stream of any length. Bytes that print nothing between two of them belong to neither.

    Raises nothing. Time is linear in the bytes.
    """
    scanner = Scanner(profile.dialect if profile is not None else Dialect.AUTO)
    jobs = Jobs()
    marks = scanner.feed(stream)
    parts: list[Part] = []
    at = 0
    for start, end, boundary in _cut_apart(jobs, jobs.feed(marks, scanner.position), len(stream)):
        while at < len(marks) and marks[at].start < start:
            at += 1
        first = at
        while at < len(marks) and marks[at].start < end:
            at += 1
        while boundary == "cut" and at < len(marks) and Effect.PULSES in marks[at].command.effect:
            end = min(marks[at].end, len(stream))  # the drawer is opened for what was cut
            at += 1
        if any(mark.command.effect & _ON_PAPER for mark in marks[first:at]):
            parts += _forms(stream, marks[first:at], Part(start, end, boundary))
    return parts


def _cut_apart(jobs: Jobs, edges: list[Edge], size: int) -> list[Part]:
    """Jobs as their cuts make them."""
    found: list[Part] = []
    start = end = 0
    for edge in edges:
        if edge.what is What.START:
            start = edge.start
        elif edge.what is What.SPLIT:
            found.append(Part(edge.start, edge.end, "size"))
            start = edge.end
        elif edge.what is What.CUT:
            end = edge.end
        elif edge.what is What.END:
            found.append(Part(start, min(edge.end, size), "cut"))
    if jobs.tail:
        found.append(Part(start, min(max(end, jobs.end), size), "cut"))
    elif jobs.open:
        found.append(Part(start, size, "close"))
    return found


class _Seam(NamedTuple):
    """Between two pieces."""

    end: int  # of the piece before
    start: int  # of the piece after
    sure: bool
    lines: int  # printed in the piece before


def _forms(stream: bytes, marks: list[Mark], job: Part) -> list[Part]:
    """The pieces of one job that has no cut inside."""
    seams: list[_Seam] = []
    opening = [mark.command.name for mark in marks[:6] if Effect.STATE in mark.command.effect]
    printed = blank = 0  # lines in this piece; blank lines since the last printed one
    pending = page = pulsed = fed_out = False
    torn = begin = job.start  # where the blank paper ends, and what follows it begins
    for command, start, end in marks:
        name, effect = command.name, command.effect
        if command is TEXT:
            if not stream[start:end].strip():
                continue
            if printed and not pending and (fed_out or blank >= _TEAR):
                seams.append(_Seam(torn, begin, fed_out, printed))
                printed = 0
            pending, fed_out = True, False
        elif name == "page_mode":
            page = True
        elif name == "form_feed" and not page:
            printed, pending, blank = printed + pending, False, 0
            fed_out, torn, begin = printed > 0, end, end
        elif name in ("form_feed", "standard_mode"):
            page, pending = False, pending or name == "form_feed"
        elif Effect.INIT in effect or (name in _PAGES and name in opening[:2] and blank > _FRESH):
            if pending or (printed and not fed_out and blank < _FRESH):
                continue
            if printed or pulsed:
                seams.append(_Seam(torn if printed else start, start, True, printed))
            elif not seams:
                job = job._replace(start=start)  # initialised twice: the first for nothing
            printed, blank, fed_out, pulsed = 0, 0, False, False
        elif name in ("line_feed", "feed_lines"):
            count = 1 if name == "line_feed" else stream[end - 1] if end <= len(stream) else 0
            if pending:
                printed, pending, blank, count = printed + 1, False, 0, count - 1
            blank += max(count, 0)
            torn = begin = end
        elif Effect.PRINTS in effect and end - start > 4:
            printed, blank, torn, begin = printed + 1, 0, end, end  # a picture or a code
        elif effect & (Effect.QUERY | Effect.REALTIME) and begin == start:
            begin = end
        pulsed = pulsed or Effect.PULSES in effect
    seams.append(_Seam(job.end, job.end, True, printed + pending))
    return _joined(seams, job)


def _joined(seams: list[_Seam], job: Part) -> list[Part]:
    """The pieces; those too short to be one by blank paper alone are put back to the piece before."""
    parts: list[Part] = []
    start = job.start
    for seam, following in pairwise(seams):
        if seam.sure or (seam.lines >= _LINES and following.lines >= _LINES):
            parts.append(Part(start, seam.end, "form"))
            start = seam.start
    parts.append(Part(start, job.end, job.boundary))
    return parts
