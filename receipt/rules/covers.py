"""covers: how many guests."""

from __future__ import annotations

import re

from receipt import words as w
from receipt.labels import labelled
from receipt.model import Finding
from receipt.page import Page

_COUNT = re.compile(r"(\d{1,3})(?![\d.,:/-])")
_BEFORE = re.compile(r"(?<![\d.,])(\d{1,2})\s?$")


def read(page: Page) -> Finding | None:
    found = labelled(page, w.COVERS, _COUNT, avoid=w.TOTAL | w.SERVICE)
    if found is not None:
        return found if 0 < int(found.value) < 500 else None
    for row in page.rows:  # "2 guests", "3名"
        if row.mask & w.COVERS and not row.amounts:
            for start, _, phrase in row.matches:
                match = _BEFORE.search(row.folded, 0, start) if page.meanings[phrase] & w.COVERS else None
                if match is not None and int(match.group(1)):
                    return Finding(match.group(1), row.index, 0.7, f"before {phrase}")
    return None
