"""What a person says a receipt's field is: kept beside the reading, never over it, and in the audit log.

A reading may be made again by better rules; what a person said stays.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, time
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
import sqlalchemy as sa

from cloud import audit
from cloud.store.figures import corrections
from cloud.store.rows import among
from receipt.model import Kind, Pay, Receipt, Tender, minor_digits
from wire.messages import now_ms

MONEY = ("total", "subtotal", "tax", "tip", "discount", "service")
TEXTS = ("number", "table", "cashier", "member", "customer_phone")
FIELDS = ("kind", "total", "currency", "date", "time", "number", *MONEY[1:], "payment", "covers", *TEXTS[1:])
MOST = 10**12


class BadCorrection(Exception):
    """The value cannot be that field's; `key` is the string that says why."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def understood(name: str, text: str, currency: str | None) -> Any:
    """What was typed -> the field's value; "" is None: it is not on the paper. Raises BadCorrection.

    >>> understood("total", "1,234.50", "EUR"), understood("total", "12,5", "EUR"), understood("covers", "4", None)
    (123450, 1250, 4)
    """
    text = text.strip()
    if name not in FIELDS:
        raise BadCorrection("receipts.wrong.field")
    if not text:
        if name == "kind":
            raise BadCorrection("receipts.wrong.kind")
        return None
    try:
        if name in MONEY:
            return minor(text, currency)
        if name == "kind":
            return Kind(text).value
        if name == "payment":
            return Pay(text).value
        if name == "date":
            return date.fromisoformat(text).isoformat()
        if name == "time":
            return time.fromisoformat(text).isoformat("minutes")
        if name == "covers":
            return _count(text)
    except ValueError:
        raise BadCorrection(f"receipts.wrong.{'amount' if name in MONEY else name}") from None
    if name == "currency":
        if not re.fullmatch(r"[A-Z]{3}", text.upper()):
            raise BadCorrection("receipts.wrong.currency")
        return text.upper()
    if len(text) > 64 or not text.isprintable():
        raise BadCorrection("receipts.wrong.text")
    return text


def minor(text: str, currency: str | None) -> int:
    """An amount as people type it -> minor units. Raises ValueError.

    The last point or comma before one or two digits (three, for currencies that have them) is the decimal one.
    """
    plain = re.sub(r"[^\d.,\-]", "", text.replace("\u2212", "-"))
    places = minor_digits(currency)
    decimal = re.fullmatch(rf"(-?[\d.,]*?)[.,](\d{{1,{max(places, 1)}}})", plain) if places else None
    whole, part = (decimal[1], decimal[2]) if decimal else (plain, "")
    number = f"{re.sub('[.,]', '', whole) or '0'}.{part or '0'}"
    try:
        value = int(Decimal(number) * 10**places)
    except InvalidOperation:
        raise ValueError(text) from None
    if abs(value) > MOST or not re.search(r"\d", plain):
        raise ValueError(text)
    return value


def corrected(receipt: Receipt, fixes: dict[str, Any]) -> Receipt:
    """The receipt with a person's values in place of what was read."""
    plain = {name: value for name, value in fixes.items() if name in FIELDS and name not in ("kind", "payment")}
    receipt = replace(receipt, **plain)
    if "kind" in fixes:
        receipt = replace(receipt, kind=Kind(fixes["kind"]))
    if "payment" in fixes:
        first = receipt.tenders[0] if receipt.tenders else Tender(Pay.OTHER, receipt.total)
        paid = (replace(first, method=Pay(fixes["payment"])),) if fixes["payment"] else ()
        receipt = replace(receipt, tenders=(*paid, *receipt.tenders[1:]))
    return receipt


def of_jobs(connection: sa.Connection, of: list[tuple[str, str]]) -> dict[tuple[str, str, int], dict[str, Any]]:
    """(merchant, job, n) -> field -> value. A receipt that was looked at and found right has {"": None}."""
    out: dict[tuple[str, str, int], dict[str, Any]] = {}
    these = among(connection, (corrections.c.merchant_id, corrections.c.job_id), of)
    for row in connection.execute(sa.select(corrections).where(these)):
        out.setdefault((row.merchant_id, row.job_id, row.n), {})[row.field] = msgspec.json.decode(row.value)
    return out


def keep(connection: sa.Connection, merchant: str, job: str, n: int, new: dict[str, Any], read: Any, who: str) -> None:
    """`new`: field -> value; {} says that all is right. `read`: field -> what had been read, for the audit log."""
    c, at = corrections.c, now_ms()
    for name, value in (new or {"": None}).items():
        text = msgspec.json.encode(value).decode()
        was = msgspec.json.encode(read.get(name)).decode()[:200]
        mine = (c.merchant_id == merchant, c.job_id == job, c.n == n, c.field == name)
        connection.execute(sa.delete(corrections).where(*mine))
        connection.execute(
            sa.insert(corrections).values(
                merchant_id=merchant, job_id=job, n=n, field=name, value=text, was=was, who=who, at=at
            )
        )
        what = "receipt.correct" if name else "receipt.looked"
        audit.add(connection, merchant, who, what, f"{job}/{n}", f"{name}: {was} -> {text}" if name else "")


def _count(text: str) -> int:
    value = int(text)
    if not 0 < value < 1000:
        raise ValueError(text)
    return value
