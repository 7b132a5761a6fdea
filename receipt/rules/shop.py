"""shop: which of the merchant's branches: its name or number by a label."""

from __future__ import annotations

import re

from receipt import words as w
from receipt.labels import labelled
from receipt.model import Finding
from receipt.page import Page

_NAME = re.compile(r"(?:n[or]?[.:]?\s?|#\s?)?([\w][\w .'/-]{0,30}\w|\d)")


def read(page: Page) -> Finding | None:
    found = labelled(page, w.BRANCH, _NAME, avoid=w.ADDRESS | w.GREETING | w.TOTAL | w.CASHIER | w.COMPANY)
    return None if found is None else Finding(found.value, found.line, 0.6, found.rule)
