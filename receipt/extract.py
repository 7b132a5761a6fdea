"""What the lines of a job mean: its receipts, field by field. Pure.

Lines become a Page (page.py), a Page a Ledger of labelled amounts (ledger.py), and each rule of `rules/` reads one field of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from receipt.ledger import Ledger
from receipt.model import Finding, Item, Kind, Receipt, Tender
from receipt.numbers import SCALE
from receipt.page import LineLike, Page
from receipt.rules import currency as currency_rule
from receipt.rules import date as date_rule
from receipt.rules import items as items_rule
from receipt.rules import merchant as merchant_rule
from receipt.rules import number as number_rule
from receipt.rules import subtotal as subtotal_rule
from receipt.rules import tax as tax_rule
from receipt.rules import tenders as tenders_rule
from receipt.rules import time as time_rule
from receipt.rules import total as total_rule
from receipt.words import currencies

RULES_VERSION = "1"


def extract(
    lines: Sequence[LineLike], *, country: str | None = None, currency: str | None = None
) -> tuple[Receipt, ...]:
    """The receipts that stand on these lines.

    Takes   a job's lines from the top; where the shop is and what money it takes, if that is known.
    Gives   one Receipt per receipt, voucher, report or kitchen order; none when there is no text.
    Raises  nothing, whatever the text. Time is linear in it.
    """
    if currency is None and country is not None:
        currency = currencies()[2].get(country)
    page = Page(lines, 0, country, currency)
    if not page.rows:
        return ()
    return (_read(page),)


def _read(page: Page) -> Receipt:
    findings: dict[str, Finding] = {}

    def keep(name: str, finding: Finding | None) -> str | None:
        if finding is None:
            return None
        findings[name] = finding
        return finding.value

    ledger = Ledger(page)
    money = keep("currency", currency_rule.read(page))
    date = keep("date", date_rule.read(page))
    date_line = findings["date"].line if date else None
    time = keep("time", time_rule.read(page, date_line))
    number = keep("number", number_rule.read(page))
    merchant = keep("merchant", merchant_rule.read(page))
    drafts = items_rule.read(page, ledger)
    items_sum = sum(d.amount - (d.discount or 0) for d in drafts if d.amount is not None) if drafts else None
    total = total_rule.read(ledger, items_sum)
    subtotal = subtotal_rule.read(ledger, total.value if total else None, items_sum)
    tax = tax_rule.read(ledger, total.value if total else None, subtotal.value if subtotal else None)
    tenders, method, paid = tenders_rule.read(ledger, total.value if total else None)
    keep("payment_method", paid)

    def minor(value: int) -> int:
        return page.minor(value, money)

    def amount(name: str, choice: total_rule.Choice | None) -> int | None:
        if choice is None:
            return None
        value = minor(choice.value)
        findings[name] = Finding(str(value), choice.line, choice.confidence, choice.rule)
        return value

    change = ledger.of("change")
    items = tuple(
        Item(
            name=draft.name,
            quantity=items_rule.quantity_of(draft),
            unit_price=None if draft.unit_price is None else minor(draft.unit_price),
            amount=None if draft.amount is None else minor(draft.amount),
            discount=None if draft.discount is None else minor(draft.discount),
            unit=draft.unit,
            code=draft.code,
            line=draft.line,
        )
        for draft in drafts
    )
    return Receipt(
        kind=Kind.SALE if total else Kind.OTHER,
        first_line=page.rows[0].index,
        last_line=page.rows[-1].index,
        merchant=merchant,
        number=number,
        date=date,
        time=time,
        currency=money,
        items=items,
        subtotal=amount("subtotal", subtotal),
        tax=amount("tax", tax),
        taxes=tax_rule.taxes_of(page, tax, money),
        total=amount("total", total),
        tenders=tuple(
            Tender(t.method, None if t.amount is None else minor(t.amount), t.name, t.last_four) for t in tenders
        ),
        change=minor(abs(change[0].value)) if change else None,
        codes=tuple(page.codes),
        findings=findings,
    )


def exact(value: int) -> Decimal:
    """Ten-thousandths as a decimal."""
    return Decimal(value) / SCALE
