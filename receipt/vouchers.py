"""Where a voucher begins that is printed behind a sale: no cut, only blank paper or a line of dashes between. Pure."""

from __future__ import annotations

from receipt import words as w
from receipt.labels import dominated
from receipt.page import Page

_LEAST = 2  # lines that a voucher has
_SUMS = w.TOTAL | w.SUBTOTAL | w.CHANGE | w.CASH | w.CARD | w.TENDERED


def voucher_behind(page: Page) -> int | None:
    """The row (in `page.rows`) where a voucher begins below the sums of a sale; None where there is none.

    Its heading stands in a line of its own, set apart by blank lines, a line of dashes or larger letters, and no sum
    of a sale follows. "VOUCHER 5.00" between the tenders is how it was paid.
    """
    rows = page.rows
    if not any(row.mask & w.VOUCHER_KIND for row in rows):
        return None
    last = max((at for at, row in enumerate(rows) if row.amounts and row.mask & _SUMS), default=None)
    if last is None:
        return None
    for at in range(last + 1, len(rows) - _LEAST + 1):
        row = rows[at]
        if not row.mask & w.VOUCHER_KIND or row.mask & w.PHONE or not dominated(page, row, w.VOUCHER_KIND):
            continue
        before = rows[at - 1]
        if before.rule or row.index - before.index > 2 or row.width * row.height > max(1, before.width * before.height):
            while at > last + 1 and rows[at - 1].rule:
                at -= 1
            return at
    return None
