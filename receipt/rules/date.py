"""date: the day of issue. A date of digits alone is read in the order that the receipt, its country or its language
shows.
"""

from __future__ import annotations

from datetime import date as Day
from typing import Final, NamedTuple

from receipt import words as w
from receipt.dates import DateHit
from receipt.model import Finding
from receipt.page import Page

ORDERS: Final = ("day_first", "month_first", "year_first")
_MONTH_FIRST = frozenset(("US", "PH"))
_YEAR_FIRST = frozenset(("CN", "JP", "KR", "TW", "HK", "HU"))


class Known(NamedTuple):
    """What is known beside the paper."""

    order: str | None = None  # day_first, month_first, year_first: what this printer's paper has shown before
    day: str | None = None  # YYYY-MM-DD: when it was printed


_NOTHING = Known()


def read(page: Page, known: Known = _NOTHING) -> Finding | None:
    candidates = []
    for place, row in enumerate(page.rows):
        for hit in row.dates:
            score = 1.0
            if row.mask & w.DATE:
                score += 2
            if row.mask & w.NOT_DATE:
                score -= 3
            if row.times:
                score += 1.5
            before = page.rows[place - 1].mask if place else 0
            if before & w.DATE and not page.rows[place - 1].dates:
                score += 1
            if before & w.NOT_DATE and not row.mask & w.DATE:
                score -= 0.5
            score -= place * 0.002
            candidates.append((score, row.index, hit))
    if not candidates:
        return None
    order, evidence = _order(page, [hit for _, _, hit in candidates], known.order)
    best: tuple[float, Finding] | None = None
    values = set()
    for score, line, hit in candidates:
        shown = ""
        if hit.sure:
            value, confidence = hit.day_first or hit.month_first or hit.year_first, 0.97
            shown = next((f", {name.replace('_', ' ')}" for name in ORDERS if getattr(hit, name)), "")
            if not hit.text[:1].isdigit() or not hit.text[-1:].isdigit() or any(map(str.isalpha, hit.text)):
                shown = ""  # a month's name tells nothing of the order of numbers
        elif (told := _told(hit, known.day)) is not None:
            name, value = told
            confidence, shown = 0.97, f", {name.replace('_', ' ')}"
        else:
            value, confidence = None, 0.0
            for name in order:
                value = getattr(hit, name)
                if value:
                    confidence = evidence if hit.day_first != hit.month_first else 0.95
                    break
        if not value:
            continue
        if score < 0:
            confidence = min(confidence, 0.5)
        values.add(value)
        if best is None or score > best[0]:
            best = (score, Finding(value, line, confidence, ("labelled" if score >= 3 else "first") + shown))
    if best is None:
        return None
    finding = best[1]
    if len(values) > 1 and best[0] < 2.5:
        finding = Finding(finding.value, finding.line, min(finding.confidence, 0.8), finding.rule)
    return finding


def _told(hit: DateHit, day: str | None) -> tuple[str, str] | None:
    """(order, date): the one reading of a date that is the day on which it was printed, or one beside it."""
    if day is None:
        return None
    printed = Day.fromisoformat(day)
    near = [
        (name, value)
        for name in ORDERS
        if (value := getattr(hit, name)) and abs((Day.fromisoformat(value) - printed).days) <= 1
    ]
    return near[0] if len({value for _, value in near}) == 1 else None


def _order(page: Page, hits: list[DateHit], habit: str | None) -> tuple[tuple[str, ...], float]:
    """The order of day, month and year to try, and how sure that is."""
    day = month = 0
    for hit in hits:
        if hit.sure:
            day += hit.day_first is not None and hit.month_first is None
            month += hit.month_first is not None and hit.day_first is None
    country = page.country
    if day != month:
        return (
            (("day_first", "month_first", "year_first"), 0.95)
            if day > month
            else (("month_first", "day_first", "year_first"), 0.95)
        )
    if habit in ORDERS:
        return (habit, *(name for name in ORDERS if name != habit)), 0.95
    if country in _YEAR_FIRST or page.language in ("ja", "zh", "ko"):
        return ("year_first", "month_first", "day_first"), 0.9
    if country in _MONTH_FIRST:
        return ("month_first", "day_first", "year_first"), 0.85
    if country is not None or page.language != "en":
        return ("day_first", "year_first", "month_first"), 0.93 if page.language != "en" else 0.88
    dollars = "$" in page.symbols
    return (
        (("month_first", "day_first", "year_first"), 0.7)
        if dollars
        else (("day_first", "month_first", "year_first"), 0.6)
    )
