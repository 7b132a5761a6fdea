"""Opening hours as a shop writes them. Pure.

"Mon-Fri 11:00-15:00, 18:00-23:00; Sat,Sun 10:00-01:00": rules are apart by ";", the times of a rule by ",". No days:
every day. A time that ends before it begins ends on the next day. Nothing at all: always.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WEEK = 7 * 1440
_TIME = re.compile(r"(\d{1,2})[:.](\d{2})\s*[-\u2013]\s*(\d{1,2})[:.](\d{2})")
_DAY = re.compile(r"(mon|tue|wed|thu|fri|sat|sun)[a-z]*(?:\s*[-\u2013]\s*(mon|tue|wed|thu|fri|sat|sun)[a-z]*)?")
Spans = list[tuple[int, int]]  # minutes since Monday 0:00, end not included; the end may lie past the week's


class BadHours(Exception):
    """What is written are no hours, and why."""


def parse(text: str) -> Spans:
    """Raises BadHours.

    >>> parse("Mon 09:00-10:00"), parse("")
    ([(540, 600)], [(0, 10080)])
    """
    if not text.strip():
        return [(0, WEEK)]
    spans: Spans = []
    for rule in filter(None, (piece.strip() for piece in text.lower().split(";"))):
        times = _TIME.findall(rule)
        days = _days(_TIME.sub("", rule))
        if not times:
            raise BadHours(f"{rule!r} has no time like 11:00-22:30")
        for words in times:
            h1, m1, h2, m2 = map(int, words)
            start, end = h1 * 60 + m1, h2 * 60 + m2
            if start >= 1440 or end > 1440 or m1 > 59 or m2 > 59:
                raise BadHours(f"{rule!r} has a time that is none")
            end += 1440 if end <= start else 0
            spans += [(day * 1440 + start, day * 1440 + end) for day in days]
    return sorted(spans)


def _days(text: str) -> list[int]:
    rest = _DAY.sub("", text)
    if rest.strip(" ,:"):
        raise BadHours(f"{rest.strip(' ,:')!r} is no day: write Mon, Tue, Wed, Thu, Fri, Sat, Sun")
    days: list[int] = []
    for first, last in _DAY.findall(text):
        a = DAYS.index(first)
        days += [(a + n) % 7 for n in range((DAYS.index(last or first) - a) % 7 + 1)]
    return sorted(set(days)) or list(range(7))


def is_open(text: str, when: datetime) -> bool:
    """`when`: the shop's own time. What cannot be parsed was never stored; it counts as open."""
    return opens(text, when) == when


def opens(text: str, when: datetime) -> datetime | None:
    """`when` itself if it is open then, else when it opens next; None: never."""
    try:
        spans = parse(text)
    except BadHours:
        return when
    now = when.weekday() * 1440 + when.hour * 60 + when.minute
    waits = []
    for start, end in spans:
        if start <= now < end or start <= now + WEEK < end:
            return when
        waits.append((start - now) % WEEK)
    if not waits:
        return None
    return when.replace(second=0, microsecond=0) + timedelta(minutes=min(waits))
