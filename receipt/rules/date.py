"""date: the day of issue. A date of digits alone is read in the order that the receipt, its country or its language
shows.
"""

from __future__ import annotations

from receipt import words as w
from receipt.model import Finding
from receipt.page import Page

_MONTH_FIRST = frozenset(("US", "PH"))
_YEAR_FIRST = frozenset(("CN", "JP", "KR", "TW", "HK", "HU"))


def read(page: Page) -> Finding | None:
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
    order, evidence = _order(page, [hit for _, _, hit in candidates])
    best: tuple[float, Finding] | None = None
    values = set()
    for score, line, hit in candidates:
        if hit.sure:
            value, confidence = hit.day_first or hit.month_first or hit.year_first, 0.97
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
            best = (score, Finding(value, line, confidence, "labelled" if score >= 3 else "first"))
    if best is None:
        return None
    finding = best[1]
    if len(values) > 1 and best[0] < 2.5:
        finding = Finding(finding.value, finding.line, min(finding.confidence, 0.8), finding.rule)
    return finding


def _order(page: Page, hits: list) -> tuple[tuple[str, ...], float]:  # type: ignore[type-arg]
    """The order of day, month and year to try, and how sure that is."""
    day = month = year = 0
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
    del year
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
