"""table: the table, or room, that was served."""

from __future__ import annotations

import re

from receipt import words as w
from receipt.labels import labelled
from receipt.model import Finding
from receipt.page import Page

_TABLE = re.compile(r"([A-Za-z]{0,8}[- ]?\d{1,4}[A-Za-z]?(?:[/-]\d{1,3})?|[A-Z]{1,3})(?![\w.])")


def read(page: Page) -> Finding | None:
    return labelled(page, w.TABLE, _TABLE, avoid=w.GREETING)
