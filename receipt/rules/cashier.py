"""cashier: who served or took the money, by name or number."""

from __future__ import annotations

import re

from receipt import words as w
from receipt.labels import labelled
from receipt.model import Finding
from receipt.page import Page

_NAME = re.compile(r"([^\W_][\w .'/@#-]{0,30}[\w)]|[^\W_])")


def read(page: Page) -> Finding | None:
    return labelled(page, w.CASHIER, _NAME, avoid=w.GREETING | w.TOTAL)
