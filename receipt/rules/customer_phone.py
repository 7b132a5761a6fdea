"""customer_phone: the telephone of the one who ordered: on a line of the customer's, or right below one."""

from __future__ import annotations

from receipt import words as w
from receipt.model import Finding
from receipt.page import Page
from receipt.rules.phone import PHONE


def read(page: Page, shop: Finding | None) -> Finding | None:
    near = 0
    for row in page.rows:
        if row.mask & w.CUSTOMER:
            near = 5
        elif near:
            near -= 1
        if near and row.mask & (w.PHONE | w.CUSTOMER) and not row.amounts:
            for _, end, phrase in row.matches:
                match = PHONE.search(row.text, end) if page.meanings[phrase] & (w.PHONE | w.CUSTOMER) else None
                if match is not None and (shop is None or match.group(1).strip() != shop.value):
                    digits = sum(char.isdigit() for char in match.group(1))
                    if 7 <= digits <= 15 and row.mask & w.PHONE:
                        return Finding(match.group(1).strip(), row.index, 0.75, "customer's line")
    return None
