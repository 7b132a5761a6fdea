"""What the lines of a job mean: its receipts, field by field. Pure.

Lines become a Page (page.py), a Page a Ledger of labelled amounts (ledger.py), and each rule of `rules/` reads one
field of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from receipt.drafts import Draft, quantity_of
from receipt.ledger import Ledger
from receipt.model import Finding, Item, Kind, Receipt
from receipt.page import LineLike, Page
from receipt.rules import (
    address,
    cashier,
    covers,
    customer_phone,
    extras,
    fiscal_number,
    member,
    points,
    shop,
    table,
)
from receipt.rules import (
    currency as currency_rule,
)
from receipt.rules import (
    date as date_rule,
)
from receipt.rules import (
    items as items_rule,
)
from receipt.rules import (
    kind as kind_rule,
)
from receipt.rules import (
    merchant as merchant_rule,
)
from receipt.rules import (
    number as number_rule,
)
from receipt.rules import (
    phone as phone_rule,
)
from receipt.rules import (
    subtotal as subtotal_rule,
)
from receipt.rules import (
    tax as tax_rule,
)
from receipt.rules import (
    tenders as tenders_rule,
)
from receipt.rules import (
    time as time_rule,
)
from receipt.rules import (
    total as total_rule,
)
from receipt.vouchers import voucher_behind
from receipt.words import currencies

RULES_VERSION = "2"


def extract(
    lines: Sequence[LineLike],
    *,
    country: str | None = None,
    currency: str | None = None,
    date_order: str | None = None,
    day: str | None = None,
) -> tuple[Receipt, ...]:
    """The receipts that stand on these lines.

    Takes   a job's lines from the top; where the shop is (ISO 3166), what money it takes (ISO 4217), the order of day
            and month that its paper has shown (receipt.habits), the day on which it was printed, if that is known.
    Gives   one Receipt per piece of paper with text: a receipt, voucher, report, kitchen order … None when there is
            no text.
    Raises  nothing, whatever the text. Time is linear in it.
    """
    if currency is None and country is not None:
        currency = currencies()[2].get(country)
    receipts: list[Receipt] = []
    dates = date_rule.Known(date_order, day)
    first = 0
    for place, line in enumerate([*lines, None]):
        if line is None or getattr(line, "kind", "text") == "cut":
            page = Page(lines[first:place], first, country, currency)
            behind = voucher_behind(page)
            if behind is not None:
                parted = page.rows[behind].index
                receipts.append(_read(Page(lines[first:parted], first, country, currency), dates))
                page = Page(lines[parted:place], parted, country or page.country, currency)
            if page.rows:
                receipts.append(_read(page, dates))
            first = place + 1
    return link_copies(receipts)


class Copies:
    """Knows the receipts of one printer so far, and marks what says the same as one before it as its copy."""

    def __init__(self) -> None:
        self._seen: set[tuple[object, ...]] = set()

    def link(self, receipts: Iterable[Receipt]) -> tuple[Receipt, ...]:
        """The same receipts, in order; a copy has `same_as`: the number of what it repeats, or its date and time."""
        linked: list[Receipt] = []
        for receipt in receipts:
            identity = _identity(receipt)
            if identity is not None:
                if identity in self._seen and receipt.kind in (Kind.SALE, Kind.REFUND, Kind.VOID, Kind.COPY):
                    same = receipt.number or f"{receipt.date} {receipt.time}"
                    receipt = replace(receipt, kind=Kind.COPY, same_as=same)
                self._seen.add(identity)
            linked.append(receipt)
        return tuple(linked)


def link_copies(receipts: Iterable[Receipt]) -> tuple[Receipt, ...]:
    """Mark what says the same as a receipt before it as its copy."""
    return Copies().link(receipts)


def _identity(receipt: Receipt) -> tuple[object, ...] | None:
    """What no two sales share: a number, or the second; None where the paper shows neither."""
    if receipt.total is None:
        return None
    if receipt.number is not None:
        return receipt.number, receipt.date, receipt.time, receipt.total
    if receipt.date is not None and receipt.time is not None and len(receipt.time) > 5:
        return receipt.merchant, receipt.date, receipt.time, receipt.total, len(receipt.items)
    return None


def _read(page: Page, dates: date_rule.Known) -> Receipt:
    findings: dict[str, Finding] = {}

    def keep(name: str, finding: Finding | None) -> str | None:
        if finding is None:
            return None
        findings[name] = finding
        return finding.value

    ledger = Ledger(page)
    money = keep("currency", currency_rule.read(page))

    def minor(value: int) -> int:
        return page.minor(value, money)

    def amount(name: str, choice: total_rule.Choice | None) -> int | None:
        if choice is None:
            return None
        value = minor(choice.value)
        findings[name] = Finding(str(value), choice.line, round(choice.confidence, 3), choice.rule)
        return value

    drafts = items_rule.read(page, ledger)
    priced = [draft for draft in drafts if draft.amount is not None]
    items_sum = sum((draft.amount or 0) - (draft.discount or 0) for draft in priced) if priced else None
    total = total_rule.read(ledger, items_sum)
    due = total.value if total else None
    subtotal = subtotal_rule.read(ledger, due, items_sum)
    before = subtotal.value if subtotal else None
    tax = tax_rule.read(ledger, due, before)
    tenders, _, paid = tenders_rule.read(ledger, due)
    keep("payment_method", paid)
    extra = {
        role: amount(role, extras.read(ledger, role, due, before))
        for role in ("discount", "service", "tip", "rounding", "change")
    }
    date = keep("date", date_rule.read(page, dates))
    merchant = keep("merchant", merchant_rule.read(page))
    guests = keep("covers", covers.read(page))
    earned = keep("points", points.read(page))
    number = keep("number", number_rule.read(page))
    kind = Kind(keep("kind", kind_rule.read(page, ledger, len(drafts), due)) or Kind.OTHER)
    if drafts:
        findings["items"] = items_rule.finding(drafts, due, before, tax.value if tax else None)
    return Receipt(
        kind=kind,
        first_line=page.rows[0].index,
        last_line=page.rows[-1].index,
        merchant=merchant,
        shop=keep("shop", shop.read(page)),
        address=keep("address", address.read(page, findings.get("merchant"))),
        phone=keep("phone", phone_rule.read(page)),
        number=number,
        fiscal_number=keep("fiscal_number", fiscal_number.read(page)),
        date=date,
        time=keep("time", time_rule.read(page, findings["date"].line if date else None)),
        currency=money,
        items=tuple(_item(draft, minor) for draft in drafts),
        subtotal=amount("subtotal", subtotal),
        discount=extra["discount"],
        tax=amount("tax", tax),
        taxes=tax_rule.taxes_of(page, tax, money),
        service=extra["service"],
        tip=extra["tip"],
        rounding=extra["rounding"],
        total=amount("total", total),
        tenders=tuple(replace(t, amount=None if t.amount is None else minor(t.amount)) for t in tenders),
        change=extra["change"],
        covers=int(guests) if guests else None,
        table=keep("table", table.read(page)),
        cashier=keep("cashier", cashier.read(page)),
        member=keep("member", member.read(page)),
        customer_phone=keep("customer_phone", customer_phone.read(page, findings.get("phone"))),
        points=int(earned) if earned else None,
        codes=tuple(page.codes),
        same_as=number if kind is Kind.COPY else None,
        findings=findings,
    )


def _item(draft: Draft, minor: Callable[[int], int]) -> Item:
    return Item(
        name=draft.name,
        quantity=quantity_of(draft),
        unit_price=None if draft.unit_price is None else minor(draft.unit_price),
        amount=None if draft.amount is None else minor(draft.amount),
        discount=None if draft.discount is None else minor(draft.discount),
        unit=draft.unit,
        code=draft.code,
        line=draft.line,
    )
