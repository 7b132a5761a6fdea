"""kind: what the paper is for, by its headings and by what stands on it."""

from __future__ import annotations

from receipt import words as w
from receipt.labels import dominated
from receipt.ledger import Ledger
from receipt.model import Finding, Kind
from receipt.page import Page

_HEAD_ROWS = 8
_CARD_SLIP = frozenset(
    ("terminal", "aid", "tid", "mid", "auth", "approval", "batch", "trace", "tvr", "tsi", "rrn", "appr")
)


def read(page: Page, ledger: Ledger, items: int, total: int | None) -> Finding:
    rows = page.rows
    phrases = {phrase for row in rows for _, _, phrase in row.matches}

    def several(concept: int) -> int:
        return sum(1 for phrase in phrases if page.meanings[phrase] & concept)

    def heading(concept: int, last: int = _HEAD_ROWS) -> int | None:
        return next((row.index for row in rows[:last] if row.mask & concept and dominated(page, row, concept)), None)

    money = ledger.money
    paid = bool(ledger.of("tender"))
    if ((line := heading(w.SELFTEST)) is not None and not items) or several(w.SELFTEST) >= 3:
        return _found(Kind.SELFTEST, line, 0.8)
    if ((line := heading(w.REPORT)) is not None and (several(w.REPORT) >= 2 or not paid)) or several(w.REPORT) >= 4:
        return _found(Kind.REPORT, line, 0.85)
    if (line := heading(w.DRAWER, 20)) is not None and not items and total is None:
        return _found(Kind.DRAWER, line, 0.8)
    if (line := heading(w.VOID, 60)) is not None and (
        total is None or total <= 0 or line <= rows[min(len(rows), _HEAD_ROWS) - 1].index
    ):
        return _found(Kind.VOID, line, 0.8)
    if (line := heading(w.REFUND)) is not None or (total is not None and total < 0):
        return _found(Kind.REFUND, line, 0.85)
    if (line := heading(w.KITCHEN)) is not None and not (total and paid):
        return _found(Kind.KITCHEN, line, 0.85)
    if (line := heading(w.VOUCHER_KIND)) is not None and not paid:
        return _found(Kind.VOUCHER, line, 0.8)
    if (line := heading(w.COPY, 60)) is not None:
        return _found(Kind.COPY, line, 0.7)
    if not money and items and any(row.mask & (w.TABLE | w.NUMBER | w.CASHIER) for row in rows):
        return _found(Kind.KITCHEN, None, 0.6)
    if total is None:
        return _found(Kind.OTHER, None, 0.5)
    if not items and not ledger.of("tax") and len(_CARD_SLIP & phrases) >= 3:
        return _found(Kind.OTHER, None, 0.6)
    return _found(Kind.SALE, None, 0.9 if items or paid else 0.7)


def _found(kind: Kind, line: int | None, confidence: float) -> Finding:
    return Finding(kind.value, line or 0, confidence, "heading" if line is not None else "contents")
