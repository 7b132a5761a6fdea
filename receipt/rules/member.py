"""member: the customer's number in the shop's loyalty programme."""

from __future__ import annotations

import re

from receipt import words as w
from receipt.labels import labelled
from receipt.model import Finding
from receipt.page import Page

_NUMBER = re.compile(r"(?:n[or]?[.:]?\s?|#\s?|:\s?)?([A-Za-z]{0,4}[\d*#xX-]{4,24})")


def read(page: Page) -> Finding | None:
    return labelled(page, w.MEMBER, _NUMBER, avoid=w.DISCOUNT)
