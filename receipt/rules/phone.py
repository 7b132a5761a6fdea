"""phone: the shop's telephone, from the head of the paper or by its label."""

from __future__ import annotations

import re

from receipt import words as w
from receipt.labels import labelled
from receipt.model import Finding
from receipt.page import Page

PHONE = re.compile(r"(?:n[o.º]*\s?[:.]?\s?)?((?:\+|00)?\(?\+?\d[\d\s().+/-]{5,18}\d)(?![\d.])")
_AMERICAN = re.compile(r"(?<![\d(])(\(?\d{3}\)?[-. ]\s?\d{3}[-. ]\d{4})(?!\d)")


def read(page: Page) -> Finding | None:
    found = labelled(page, w.PHONE, PHONE, avoid=w.CUSTOMER)
    if found is not None:
        return Finding(found.value.strip(), found.line, found.confidence, found.rule)
    for row in page.rows[:12]:
        match = None if row.amounts or row.mask & w.FISCAL else _AMERICAN.search(row.text)
        if match is not None:
            return Finding(match.group(1), row.index, 0.8, "looks like one")
    return None
