"""tax: what the total holds, or gets, of taxes: a line that says so, several of them together, or the foot of a tax table."""

from __future__ import annotations

from receipt import words as w
from receipt.ledger import Ledger
from receipt.rules.total import Choice, close


def read(ledger: Ledger, total: int | None, subtotal: int | None) -> Choice | None:
    rows = ledger.page.rows
    best: tuple[float, Choice] | None = None
    entries = ledger.of("tax")
    for entry in entries:
        row = rows[entry.row]
        score = 1.5 * entry.sure
        if subtotal is not None and total is not None and close(subtotal + entry.value, total) and entry.value:
            score += 1.5
        if total is not None and entry.value >= total and total > 0:
            score -= 2.0
        if entry.words > 8:
            score -= 0.7
        if entry.mask & w.TOTAL:
            score += 0.4
        if entry.num.places == 0 and ledger.page.decimals and not entry.num.symbol:
            score -= 1.0
        confidence = 0.6 + min(max(score - 1.0, 0), 2.0) * 0.18
        if best is None or score > best[0]:
            best = (score, Choice(entry.value, row.index, min(confidence, 0.97), "label", entry))
    if best is not None and subtotal is not None and total is not None and len(entries) > 1:
        together = sum(entry.value for entry in entries)
        if close(subtotal + together, total) and not close(subtotal + best[1].value, total):
            return Choice(together, best[1].line, 0.93, "several added", None)
    return best[1] if best else None
