"""The labelled amounts of a receipt: which line is a total, a tax, a tender … Pure.

A line's role comes from the concepts of its phrases together: "TOTAL" with "excluding" is a subtotal, with "qty" a count.
The amount is the last one of the line; a label without one takes the lone amount of the next line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from receipt import words as w
from receipt.numbers import Num
from receipt.page import Page, Row

_SUMS: Final = (
    w.TOTAL
    | w.SUBTOTAL
    | w.TAX
    | w.DISCOUNT
    | w.SERVICE
    | w.TIP
    | w.ROUNDING
    | w.CHANGE
    | w.TENDERED
    | w.PAYS
    | w.WEAK_TOTAL
)


@dataclass(slots=True)
class Entry:
    """A labelled amount."""

    role: str
    row: int  # in page.rows
    value: int  # ten-thousandths, signed
    label: str
    num: Num
    sure: float = 1.0  # how well the label is tied to the amount
    mask: int = 0
    words: int = 0  # letters on the line beside the label: many of them make a sentence, not a label


def role_of(row: Row, page: Page) -> str:
    """What a line says an amount is; "" when it does not."""
    mask = row.mask
    if not mask & _SUMS or (mask & w.SAVED and not mask & w.SUBTOTAL):
        return ""
    if mask & w.TIP_HINT:
        return ""
    if mask & w.ROUNDING and not (mask & w.TOTAL and mask & w.INCL):
        if mask & w.TOTAL:
            return "rounding" if not _begins(row, page, w.TOTAL) or _small(row) else "total"
        return "rounding"
    if mask & w.CHANGE and not mask & w.REFUND:
        return "change"
    if mask & w.SUBTOTAL and not (mask & w.TOTAL and mask & w.INCL):
        if mask & w.TOTAL and mask & w.TAX and not mask & w.EXCL and not _begins(row, page, w.SUBTOTAL):
            return "total"
        return "subtotal"
    if mask & w.TOTAL:
        if mask & w.EXCL and mask & w.TAX:
            return "subtotal"
        if mask & w.TAX:
            if mask & w.INCL:
                return "tax" if _begins(row, page, w.TAX) else "total"
            return "tax" if _begins(row, page, w.TAX) or not _begins(row, page, w.TOTAL) else "total"
        if mask & w.COUNT and not row.last:
            return "count"
        if mask & w.DISCOUNT and not mask & w.INCL:
            return "discount" if _begins(row, page, w.DISCOUNT) or _last_is(row, page, w.DISCOUNT) else "total"
        if mask & w.SERVICE and not mask & (w.INCL | w.EXCL) and _begins(row, page, w.SERVICE):
            return "service"
        if mask & w.TENDERED and not _begins(row, page, w.TOTAL):
            return "tender"
        if mask & w.COUNT and row.last is not None and row.last.whole and page.decimals:
            return "count"
        return "total"
    if mask & w.TAX and not mask & w.TAX_NAME:
        if mask & w.SERVICE and _begins(row, page, w.SERVICE):
            return "service"
        return "tax"
    if mask & w.TIP:
        return "tip"
    if mask & w.SERVICE:
        return "service"
    if mask & w.DISCOUNT:
        return "discount"
    if mask & (w.PAYS | w.TENDERED):
        return "tender"
    if mask & w.WEAK_TOTAL:
        return "weak"
    return ""


def _begins(row: Row, page: Page, concept: int) -> bool:
    """Whether the line's first phrase of any sum is of this concept."""
    for _, _, phrase in row.matches:
        meaning = page.meanings[phrase]
        if meaning & _SUMS:
            return bool(meaning & concept)
    return False


def _last_is(row: Row, page: Page, concept: int) -> bool:
    for _, _, phrase in reversed(row.matches):
        meaning = page.meanings[phrase]
        if meaning & _SUMS:
            return bool(meaning & concept)
    return False


def _small(row: Row) -> bool:
    return row.last is not None and row.last.value < 10_000


class Ledger:
    """All labelled amounts of a page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.entries: list[Entry] = []
        self.roles: list[str] = [role_of(row, page) for row in page.rows]
        self._collect()

    def of(self, *roles: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.role in roles]

    def _collect(self) -> None:
        rows = self.page.rows
        taken: set[int] = set()
        for place, row in enumerate(rows):
            role = self.roles[place]
            if not role or role == "count":
                continue
            spare = self._spare(row)
            if row.amounts:
                num = row.amounts[-1]
                label_end = row.matches[-1][1] if row.matches else 0
                sure = 1.0 if num.start >= row.matches[0][0] or len(row.amounts) > 1 else 0.8
                del label_end
                self.entries.append(Entry(role, place, num.signed, row.folded, num, sure, row.mask, spare))
                continue
            if spare > 14:
                continue
            # the amount stands alone on the next line, or on the one before
            for other, sure in ((place + 1, 0.8), (place - 1, 0.6)):
                if 0 <= other < len(rows) and other not in taken and not self.roles[other]:
                    near = rows[other]
                    if len(near.amounts) == 1 and near.letters <= 3 and not near.dates:
                        taken.add(other)
                        num = near.amounts[0]
                        self.entries.append(Entry(role, place, num.signed, row.folded, num, sure, row.mask, spare))
                        break

    def _spare(self, row: Row) -> int:
        """Letters that no phrase explains."""
        known = sum(end - start for start, end, _ in row.matches)
        return max(0, row.letters - known)
