"""discount, service, tip, rounding, change: amounts that a line names by itself, with the arithmetic as a witness."""

from __future__ import annotations

from receipt.ledger import Ledger
from receipt.rules.total import Choice, close

LARGEST_ROUNDING = 10_000  # one unit of money, in ten-thousandths


def read(ledger: Ledger, role: str, total: int | None, subtotal: int | None) -> Choice | None:
    """The amount of one role. A discount of several lines is their sum."""
    entries = [entry for entry in ledger.of(role) if entry.words <= 12]
    if not entries:
        return None
    rows = ledger.page.rows
    entry = entries[-1] if role == "change" else entries[0]
    value = entry.value
    confidence = 0.75
    if role == "discount":
        values = {abs(one.value) for one in entries}
        value = abs(value) if len(values) == 1 else max(values)
        if subtotal is not None and total is not None and close(subtotal - value, total):
            confidence = 0.92
    elif role == "change":
        value = abs(value)
        tenders = [one.value for one in ledger.of("tender")]
        if total is not None and any(close(tender - value, total) for tender in tenders):
            confidence = 0.96
    elif role == "rounding":
        decimals = ledger.page.decimals
        small = [one for one in entries if abs(one.value) <= LARGEST_ROUNDING or not decimals]
        if not small:
            return None
        entry = small[0]
        value, confidence = entry.value, 0.85
    elif total is not None and value >= total > 0:
        return None
    elif subtotal is not None and total is not None and close(subtotal + value, total):
        confidence = 0.93
    return Choice(value, rows[entry.row].index, confidence, "label", entry)
