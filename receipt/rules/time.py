"""time: the time of issue: beside the date first, then what a label names, never opening hours.

Tills that keep a table's bill open print at its head when it was opened, and at the total when it was summed up: that
is when the bill was made.
"""

from __future__ import annotations

from receipt import words as w
from receipt.dates import TimeHit
from receipt.model import Finding
from receipt.page import Page

_HALVES = {"am": 0, "pm": 12}


def read(page: Page, date_line: int | None) -> Finding | None:
    """The time that stands best; `date_line`: where the date of issue was found."""
    best: tuple[float, Finding] | None = None
    several = len({hit.text[:5] for row in page.rows for hit in row.times if hit.clear}) > 1
    date_place = next((place for place, row in enumerate(page.rows) if row.index == date_line), None)
    issued = {hit.text for hit in page.rows[date_place].dates} if date_place is not None else set()
    for place, row in enumerate(page.rows):
        clear = [hit for hit in row.times if hit.clear]
        for number, hit in enumerate(row.times):
            score = 1.0
            if not hit.clear:
                if not row.mask & w.TIME or clear:
                    continue
                score -= 0.5
            beside = row.index == date_line or any(date.text in issued for date in row.dates)
            label = row.mask | _label_above(page, place)
            if beside:
                score += 3
            elif date_place is not None and abs(place - date_place) == 1:
                score += 1.2
            if row.dates:
                score += 1
            if label & w.TIME:
                score += 1.5
            if row.mask & w.TOTAL and row.amounts:
                score += 4.5
            if label & w.BEGAN:
                score -= 2.5  # when the table was opened, or the car park entered
            if row.mask & w.NOT_TIME and not row.dates:
                score -= 2.5
            if row.mask & w.PHONE and not row.dates:
                score -= 1
            if hit.tail in ("-", "~") or (len(clear) > 1 and not row.dates):
                score -= 2
            score -= number * 0.6 + place * 0.003
            confidence = 0.96 if score >= 3 else 0.9 if score > 1.5 else 0.7
            if several:
                confidence = min(confidence, 0.75)
            elif "pm" in row.folded.replace(" ", ""):
                confidence = min(confidence, 0.89)  # tills print 19:05 PM, and 07:05 PM for the morning
            if score < 0 and not label & w.BEGAN:
                continue
            if best is None or score > best[0]:
                best = (
                    score,
                    Finding(_wrapped(page, place, hit), row.index, confidence, "beside the date" if beside else "time"),
                )
    return best[1] if best else None


def _label_above(page: Page, place: int) -> int:
    """The concepts of a label that stands alone in the line above: "EXIT TIME:", then "23.03.18  15:27"."""
    above = page.rows[place - 1] if place else None
    if above is None or not above.mask & (w.TIME | w.BEGAN) or above.nums or above.dates or above.times:
        return 0
    return above.mask if page.rows[place].letters <= 4 else 0


def _wrapped(page: Page, place: int, hit: TimeHit) -> str:
    """The time; "7:07:39" whose "PM" did not fit into the line is one after noon."""
    following = page.rows[place + 1].folded.strip(" .") if place + 1 < len(page.rows) else ""
    hour = int(hit.text[:2])
    if following in _HALVES and hour <= 12 and not page.rows[place].folded[hit.end :].strip():
        return f"{hour % 12 + _HALVES[following]:02d}{hit.text[2:]}"
    return hit.text
