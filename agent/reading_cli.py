"""What `tillwire read` shows: a captured stream, job by job, as text, JSON or a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import receipt
from receipt.model import Receipt
from receipt.split import split

if TYPE_CHECKING:
    from receipt import Reading

NO_MINOR = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split()  # noqa: SIM905
THREE_MINOR = "BHD IQD JOD KWD LYD OMR TND".split()  # noqa: SIM905
FIELDS = {  # model.Receipt -> the name in the JSON form
    "merchant": "merchant",
    "shop": "shop",
    "address": "address",
    "phone": "phone",
    "number": "receipt_number",
    "fiscal_number": "fiscal_number",
    "date": "date_iso",
    "time": "time",
    "currency": "currency",
    "subtotal": "subtotal",
    "discount": "discount",
    "tax": "tax",
    "service": "service",
    "tip": "tip",
    "rounding": "rounding",
    "total": "total",
    "change": "change",
    "covers": "covers",
    "table": "table",
    "cashier": "cashier",
    "member": "member",
    "customer_phone": "customer_phone",
    "points": "points",
    "same_as": "same_as",
}
MONEY = {"subtotal", "discount", "tax", "service", "tip", "rounding", "total", "change"}


@dataclass(frozen=True, slots=True)
class Job:
    """One job of a file: its place, why it ended, and what it says."""

    file: str
    number: int
    start: int
    end: int
    boundary: str
    raw: bytes
    reading: Reading

    def as_json(self) -> list[dict[str, Any]]:
        """An object for each receipt in it; one without a receipt where there is none."""
        base: dict[str, Any] = {
            "file": self.file,
            "job": self.number,
            "start": self.start,
            "end": self.end,
            "boundary": self.boundary,
            "kind": "other",
            "lines": [line.text for line in self.reading.lines],
            "raster_only": self.reading.raster_only,
            "unknown": self.reading.unknown,
        }
        found = []
        for part, value in enumerate(self.reading.receipts):
            one = base | {"kind": str(value.kind), "receipt": fields_of(value)}
            one["confidence"] = {
                FIELDS.get(name, name): round(finding.confidence, 3) for name, finding in value.findings.items()
            }
            if len(self.reading.receipts) > 1:
                one["part"] = part
            found.append(one)
        return found or [base]

    def as_text(self, explain: bool) -> str:
        head = f"{self.file} job {self.number} bytes {self.start}..{self.end} ended by {self.boundary}"
        out = [f"--- {head}", *(line.text for line in self.reading.lines)]
        if self.reading.unknown:
            out.append(f"[{self.reading.unknown} unknown]")
        if self.reading.raster_only:
            out.append("[a picture, no text]")
        for value in self.reading.receipts:
            out.append(f"=== {value.kind}")
            for name, text in flat(fields_of(value)):
                out.append(f"{name:24} {text}")
            if explain:
                for name, finding in sorted(value.findings.items()):
                    out.append(
                        f"  {name}: {finding.value!r} line {finding.line}"
                        f" confidence {finding.confidence:.2f} by {finding.rule or 'no rule named'}"
                    )
        return "\n".join(out)

    def as_png(self) -> bytes:
        from receipt.picture import as_png

        return as_png(self.reading.lines)


def jobs_of(file: str, stream: bytes) -> Iterator[Job]:
    """The jobs of a captured stream; where it ends without a cut, the last one was ended by its close."""
    for number, (start, end, boundary) in enumerate(bounds(stream)):
        raw = stream[start:end]
        yield Job(file, number, start, end, boundary, raw, receipt.read(raw))


def bounds(stream: bytes) -> list[tuple[int, int, str]]:
    """(start, end, boundary) of each job."""
    return [(part.start, part.end, part.boundary) for part in split(stream)]


def fields_of(value: Receipt) -> dict[str, Any]:
    """The fields that were found, amounts as decimal texts."""
    digits = 0 if value.currency in NO_MINOR else 3 if value.currency in THREE_MINOR else 2
    out: dict[str, Any] = {}
    for name, shown in FIELDS.items():
        found = getattr(value, name)
        if found is not None:
            out[shown] = money(found, digits) if name in MONEY else found
    items = []
    for item in value.items:
        one: dict[str, Any] = {"name": item.name}
        if item.quantity is not None:
            one["quantity"] = format(item.quantity.normalize(), "f")
        for name in ("unit_price", "amount", "discount"):
            if (amount := getattr(item, name)) is not None:
                one[name] = money(amount, digits)
        one |= {name: text for name in ("unit", "code") if (text := getattr(item, name))}
        items.append(one)
    if items:
        out["items"] = items
    taxes = [
        {"amount": money(tax.amount, digits)}
        | ({"rate": format(tax.rate.normalize(), "f")} if tax.rate is not None else {})
        | ({"net": money(tax.net, digits)} if tax.net is not None else {})
        | ({"name": tax.name} if tax.name else {})
        for tax in value.taxes
    ]
    if taxes:
        out["taxes"] = taxes
    if value.tenders:
        out["payment_method"] = str(value.tenders[0].method)
        out["tenders"] = [
            {"method": str(tender.method)}
            | ({"amount": money(tender.amount, digits)} if tender.amount is not None else {})
            | ({"name": tender.name} if tender.name else {})
            | ({"last_four": tender.last_four} if tender.last_four else {})
            for tender in value.tenders
        ]
    if value.codes:
        out["codes"] = list(value.codes)
    return out


def money(minor: int, digits: int) -> str:
    """
    >>> money(-1205, 2), money(950, 0)
    ('-12.05', '950')
    """
    sign, size = "-" if minor < 0 else "", abs(minor)
    return f"{sign}{size // 10**digits}.{size % 10**digits:0{digits}}" if digits else f"{sign}{size}"


def flat(fields: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        if isinstance(value, list):
            for entry in value:
                yield name, " ".join(f"{k}={v}" for k, v in entry.items()) if isinstance(entry, dict) else str(entry)
        else:
            yield name, str(value)
