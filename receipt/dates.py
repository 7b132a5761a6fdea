"""Dates and times as receipts print them, in every order. Pure.

A date of digits alone is kept as the readings it allows (day first, month first, year first); the rule decides by
evidence.
"""

from __future__ import annotations

import re
from datetime import date as Day
from functools import lru_cache
from typing import Final, NamedTuple

from receipt.words import key, months

_NUMERIC = re.compile(
    r"(?<![\d.,])(\d{4}|\d{1,2}) ?([-/.'])? ?(\d{1,2}) ?\2 ?(\d{4}|\d{1,2})(?![\d]|[.,/]\d{2,}(?![\d:]))"
)
_SPACED = re.compile(r"(?<![\d.,/:-])(\d{4}) (\d{2}) (\d{2})(?![\d.,])")
_CJK = re.compile(r"(令和|平成|民國|民国|中華民國)?\s?(\d{1,4}|元)\s?[年년]\s?(\d{1,2})\s?[月월]\s?(\d{1,2})\s?[日일]?")
_ROC = re.compile(r"(?<!\d)(1\d{2})[./-](\d{1,2})[./-](\d{1,2})(?!\d)")
_DAY_NAME = re.compile(
    r"(?<!\d)(\d{1,2})(?:st|nd|rd|th)?[ ./,'-]{0,3}(?:de |of )?([^\W\d_]{3,12})"
    r"(?:[ ./,'-]{0,3}(?:de )?(\d{4}|\d{2})|\s{4,40}(20[0-4]\d))(?!\d|[.,:]\d)"
)
_NAME_DAY = re.compile(
    r"(?<![^\W\d_])([^\W\d_]{3,12})[ .,'/-]{0,2}(\d{1,2})(?:st|nd|rd|th)?"
    r"(?:[ ,.'/-]{1,3}(\d{2}|\d{4})|(\d{4}))(?![\d.:])"
)
_YEAR_NAME = re.compile(r"(?<!\d)(\d{4})[ ./-]?([^\W\d_]{3,12})[ ./-]?(\d{1,2})(?!\d)")
_COMPACT = re.compile(r"(?<!\d)(20[0-4]\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?!\d|-\d)")
_TIME = re.compile(
    r"(?<![\d.,/])(?<!\d:)([01]?\d|2[0-4]) ?([:：h点時时시.]) ?([0-5]\d)(?: ?[:：.m分분] ?([0-5]\d))?"
    r"(?![\d])(?:[.,]\d{1,3})?\s?(?:([ap])\s?\.?m\b\.?|([ap])(?![^\W\d_]))?"
)
_HOUR_SIGN = re.compile(r"\d ?[h：点時时시] ?\d")
_POINT_TIMES: Final = ("am", "pm", "a.m", "p.m", "uhr", "time", "hora", "ora ", "heure", "zeit", "saat", "kl")
_HALF_DAY = re.compile(r"(上午|下午|午前|午後|오전|오후|晚上|凌晨|中午)\s?$")
_AFTER_NOON: Final = frozenset(("下午", "午後", "오후", "晚上"))
_FIRST_YEAR, _LAST_YEAR = 1990, 2049


class DateHit(NamedTuple):
    """A date in a line. Each reading is YYYY-MM-DD or None."""

    start: int
    end: int
    text: str
    day_first: str | None
    month_first: str | None
    year_first: str | None
    sure: bool  # only one reading is possible, or a month's name says it


class TimeHit(NamedTuple):
    start: int
    end: int
    text: str  # HH:MM or HH:MM:SS
    clear: bool  # written with colons or a.m./p.m.: no amount
    tail: str  # what follows it closely: "-" makes opening hours of it


def _iso(year: int, month: int, day: int) -> str | None:
    if year < 100:
        year += 2000 if year < 70 else 1900
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        return None
    try:
        return Day(year, month, day).isoformat()
    except ValueError:
        return None


@lru_cache(4096)
def _readings(first: str, second: str, third: str) -> tuple[str | None, str | None, str | None]:
    a, b, c = int(first), int(second), int(third)
    if len(first) == 4:
        return None, None, _iso(a, b, c)
    if len(third) == 4:
        return _iso(c, b, a), _iso(c, a, b), None
    return _iso(c, b, a), _iso(c, a, b), _iso(a, b, c) if len(first) == 2 else None


def _hit(start: int, end: int, text: str, readings: tuple[str | None, str | None, str | None]) -> DateHit | None:
    different = {reading for reading in readings if reading}
    if not different:
        return None
    return DateHit(start, end, text, *readings, len(different) == 1)


def find_dates(folded: str, words: list[str]) -> list[DateHit]:
    """The dates of a folded line with these words."""
    hits: list[DateHit] = []

    def add(hit: DateHit | None) -> None:
        if hit is not None and not any(hit.start < other.end and other.start < hit.end for other in hits):
            hits.append(hit)

    if not folded.isascii():
        for match in _CJK.finditer(folded):
            era, year, month, day = match.groups()
            number = 1 if year == "元" else int(year)
            if era is None and len(year) == 1:
                continue
            if era == "令和":
                number += 2018
            elif era == "平成":
                number += 1988
            elif era or (100 <= number <= 199):
                number += 1911
            iso = _iso(number, int(month), int(day))
            if iso:
                add(DateHit(match.start(), match.end(), match.group(), None, None, iso, True))
    parted = folded.count("/") > 1 or folded.count("-") > 1 or folded.count(".") > 1 or folded.count("'") > 1
    for match in _NUMERIC.finditer(folded) if parted else ():
        if match.group(2) is None or (len(match.group(4)) == 1 and len(match.group(1)) != 4):
            continue
        if match.group(2) == "." and not match.group(1).startswith("0") and len(match.group(4)) == 2:
            before = folded[max(0, match.start() - 1) : match.start()]
            if before.isalpha():
                continue
        add(_hit(match.start(), match.end(), match.group(), _readings(match.group(1), match.group(3), match.group(4))))
    if hits:
        return hits
    names = months()
    if not names.keys().isdisjoint(words):
        for pattern, order in ((_DAY_NAME, (2, 1, 0)), (_NAME_DAY, (2, 0, 1)), (_YEAR_NAME, (0, 1, 2))):
            for match in pattern.finditer(folded):
                parts = [part for part in match.groups() if part is not None]
                month = names.get(key(parts[order[1]]))
                if month is None:
                    continue
                iso = _iso(int(parts[order[0]]), month, int(parts[order[2]]))
                if iso:
                    add(DateHit(match.start(), match.end(), match.group(), None, None, iso, True))
            if hits:
                return hits
    if "20" in folded:
        for match in _COMPACT.finditer(folded):
            iso = _iso(*(int(part) for part in match.groups()))
            if iso:
                add(DateHit(match.start(), match.end(), match.group(), None, None, iso, False))
        for match in _SPACED.finditer(folded):
            add(_hit(match.start(), match.end(), match.group(), _readings(*match.groups())))
    for match in _ROC.finditer(folded) if parted and "1" in folded else ():
        year, month_number, day_number = (int(part) for part in match.groups())
        iso = _iso(year + 1911, month_number, day_number)
        if iso:
            add(DateHit(match.start(), match.end(), match.group(), None, None, iso, True))
    return hits


def find_times(folded: str) -> list[TimeHit]:
    """The times of day of a folded line. "11.39" alone is no time; with a.m. or seconds it is."""
    hits: list[TimeHit] = []
    if ":" not in folded:
        pointed = "." in folded and any(mark in folded for mark in _POINT_TIMES)
        if not pointed and not (("h" in folded or not folded.isascii()) and _HOUR_SIGN.search(folded)):
            return hits
    for match in _TIME.finditer(folded):
        hour_text, sign, minute, second, half, half_short = match.groups()
        half = half or half_short
        hour = int(hour_text)
        if half == "p" and hour < 12:
            hour += 12
        elif half == "a" and hour == 12:
            hour = 0
        else:
            early = _HALF_DAY.search(folded, max(0, match.start() - 4), match.start())
            if early is not None and early.group(1) in _AFTER_NOON and hour < 12:
                hour += 12
        if hour > 23:
            continue
        clear = sign != "." or half is not None
        text = f"{hour:02d}:{minute}" + (f":{second}" if second else "")
        hits.append(TimeHit(match.start(), match.end(), text, clear, folded[match.end() : match.end() + 3].strip()[:1]))
    return hits
