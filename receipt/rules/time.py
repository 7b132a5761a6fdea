"""time: the time of issue: beside the date first, then what a label names, never opening hours."""

from __future__ import annotations

from receipt import words as w
from receipt.model import Finding
from receipt.page import Page


def read(page: Page, date_line: int | None) -> Finding | None:
    best: tuple[float, Finding] | None = None
    several = len({hit.text[:5] for row in page.rows for hit in row.times if hit.clear}) > 1
    date_place = next((place for place, row in enumerate(page.rows) if row.index == date_line), None)
    for place, row in enumerate(page.rows):
        clear = [hit for hit in row.times if hit.clear]
        for number, hit in enumerate(row.times):
            score = 1.0
            if not hit.clear:
                if not row.mask & w.TIME or clear:
                    continue
                score -= 0.5
            if row.index == date_line:
                score += 3
            elif date_place is not None and abs(place - date_place) == 1:
                score += 1.2
            if row.dates:
                score += 1
            if row.mask & w.TIME:
                score += 1.5
            if row.mask & w.BEGAN:
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
            if score < 0 and not row.mask & w.BEGAN:
                continue
            if best is None or score > best[0]:
                best = (
                    score,
                    Finding(hit.text, row.index, confidence, "beside the date" if row.index == date_line else "time"),
                )
    return best[1] if best else None
