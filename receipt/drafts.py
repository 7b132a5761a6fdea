"""Items in the making, and what only the list as a whole says: where it ends, which numbers are quantities. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from receipt import words as w
from receipt.columns import is_head
from receipt.ledger import Ledger
from receipt.numbers import SCALE
from receipt.page import Page

_POINTED = re.compile(r"\d{1,3}\. ")  # "1. THINNER": the number of a line


@dataclass(slots=True)
class Draft:
    """An item in the making; amounts and quantities in ten-thousandths."""

    name: str
    line: int
    quantity: int | None = None
    unit_price: int | None = None
    amount: int | None = None
    discount: int | None = None
    unit: str | None = None
    code: str | None = None
    lead: int | None = None
    lead_name: str = ""
    weak: int | None = None


def until_the_sum(drafts: list[Draft], ledger: Ledger) -> list[Draft]:
    """Without lines that are sums: one of all lines before it, whatever it is called, or one of its group.

    Nor with what is more than all the paper speaks of, nor with a first or last line that alone spoils the sum.
    """
    sums = {entry.value for entry in ledger.of("total", "subtotal") if entry.value > 0}
    most = max([entry.value for entry in ledger.of("total", "subtotal", "tender")], default=0)
    if most > 0:
        drafts = [draft for draft in drafts if (draft.amount or 0) <= most * 2]
    if _sum(drafts) in sums:
        return drafts
    if len(drafts) > 1:
        for odd, fewer in ((drafts[0], drafts[1:]), (drafts[-1], drafts[:-1])):
            if odd.quantity is None and _sum(fewer) in sums:
                return fewer
    kept: list[Draft] = []
    running = group = lines = 0
    rest = sum(draft.amount or 0 for draft in drafts)
    for draft in drafts:
        amount = draft.amount or 0
        rest -= amount
        if kept and amount > 0 and draft.quantity is None:
            if amount == running and (len(kept) >= 2 or (amount in sums and 2 * amount not in sums)):
                if running in sums or not rest:
                    return kept
                group = lines = 0
                continue
            if amount == group and lines >= 2 and running != group:
                group = lines = 0
                continue
        kept.append(draft)
        part = amount - (draft.discount or 0)
        running, group, lines = running + part, group + part, lines + 1
    return kept


def _price_each(drafts: list[Draft], page: Page, ledger: Ledger) -> None:
    """Where the list shows what one costs and not what all cost, the sums say so: multiply."""
    several = [draft for draft in drafts if draft.quantity not in (None, SCALE) and draft.unit_price is None]
    sums = {entry.value for entry in ledger.of("total", "subtotal") if entry.value > 0}
    if not several or _sum(drafts) in sums:
        return
    multiplied = _sum(drafts) + sum((d.amount or 0) * ((d.quantity or 0) - SCALE) // SCALE for d in several)
    if any(abs(multiplied - value) <= 100 for value in sums):
        for draft in several:
            draft.unit_price = draft.amount
            draft.amount = (draft.quantity or 0) * (draft.amount or 0) // SCALE


def _sum(drafts: list[Draft]) -> int:
    return sum((draft.amount or 0) - (draft.discount or 0) for draft in drafts)


def decide_quantities(drafts: list[Draft], page: Page, ledger: Ledger) -> None:
    """Take the numbers before names, or alone before amounts, as quantities where the list as a whole says they are."""
    if not drafts:
        return
    headed = any(row.mask & w.COL_QTY for row in page.rows if is_head(row, page))
    open_ones = [draft for draft in drafts if draft.quantity is None]
    leads = [draft.lead // SCALE for draft in open_ones if draft.lead is not None]
    pointed = [draft.lead // SCALE for draft in drafts if draft.lead is not None and _POINTED.match(draft.name)]
    weak = [draft.weak // SCALE for draft in open_ones if draft.weak is not None]
    count = _count(page, ledger)
    numbered = (len(leads) >= 3 and leads == list(range(leads[0], leads[0] + len(leads))) and leads[0] <= 1) or (
        len(pointed) > 1 and pointed == list(range(1, len(pointed) + 1))
    )
    take_lead = (
        bool(leads)
        and not numbered
        and max(leads) <= 100
        and (
            len(leads) * 10 >= len(open_ones) * 6
            or headed
            or sum(leads) + len(drafts) - len(leads) == count
            or (min(leads) > 1 and max(leads) <= 24)  # printed only where it is not one
        )
    )
    take_weak = (
        bool(weak)
        and max(weak) <= 500
        and (
            (len(weak) * 10 >= len(open_ones) * 6 and len(drafts) > 1)
            or headed
            or sum(weak) + len(drafts) - len(weak) == count
        )
    )
    if take_weak and len(weak) >= 3 and weak == list(range(1, len(weak) + 1)):
        take_weak = headed
    for draft in open_ones:
        if draft.lead is not None and (take_lead or numbered):
            draft.name = draft.lead_name
            if take_lead and not (take_weak and draft.weak is not None):
                draft.quantity = draft.lead
        if draft.weak is not None:
            if take_weak and draft.quantity is None:
                draft.quantity = draft.weak
            elif not take_weak:
                draft.name = f"{draft.name} {draft.weak // SCALE}"
    _price_each(drafts, page, ledger)
    for draft in drafts:
        if draft.lead is not None and (take_lead or numbered or draft.lead == draft.quantity):
            draft.name = draft.lead_name or draft.name


def _count(page: Page, ledger: Ledger) -> int | None:
    """How many articles the paper says there are."""
    for place, row in enumerate(page.rows):
        if row.mask & w.COUNT and ledger.roles[place] in ("", "count") and not is_head(row, page):
            for num in row.nums:
                if num.whole and len(num.raw) <= 3:
                    return num.value // SCALE
    return None


def quantity_of(draft: Draft) -> Decimal | None:
    if draft.quantity is None:
        return None
    value = Decimal(draft.quantity) / SCALE
    return value.normalize() if value != value.to_integral_value() else value.quantize(Decimal(1))
