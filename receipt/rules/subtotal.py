"""subtotal: the sum before tax, service and rounding, where a line says so."""

from __future__ import annotations

from receipt.ledger import Ledger
from receipt.rules.tax import table_of
from receipt.rules.total import Choice, close


def read(ledger: Ledger, total: int | None, items_sum: int | None) -> Choice | None:
    best: tuple[float, Choice] | None = None
    extras = [entry.value for entry in ledger.of("tax", "service", "tip", "rounding", "discount") if entry.value]
    for entry in ledger.of("subtotal"):
        score = 2.0 * entry.sure
        if total is not None:
            if any(close(total, entry.value + extra) or close(total, entry.value - extra) for extra in extras):
                score += 1.0
            if entry.value > total + 1:
                score -= 0.3
        if items_sum is not None and close(items_sum, entry.value):
            score += 0.8
        if entry.words > 8:
            score -= 0.5
        if entry.num.places == 0 and ledger.page.decimals and not entry.num.symbol:
            score -= 1.5
        row = ledger.page.rows[entry.row]
        confidence = 0.65 + min(max(score - 1.5, 0), 1.5) * 0.21
        if best is None or score > best[0] + 0.01:
            best = (score, Choice(entry.value, row.index, min(confidence, 0.97), "label", entry))
    return best[1] if best else _unlabelled(ledger, total, items_sum)


def _unlabelled(ledger: Ledger, total: int | None, items_sum: int | None) -> Choice | None:
    """An earlier total that taxes and services turn into the last one; or a lone amount above the tax."""
    if total is None:
        return None
    extras = [entry for entry in ledger.of("tax", "service", "tip", "rounding") if entry.value]
    rows = ledger.page.rows
    for entry in ledger.of("total", "weak"):
        after = [extra.value for extra in extras if extra.row > entry.row]
        if entry.value != total and after and any(close(entry.value + extra, total) for extra in (*after, sum(after))):
            return Choice(entry.value, rows[entry.row].index, 0.75, "total before tax", entry)
    for entry in extras:
        if entry.role == "rounding":
            continue
        for place in range(max(0, entry.row - 3), entry.row):
            row = rows[place]
            if len(row.amounts) == 1 and not ledger.roles[place] and close(row.amounts[0].value + entry.value, total):
                return Choice(row.amounts[0].value, row.index, 0.7, "above the tax")
    table = table_of(ledger.page)
    nets = sum(net for net, _, _, _ in table)
    if table and close(nets + sum(tax for _, tax, _, _ in table), total, 310):
        return Choice(nets, table[0][3], 0.6, "tax table")
    totals = ledger.of("total", "weak")
    for entry in totals[:-1]:
        if entry.value == total and (items_sum == total or len(totals) > 2) and entry.row < totals[-1].row:
            return Choice(entry.value, rows[entry.row].index, 0.5, "first of two totals", entry)
    return None
