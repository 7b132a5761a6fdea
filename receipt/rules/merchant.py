"""merchant: who sold. The first lines that are a name: large letters, a company's ending, no address, title or number."""

from __future__ import annotations

import re

from receipt import words as w
from receipt.model import Finding
from receipt.page import Page, Row

_HEAD_ROWS = 12
_NOT_NAME = w.PHONE | w.FAX | w.FISCAL | w.DATE | w.TIME | w.NUMBER | w.CASHIER | w.TABLE | w.TOTAL | w.TAX | w.COVERS
_WEB = re.compile(r"www\.|https?:|\.com\b|@|\.my\b|\.net\b")


def read(page: Page) -> Finding | None:
    rows = page.rows[:_HEAD_ROWS]
    best: tuple[float, int] | None = None
    widest = max((row.width * row.height for row in rows), default=1)
    for place, row in enumerate(rows):
        if row.rule or row.letters < 2:
            continue
        score = _score(row, page, place, widest)
        if score is None:
            continue
        if best is None or score > best[0] + 0.01:
            best = (score, place)
    if best is None:
        return None
    score, place = best
    name = _clean(rows[place].text)
    # a name in large letters goes on where the paper ended
    size = rows[place].width * rows[place].height
    if size > 1:
        for row in rows[place + 1 : place + 4]:
            if (
                row.width * row.height != size
                or row.rule
                or row.index != rows[place].index + 1
                or row.amounts
                or row.dates
            ):
                break
            name += " " + _clean(row.text)
            place += 1
    return Finding(name, rows[best[1]].index, 0.9 if score > 2 else 0.75 if score > 1 else 0.5, "head")


def _score(row: Row, page: Page, place: int, widest: int) -> float | None:
    score = 1.6 - place * 0.22
    covered = sum(end - start for start, end, _ in row.matches)
    digits = sum(char.isdigit() for char in row.folded)
    if row.dates or row.times:
        return None
    if row.amounts and any(num.places == 2 for num in row.amounts):
        return None
    if _WEB.search(row.folded):
        score -= 1.5
    if row.mask & _NOT_NAME:
        score -= 1.0 if not row.mask & w.COMPANY else 0.5
        if row.mask & (w.PHONE | w.FAX) and digits > 5:
            return None
    if row.mask & w.COMPANY:
        score += 0.7
    if row.mask & w.TITLE and covered >= row.letters * 0.8 and not row.mask & w.COMPANY:
        score -= 1.8
    if row.mask & w.GREETING:
        score -= 1.2
    if row.mask & w.ADDRESS:
        score -= 0.5 if row.mask & w.COMPANY else 0.9
    if digits >= 5 or digits > row.letters:
        score -= 1.0
    elif digits:
        score -= 0.25
    if widest > 1 and row.width * row.height == widest:
        score += 1.2
    elif row.bold:
        score += 0.2
    return score


def _clean(text: str) -> str:
    text = re.sub(r"\s{2,}", " ", text).strip(" *-=_#~.:|+<>")
    return re.sub(r"\(.*?\b\d{4,}.*?\)$", "", text).strip() or text
