"""address: the lines below the shop's name that say where it is."""

from __future__ import annotations

import re

from receipt import words as w
from receipt.model import Finding
from receipt.page import Page

_HEAD_ROWS = 14
_STOPS = w.DATE | w.CASHIER | w.NUMBER | w.TABLE | w.TOTAL | w.COVERS | w.GREETING | w.TIME
_POSTCODE = re.compile(
    r"(?<![\d-])(?:\d{5}|\d{4}-\d{3}|[A-Z]{2}\s?\d{5}|[A-Z]{1,2}\d{1,2}[A-Z]?\s?\d[A-Z]{2}|〒?\d{3}-\d{4}|\d{6}|\d{4})(?!\d)"
)


def read(page: Page, merchant: Finding | None) -> Finding | None:
    lines: list[str] = []
    first = 0
    for row in page.rows[:_HEAD_ROWS]:
        if row.rule or (merchant is not None and row.index <= merchant.line) or row.dates:
            if lines:
                break
            continue
        if (row.mask & _STOPS and not row.mask & w.ADDRESS) or any(num.places == 2 for num in row.amounts):
            if lines:
                break
            continue
        if row.mask & (w.PHONE | w.FAX | w.FISCAL):
            if lines:
                break
            continue
        known = bool(row.mask & w.ADDRESS) + bool(_POSTCODE.search(row.text)) + bool(row.text.rstrip().endswith(","))
        placed = known > 1 or any(char.isdigit() for char in row.text) or bool(lines)
        if known and placed and not (row.mask & w.COMPANY and not row.mask & w.ADDRESS and not lines):
            if not lines:
                first = row.index
            lines.append(re.sub(r"\s{2,}", " ", row.text).strip(" *"))
        elif lines:
            if len(lines) < 5 and row.letters > 3 and not row.mask & (w.TITLE | w.COL_NAME) and lines[-1].endswith(","):
                lines.append(row.text.strip(" *"))
            else:
                break
    if not lines:
        return None
    return Finding(" ".join(lines), first, 0.75 if len(lines) > 1 else 0.6, "below the name")
