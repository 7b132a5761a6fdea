"""merchant: who sold. The first lines that are a name: large letters, a company's ending, no address, title or number.

A name that goes on in the next line ("TOOLS HARDWARE &", "… SDN", "Casa do") is put together. Where a brand stands
above the
registered name, Malaysian and Singaporean paper means the registered one (its tax invoices must show it), others the
brand.
"""

from __future__ import annotations

import re

from receipt import words as w
from receipt.model import Finding
from receipt.page import Page, Row
from receipt.words import fold

_HEAD_ROWS = 12
_NOT_NAME = w.PHONE | w.FAX | w.FISCAL | w.DATE | w.TIME | w.NUMBER | w.CASHIER | w.TABLE | w.TOTAL | w.TAX | w.COVERS
_WEB = re.compile(r"www\.|https?:|\.com\b|@|\.my\b|\.net\b")
_NUMBERS = re.compile(r"\([^()]{0,24}\d{3,}[^()]{0,12}\)?|#\s?\d+|\b\d{6,}\s?-?\s?[a-z]?\b")
_LEGAL = re.compile(
    r"\b(?:s\s?d\s?n|b\s?h\s?d|s/b|pte|ltd|lda|gmbh|inc|llc|corp|enterprise|trading|s\.?a|s\.?r\.?l)\b|株式会社|有限|公司"
)
_LEGAL_FORM = re.compile(r"\b(?:gmbh|ltd|lda|inc|llc|bhd|srl|spa|sarl|sas|bv|s\.a|ооо|a\.s)\b|株式会社|有限公司")
_REGISTERED = re.compile(r"\b(?:sdn|bhd|s/b|pte|ltd|enterprise|trading)\b")
_GOES_ON = re.compile(
    r"(?:[&,\-+]|\b(?:de|do|da|dos|das|di|del|della|du|des|der|und|and|of|the|sdn|e|y|et|la|le|el|los|san))\s*$"
)
_REGISTERED_FIRST = frozenset(("MY", "SG"))


def read(page: Page) -> Finding | None:
    rows = page.rows[:_HEAD_ROWS]
    best: tuple[float, int] | None = None
    second = -1.0  # the score of the next best line
    widest = max((row.width * row.height for row in rows[:5]), default=1)
    registered = page.country in _REGISTERED_FIRST
    for place, row in enumerate(rows):
        if row.rule or row.letters < 2:
            continue
        score = _score(row, place, widest, registered)
        if score is None:
            continue
        if best is None or score > best[0] + 0.01:
            second = best[0] if best is not None else second
            best = (score, place)
        else:
            second = max(second, score)
    if best is None or best[0] < 0.75:
        for row in page.rows[_HEAD_ROWS:]:  # some print their name at the foot
            if row.mask & w.COMPANY and _LEGAL_FORM.search(row.folded) and not row.nums and row.letters < 40:
                return Finding(_clean(row.text), row.index, 0.5, "foot")
    if best is None:
        return None
    score, place = best
    first, last = _extent(page, rows, place)
    pieces: list[str] = []
    for row in rows[first : last + 1]:
        piece = _clean(row.text)
        if piece not in pieces and any(char.isalpha() for char in _NUMBERS.sub("", fold(piece)).strip(" -.()x")):
            pieces.append(piece)
    name = _clean(" ".join(pieces))
    confidence = 0.88 if score > 2.1 else 0.8 if score > 1.2 else 0.5
    row = rows[place]
    if len(pieces) == 1 and place < 2 and row.mask & w.COMPANY:
        # one whole line that says what it is, and nothing near it that could be the name as well
        alone = place == 0 and score - second > 1
        if alone or (registered and _LEGAL.search(row.folded)):
            confidence = 0.95
    return Finding(name, rows[first].index, confidence, "head")


def _extent(page: Page, rows: list[Row], place: int) -> tuple[int, int]:
    """First and last row of the name."""
    first = last = place
    size = rows[place].width * rows[place].height
    while last + 1 < len(rows) and last - place < 3:
        row = rows[last + 1]
        if row.rule or row.index != rows[last].index + 1 or row.amounts or row.dates:
            break
        if row.mask & (w.PHONE | w.FAX | w.GREETING):
            break
        same_size = row.width * row.height == size
        if not (
            (same_size and size > 1)
            or (same_size and _GOES_ON.search(rows[last].folded.rstrip()))
            or (same_size and _suffix(row, page))
        ):
            break
        last += 1
    while (
        first
        and place - first < 3
        and rows[first - 1].width * rows[first - 1].height == size
        and (size > 1 or _suffix(rows[first], page) or _GOES_ON.search(rows[first - 1].folded.rstrip()))
    ):
        row = rows[first - 1]
        if (
            row.rule
            or row.letters < 2
            or row.mask & (_NOT_NAME | w.GREETING)
            or row.dates
            or row.index != rows[first].index - 1
        ):
            break
        if (
            size == 1
            and row.mask & w.TITLE
            and not row.mask & w.COMPANY
            and _known(row, page, w.TITLE) * 2 > row.letters
        ):
            break
        if size == 1 and _LEGAL.search(row.folded) and not _GOES_ON.search(row.folded.rstrip()):
            break
        first -= 1
    return first, last


def _known(row: Row, page: Page, concepts: int) -> int:
    return sum(end - start for start, end, phrase in row.matches if page.meanings[phrase] & concepts)


def _suffix(row: Row, page: Page) -> bool:
    """Nothing but the end of a company's name: "RESTAURANTS SDN BHD"; at most one word is not a word of companies."""
    if (
        not row.mask & w.COMPANY
        or row.mask & (_NOT_NAME | w.GREETING)
        or any(char.isdigit() for char in _NUMBERS.sub("", row.folded))
    ):
        return False
    spans = [(start, end) for start, end, phrase in row.matches if page.meanings[phrase] & w.COMPANY]
    rest = [
        match.group()
        for match in re.finditer(r"[^\W\d_]+", row.folded.split("(")[0])
        if not any(start <= match.start() < end for start, end in spans)
    ]
    if row.mask & w.ADDRESS and rest:
        return False
    return not rest or (len(rest) == 1 and bool(_LEGAL.search(row.folded)))


def _score(row: Row, place: int, widest: int, registered: bool) -> float | None:
    score = 1.6 - place * 0.22
    folded = _NUMBERS.sub(" ", row.folded)
    covered = sum(end - start for start, end, _ in row.matches)
    digits = sum(map(str.isdigit, folded))
    if row.dates or row.times or (row.amounts and any(num.places == 2 for num in row.amounts)):
        return None
    if _WEB.search(row.folded) or row.folded.lstrip().startswith(("thankyou", "welcometo")):
        score -= 1.5
    if row.mask & _NOT_NAME:
        score -= 1.0 if not row.mask & w.COMPANY else 0.3
        if row.mask & (w.PHONE | w.FAX) and sum(map(str.isdigit, row.folded)) > 5:
            return None
    if row.mask & w.COMPANY:
        score += 0.4
    if registered and _REGISTERED.search(row.folded):
        score += 1.1
    if row.mask & w.TITLE and covered >= row.letters * 0.8 and not row.mask & w.COMPANY:
        score -= 1.8
    if row.mask & w.GREETING:
        score -= 1.2
    if row.mask & w.ADDRESS:
        score -= 0.2 if row.mask & w.COMPANY and not digits else 0.3 if not digits else 0.8
    letters = sum(map(str.isalpha, folded))
    if digits >= 5 or digits > letters:
        score -= 1.0
    elif digits:
        score -= 0.3
    if letters < 3:
        score -= 1.0
    if widest > 1 and row.width * row.height == widest:
        score += 1.5
    elif row.bold:
        score += 0.2
    return score


def _clean(text: str) -> str:
    text = re.sub(r"\s{2,}", " ", text).strip(" *-=_#~.:|+<>║│┃─═")
    return re.sub(r"\s*\([^()]*\d{3,}[^()]*\)?\.?$", "", text).strip() or text
