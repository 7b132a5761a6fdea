"""points: loyalty points that this sale earned, or that stand to the customer's account."""

from __future__ import annotations

from receipt import words as w
from receipt.model import Finding
from receipt.numbers import SCALE
from receipt.page import Page


def read(page: Page) -> Finding | None:
    for row in page.rows:
        if row.mask & w.POINTS and not row.mask & (w.TOTAL | w.DISCOUNT | w.SUBTOTAL):
            numbers = [
                num for num in row.nums if not num.percent and not num.symbol and (num.whole or num.places in (0, 2))
            ]
            if numbers and numbers[-1].value < 10**8 * SCALE:
                return Finding(str(numbers[-1].signed // SCALE), row.index, 0.75, "label")
    return None
