"""tax: what the total holds, or gets, of taxes: a line that says so, several of them together, or the lines of a tax
table.
"""

from __future__ import annotations

from decimal import Decimal

from receipt import words as w
from receipt.ledger import Entry, Ledger
from receipt.model import Tax
from receipt.numbers import SCALE
from receipt.page import Page, Row
from receipt.rules.total import Choice, close


def read(ledger: Ledger, total: int | None, subtotal: int | None) -> Choice | None:
    best: tuple[float, Choice] | None = None
    entries = ledger.of("tax")
    table = table_of(ledger.page)
    for entry in entries:
        score = _score(entry, ledger, total, subtotal)
        row = ledger.page.rows[entry.row]
        confidence = 0.6 + min(max(score - 1.0, 0), 2.0) * 0.18
        if best is None or score > best[0]:
            best = (score, Choice(entry.value, row.index, min(confidence, 0.97), "label", entry))
    if table:
        together = sum(tax for _, tax, _, _ in table)
        nets = sum(net for net, _, _, _ in table)
        score = 1.6 if together else 0.8
        if total is not None and close(nets + together, total, 310):
            score += 1.0
        if subtotal is not None and total is not None and close(subtotal + together, total):
            score += 0.7
        if best is not None and best[1].value == together:
            score += 1.0
        if best is None or score > best[0]:
            best = (score, Choice(together, table[0][3], 0.6 + min(score - 1, 1.9) * 0.18, "tax table"))
    if best is not None and subtotal is not None and total is not None and len(entries) > 1:
        together = sum(entry.value for entry in entries if entry.value != subtotal)
        if close(subtotal + together, total) and not close(subtotal + best[1].value, total):
            return Choice(together, best[1].line, 0.85, "several added")
    if best is not None and best[1].entry is not None and total is not None:
        several = _of_all_rates(entries, ledger, total)
        if several is not None:
            return Choice(several, best[1].line, 0.85, "one line a rate")
    return best[1] if best else _between(ledger, total, subtotal)


def _of_all_rates(entries: list[Entry], ledger: Ledger, total: int) -> int | None:
    """The sum of lines that each tell the tax of one rate, where what they are taxes of makes up the total."""
    rated: dict[int, int] = {}
    gross = slack = 0
    for entry in entries:
        rate = next((num.value for num in ledger.page.rows[entry.row].nums if num.percent), 0)
        if not rate or rate in rated or entry.value <= 0 or len(ledger.page.rows[entry.row].amounts) > 1:
            return None
        rated[rate] = entry.value
        gross += entry.value * (100 * SCALE + rate) // rate
        slack += 60 * (100 * SCALE + rate) // rate  # half a cent of tax is so much of the price
    return sum(rated.values()) if len(rated) > 1 and abs(gross - total) <= slack else None


def _between(ledger: Ledger, total: int | None, subtotal: int | None) -> Choice | None:
    """An amount without a label between subtotal and total that is what one is more than the other."""
    if total is None or subtotal is None or total <= subtotal:
        return None
    rows = ledger.page.rows
    places = [entry.row for entry in ledger.of("subtotal", "total", "weak")]
    for place in range(min(places, default=0), min(max(places, default=0) + 3, len(rows))):
        row = rows[place]
        if row.amounts and not ledger.roles[place] and close(row.amounts[-1].value, total - subtotal):
            return Choice(total - subtotal, row.index, 0.6, "between subtotal and total")
    return None


def _score(entry: Entry, ledger: Ledger, total: int | None, subtotal: int | None) -> float:
    row = ledger.page.rows[entry.row]
    score = 1.5 * entry.sure
    if subtotal is not None and total is not None and close(subtotal + entry.value, total) and entry.value:
        score += 1.5
    if total is not None and total > 0:
        if entry.value >= total:
            score -= 2.0
        rate = next((num.value for num in row.nums if num.percent), 0)
        if rate and entry.value:
            inside = total * rate // (100 * SCALE + rate)
            if close(entry.value, inside, 210) or close(
                entry.value, (total - entry.value) * rate // (100 * SCALE), 210
            ):
                score += 0.8
    if entry.words > 8:
        score -= 0.7
    if entry.mask & w.TOTAL:
        score += 0.4
    if entry.num.places == 0 and ledger.page.decimals and not entry.num.symbol:
        score -= 1.0
    if not entry.value:
        score -= 0.3
    return score


def table_of(page: Page) -> list[tuple[int, int, int, int]]:
    """(net, tax, rate, line) of the lines of a tax table: a rate, a net amount and the tax that it makes."""
    found: list[tuple[int, int, int, int]] = []
    seen: set[tuple[int, int]] = set()
    for row in page.rows:
        if len(row.amounts) < 2 or row.amounts[0].negative != row.amounts[-1].negative:
            continue  # "6% OFF @4.61  -0.29"
        for rate in _rates(row):
            values = [abs(num.value) for num in row.amounts]
            if rate in values and not any(num.percent for num in row.nums):
                values.remove(rate)
            hit = _net_and_tax(values, rate)
            if hit is None:
                continue
            net, tax = hit
            if (net, rate) not in seen:
                seen.add((net, rate))
                found.append((net, tax, rate, row.index))
            break
    return found


def _rates(row: Row) -> list[int]:
    rates = [num.value for num in row.nums if num.percent and num.value <= 40 * SCALE]
    if rates or len(row.nums) < 3 or row.mask & w.TOTAL or row.letters > 10:
        return rates
    if any(num.unit == "x" for num in row.nums) or "@" in row.folded or "*" in row.folded:
        return []
    usual = _RATES if len(row.amounts) > 2 else _ODD_RATES  # "10  0.85  8.50" is ten at 0.85
    return [num.value for num in row.nums[:3] if num.value in usual]


# Rates of value added tax that stand in tax tables without a per cent sign
_RATES = frozenset(rate * SCALE for rate in (4, 5, 6, 7, 8, 9, 10, 13, 19, 20, 21, 22, 23, 24, 25))


_ODD_RATES = frozenset(rate * SCALE for rate in (6, 7, 13, 19, 21, 22, 23, 24))


def _net_and_tax(values: list[int], rate: int) -> tuple[int, int] | None:
    """The pair of amounts of which one is `rate` per cent of the other."""
    if rate == 0:
        return (values[0], 0) if 0 in values[1:] or (len(values) > 1 and values[0] == values[1]) else None
    for net in values:
        if not net:
            continue
        for tax in values:
            if tax and tax is not net and tax < net and close(net * rate // (100 * SCALE), tax, 160):
                return net, tax
    return None


def taxes_of(page: Page, choice: Choice | None, currency: str | None) -> tuple[Tax, ...]:
    """The tax lines as values: those of the table, else the one that was chosen."""
    table = table_of(page)
    if table:
        return tuple(
            Tax(page.minor(tax, currency), Decimal(rate) / SCALE, page.minor(net, currency))
            for net, tax, rate, _ in table
        )
    if choice is None:
        return ()
    rate_num = None
    if choice.entry is not None:
        row = page.rows[choice.entry.row]
        rate_num = next((num for num in row.nums if num.percent), None)
    rate_value = None if rate_num is None else Decimal(rate_num.value) / SCALE
    return (Tax(page.minor(choice.value, currency), rate_value),)
