"""What a receipt means, as values. Pure data; no reading is done here.

Money is integer minor units of `currency` (ISO 4217: JPY has none, most have two); quantities are decimals.
A field that is None was not found. Every field that was found has a `Finding` under its own name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Final

# ISO 4217: currencies whose smallest unit is not a hundredth
NO_MINOR: Final = frozenset(
    [
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "UYI",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    ]
)
THREE_MINOR: Final = frozenset(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"])


def minor_digits(currency: str | None) -> int:
    """How many decimals an amount of this currency has; 2 where the currency is not known."""
    return 0 if currency in NO_MINOR else 3 if currency in THREE_MINOR else 2


class Kind(StrEnum):
    """What a piece of paper is for. Figures count sales, refunds and voids; nothing else moves money."""

    SALE = "sale"
    REFUND = "refund"
    VOID = "void"
    REPORT = "report"
    KITCHEN = "kitchen"
    VOUCHER = "voucher"
    COPY = "copy"
    DRAWER = "drawer"
    SELFTEST = "selftest"
    OTHER = "other"


class Pay(StrEnum):
    """How a tender was paid."""

    CASH = "cash"
    CARD = "card"
    WALLET = "wallet"
    VOUCHER = "voucher"
    ACCOUNT = "account"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule believes: `value` as text, the line it stands on (0-based in `Reading.lines`), how surely (0..1)."""

    value: str
    line: int
    confidence: float
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    name: str
    quantity: Decimal | None = None
    unit_price: int | None = None
    amount: int | None = None
    discount: int | None = None
    unit: str | None = None  # "kg", "l": what the quantity counts, where the paper says so
    code: str | None = None  # the article number, where the paper shows one
    line: int = 0


@dataclass(frozen=True, slots=True)
class Tax:
    amount: int
    rate: Decimal | None = None  # per cent
    net: int | None = None
    name: str | None = None
    included: bool | None = None  # the total contains it


@dataclass(frozen=True, slots=True)
class Tender:
    method: Pay
    amount: int | None = None
    name: str | None = None  # as printed: "VISA", "支付宝"
    last_four: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """One receipt (or voucher, report, kitchen order) of a job, in the order of DESIGN's field list."""

    kind: Kind = Kind.OTHER
    first_line: int = 0
    last_line: int = 0
    merchant: str | None = None
    shop: str | None = None
    address: str | None = None
    phone: str | None = None  # the shop's
    number: str | None = None
    fiscal_number: str | None = None
    date: str | None = None  # YYYY-MM-DD, only where the order of day and month is certain enough
    time: str | None = None  # HH:MM or HH:MM:SS, 24 hours
    currency: str | None = None
    items: tuple[Item, ...] = ()
    subtotal: int | None = None
    discount: int | None = None
    tax: int | None = None
    taxes: tuple[Tax, ...] = ()
    service: int | None = None
    tip: int | None = None
    rounding: int | None = None
    total: int | None = None
    tenders: tuple[Tender, ...] = ()
    change: int | None = None
    covers: int | None = None
    table: str | None = None
    cashier: str | None = None
    member: str | None = None
    customer_phone: str | None = None
    points: int | None = None
    codes: tuple[str, ...] = ()  # what its QR codes and barcodes say
    same_as: str | None = None  # number of the receipt that this one is a copy of
    findings: dict[str, Finding] = field(default_factory=dict)

    @property
    def issued_at(self) -> str | None:
        """Local time of the shop as the paper says it: "2026-11-22T09:30:00", "2026-11-22", or None."""
        if self.date is None:
            return None
        return self.date if self.time is None else f"{self.date}T{self.time}"
