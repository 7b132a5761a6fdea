"""total: what was to be paid. Labels name candidates; tenders, change, subtotal and tax are witnesses."""

from __future__ import annotations

from dataclasses import dataclass

from receipt import words as w
from receipt.ledger import Entry, Ledger

NEAR = 10  # ten-thousandths
ROUNDED = 600  # the most that cash rounding adds or takes


@dataclass(slots=True)
class Choice:
    """An amount for a field, where it stands, how surely."""

    value: int
    line: int
    confidence: float
    rule: str
    entry: Entry | None = None


def close(a: int, b: int, near: int = NEAR) -> bool:
    return -near <= a - b <= near


def read(ledger: Ledger, items_sum: int | None) -> Choice | None:
    rows = ledger.page.rows
    found = [entry for entry in ledger.of("total") if entry.value >= 0 or not ledger.of("tender")]
    weak = ledger.of("weak")
    tenders = [entry.value for entry in ledger.of("tender")]
    changes = [entry.value for entry in ledger.of("change")]
    settled = {tender - abs(change) for tender in tenders for change in changes if tender >= abs(change)}
    paid = settled | set(tenders)
    subtotals = [entry.value for entry in ledger.of("subtotal")]
    taxes = [entry.value for entry in ledger.of("tax")]
    roundings = [entry.value for entry in ledger.of("rounding")]
    extras = [entry.value for entry in ledger.of("service", "tip", "discount")]
    added = [entry.value for entry in ledger.of("service", "tip", "tax") if entry.value > 0]
    best: tuple[float, Choice] | None = None
    counts: dict[int, int] = {}
    for entry in ledger.entries:
        counts[entry.value] = counts.get(entry.value, 0) + 1
    # "ROUNDING 16.95" below "TOTAL 16.97" is the total that is paid
    rounded = [
        entry
        for entry in ledger.of("rounding")
        if entry.value >= 10 * ROUNDED and any(close(entry.value, other.value, ROUNDED) for other in found)
    ]
    for entry in found + weak + rounded:
        score = 2.0 if entry.role != "weak" else 0.3
        score *= entry.sure
        row = rows[entry.row]
        if row.height > 1 or row.width > 1:
            score += 0.6
        elif row.bold:
            score += 0.2
        if entry.words > 8:
            score -= min(1.5, entry.words * 0.06)
        if any(close(entry.value, value) for value in settled):
            score += 1.6
        elif any(close(entry.value, value) for value in tenders):
            score += 1.2
        if any(close(entry.value, sub + tax) for sub in subtotals for tax in taxes if tax):
            score += 1.0
        elif any(close(entry.value, sub + extra) for sub in subtotals for extra in extras):
            score += 0.6
        elif any(close(entry.value, sub) for sub in subtotals):
            score += 0.2
        if items_sum is not None and close(entry.value, items_sum):
            score += 0.6
        if any(
            entry.value > other.value
            and entry.row > other.row
            and any(close(entry.value, other.value + extra) for extra in added)
            for other in found
        ):
            score += 2.0
        if any(
            other.value > entry.value
            and other.row > entry.row
            and any(close(other.value, entry.value + extra) for extra in added)
            for other in found + weak
        ):
            score -= 0.6
        if roundings and any(close(entry.value, other.value + r, 10) for other in found for r in roundings if r):
            score += 1.0
        score += min(counts.get(entry.value, 0) - 1, 3) * 0.15
        if entry.num.places == 0 and ledger.page.decimals and not entry.num.symbol:
            score -= 1.5
        if items_sum is not None and any(
            close(other.value, items_sum) and other.row < entry.row and other.value < entry.value < other.value * 1.35
            for other in found
        ):
            score += 0.8  # after a total of the items alone
        if len(row.amounts) == 2 and 0 < 3 * row.amounts[1].value < row.amounts[0].value:
            score -= 1.5  # the foot of a tax table: net and tax
        if entry.value == 0:
            score -= 1.0
        if entry.mask & w.TAX and entry.mask & w.INCL:
            score -= 0.1
        confidence = 0.6 + min(max(score - 1.5, 0), 2.0) * 0.19
        choice = Choice(
            entry.value, row.index, min(confidence, 0.985), "label and witnesses" if score > 2.5 else "label", entry
        )
        if best is None or score > best[0]:
            best = (score, choice)
    if best is not None:
        score, choice = best
        if choice.entry is not None and not any(close(choice.value, value) for value in paid):
            for value in settled:
                if choice.value <= 0 < value or (score < 1 and choice.value < value and counts.get(value, 0) > 1):
                    return Choice(value, choice.line, 0.6, "tender less change")
                if close(choice.value, value, ROUNDED) and any(row.mask & w.ROUNDING for row in rows):
                    return Choice(value, choice.line, 0.93, "paid, rounded")
        return choice
    for value in settled:
        if value in tenders and value > 0:
            return Choice(value, rows[ledger.of("tender")[0].row].index, 0.8, "paid")
    for value in settled:
        if value not in tenders and value > 0:
            return Choice(value, rows[ledger.of("tender")[0].row].index, 0.6, "tender less change")
    base = subtotals[-1] if subtotals else items_sum
    if base:
        for parts in (sum(added), added[0] if added else 0):
            for row in rows if parts else ():
                if row.amounts and close(row.amounts[-1].value, base + parts):
                    return Choice(base + parts, row.index, 0.65, "subtotal and tax")
    if subtotals and tenders and 0 < subtotals[-1] <= max(tenders) and not any(taxes):
        entry = ledger.of("subtotal")[-1]
        return Choice(entry.value, rows[entry.row].index, 0.6, "subtotal", entry)
    if tenders:
        entry = ledger.of("tender")[-1]
        return Choice(entry.value, rows[entry.row].index, 0.6, "tender", entry)
    if subtotals:
        entry = ledger.of("subtotal")[-1]
        return Choice(entry.value + sum(taxes[:1]), rows[entry.row].index, 0.5, "subtotal", entry)
    if items_sum is not None:
        return Choice(items_sum, 0, 0.4, "items")
    return None
