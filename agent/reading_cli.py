"""What `tillwire read` shows: captured streams, job by job, as text, JSON or pictures."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import receipt
from receipt.commands import UNKNOWN
from receipt.extract import Copies
from receipt.model import Receipt, minor_digits
from receipt.split import pieces
from receipt.tokens import Scanner

if TYPE_CHECKING:
    from receipt import Reading

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
MOST_UNKNOWN = 20  # kinds of unknown bytes that the text form lists
_SPLITTING = str.maketrans({point: f"\\u{point:04x}" for point in (0x85, 0x2028, 0x2029)})


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
        """An object for each receipt in it, told apart by `part`; one with an empty receipt where there is none."""
        base: dict[str, Any] = {
            "file": self.file,
            "job": self.number,
            "start": self.start,
            "end": self.end,
            "boundary": self.boundary,
            "kind": "other",
            "lines": [line.text for line in self.reading.lines if line.kind == "text"],
            "raster_only": self.reading.raster_only,
            "unknown": self.reading.unknown,
            "receipt": {},
            "confidence": {},
        }
        found = []
        for part, value in enumerate(self.reading.receipts):
            one = base | {"kind": str(value.kind), "receipt": fields_of(value), "confidence": confidence_of(value)}
            if len(self.reading.receipts) > 1:
                one["part"] = part
            found.append(one)
        return found or [base]

    def as_text(self, explain: bool) -> str:
        from receipt.picture import as_text

        reading = self.reading
        out = [f"--- {self.file} job {self.number} bytes {self.start}..{self.end} ended by {self.boundary}"]
        out.append(as_text(reading.lines).rstrip("\n"))
        if reading.raster_only:
            out.append("[a picture, no text: --png shows it]")
        if reading.unknown:
            out.append(f"[unknown: {reading.unknown}]")
            out += [f"  {shown}" for shown in unknown_in(self.raw, self.start)]
        for value in reading.receipts:
            out.append(f"=== {value.kind}")
            confidence = confidence_of(value)
            for name, text in flat(fields_of(value)):
                sure = f"{confidence[name]:.2f}" if name in confidence else ""
                out.append(f"{name:18} {sure:4} {text}")
            if explain:
                out.append("=== why")
                out += (f"  {shown}" for shown in explained(value, reading))
        return "\n".join(out)

    def as_png(self) -> bytes:
        from receipt.picture import as_png

        return as_png(self.reading.lines)


def show(files: Iterable[Path], *, as_json: bool, png: Path | None, explain: bool) -> int:
    """Read the files, one after the other, and write what they say to stdout.

    Gives   the exit code: 1 where a file could not be read, or a picture not be written; the others are read all the
            same, and the reason stands on stderr.
    Raises  BrokenPipeError where nobody reads stdout any more.
    """
    out, code, pictures = sys.stdout.buffer, 0, 0
    gc.set_threshold(20_000, 20, 20)  # thousands of files: what one leaves behind is no cycle, looking for them costs
    for file in files:
        try:
            stream = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        except OSError as error:
            hint = "name the files in it" if file.is_dir() else "is the name right, and may you read it?"
            print(f"tillwire read {file}: {error.strerror or error}; {hint}", file=sys.stderr)
            code = 1
            continue
        for job in jobs_of(str(file), stream):
            if as_json:
                shown = "\n".join(as_line(value) for value in job.as_json())
            else:
                shown = job.as_text(explain)
            out.write(shown.encode("utf-8", "backslashreplace") + b"\n")
            if png is not None:
                target = png.with_stem(f"{png.stem}-{pictures}") if pictures else png
                pictures += 1
                try:
                    target.write_bytes(job.as_png())
                except (OSError, ImportError) as error:
                    print(f"tillwire read --png {target}: {error}", file=sys.stderr)
                    return 1
                print(f"picture: {target}", file=sys.stderr)
    out.flush()
    return code


def as_line(value: dict[str, Any]) -> str:
    """One line of JSON, also for readers that count other characters than LF as the end of a line."""
    return json.dumps(value, ensure_ascii=False).translate(_SPLITTING)


def jobs_of(file: str, stream: bytes) -> Iterator[Job]:
    """The jobs of a captured stream; where it ends without a cut, the last one was ended by its close."""
    copies = Copies()
    for number, (start, end, boundary) in enumerate(pieces(stream)):
        raw = stream[start:end]
        reading = receipt.read(raw)
        reading = replace(reading, receipts=copies.link(reading.receipts))
        yield Job(file, number, start, end, boundary, raw, reading)


def fields_of(value: Receipt) -> dict[str, Any]:
    """The fields that were found, amounts as decimal texts."""
    digits = minor_digits(value.currency)
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
    if "payment_method" in value.findings:
        out["payment_method"] = value.findings["payment_method"].value
    elif value.tenders:
        out["payment_method"] = str(value.tenders[0].method)
    if value.tenders:
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


def confidence_of(value: Receipt) -> dict[str, float]:
    """How surely each field was found, by its name in the JSON form."""
    return {FIELDS.get(name, name): round(finding.confidence, 3) for name, finding in value.findings.items()}


def explained(value: Receipt, reading: Reading) -> Iterator[str]:
    """Each finding: what, on which line, how surely, by which rule."""
    for name, finding in sorted(value.findings.items(), key=lambda pair: (pair[1].line, pair[0])):
        text = reading.lines[finding.line].text.strip() if finding.line < len(reading.lines) else ""
        yield (
            f"{FIELDS.get(name, name)} = {finding.value!r}: line {finding.line} {text!r},"
            f" confidence {finding.confidence:.2f}, rule {finding.rule or name}"
        )


def unknown_in(raw: bytes, base: int = 0) -> list[str]:
    """The bytes that no command explains, each kind once: in hex, how often, and where first (`base` is added)."""
    seen: dict[bytes, list[int]] = {}
    scanner = Scanner()
    marks = scanner.feed(raw)
    for command, start, end in marks:
        if command is UNKNOWN:
            seen.setdefault(raw[start:end], []).append(base + start)
    shown = [
        f"{data.hex(' ')} at byte {places[0]}" + (f" and {len(places) - 1} times more" if len(places) > 1 else "")
        for data, places in list(seen.items())[:MOST_UNKNOWN]
    ]
    if len(seen) > MOST_UNKNOWN:
        shown.append(f"and {len(seen) - MOST_UNKNOWN} other kinds")
    if not scanner.at_boundary:
        last = scanner.head_start if scanner.head_start < len(raw) or not marks else marks[-1].start
        shown.append(f"{raw[last : last + 8].hex(' ')} at byte {base + last} is cut short")
    return shown


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
