"""fiscal_number: the number that the tax office knows the shop, or its till, by."""

from __future__ import annotations

import re

from receipt import words as w
from receipt.labels import labelled
from receipt.model import Finding
from receipt.page import Page

_NUMBER = re.compile(
    r"(?:n[or]?[.:º°]*\s?[:.]?\s?|id\s?[:.]?\s?|#\s?)?((?=[^\s]*\d{3})[A-Z]{0,5}[ -]?\d[\dA-Z./ -]{4,22}[\dA-Z])",
    re.IGNORECASE,
)


def read(page: Page) -> Finding | None:
    found = labelled(page, w.FISCAL, _NUMBER, avoid=w.CUSTOMER)
    return (
        None if found is None else Finding(found.value.split("  ")[0].strip(), found.line, found.confidence, found.rule)
    )
