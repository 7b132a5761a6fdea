"""What templates do to values."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from markupsafe import Markup, escape

from cloud import words
from cloud.api.shapes import iso
from receipt.model import minor_digits


def columns(text: str) -> int:
    """How wide the paper is, in characters: the class w32 … w64 of the style sheet sizes its letters by it."""
    widest = max((sum(2 if ord(c) > 0x2E7F else 1 for c in line) for line in text.split("\n")), default=0)
    return next((width for width in (32, 36, 42, 48, 56) if widest <= width), 64)


def tidy(text: str) -> Markup:
    """For a small strip: no more than one empty line in a row, none at the ends. A wide letter takes two columns of the
    paper whatever the font makes of it, so that what stands to its right stays in its column."""
    short = re.sub(r"\n(?:[ \t]*\n){2,}", "\n\n", text).strip("\n")
    return Markup(re.sub(r"[\u2e80-\uffef]", r"<i>\g<0></i>", str(escape(short))))


def clock(text: str | None) -> str:
    """2026-11-22T09:30:12.000Z -> 09:30. The page's script turns it into the reader's own time."""
    return text[11:16] if text else ""


def moment(ms: int | None) -> str:
    """ms since 1970 -> 2026-11-22 09:30 UTC."""
    return f"{(iso(ms) or '')[:16].replace('T', ' ')} UTC" if ms else ""


def when(text: str) -> str:
    """2026-11-22T09:30:12, the shop's own clock -> as it is read."""
    return text[:16].replace("T", " ")


def plain(amount: int | None, currency: str | None) -> str:
    """Minor units -> as it is typed: no sign, no grouping."""
    if amount is None:
        return ""
    digits = minor_digits(currency)
    return f"{amount / 10**digits:.{digits}f}"


def size(count: int) -> str:
    """
    >>> size(3_400_000_000), size(52_000_000)
    ('3.4 GB', '52 MB')
    """
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def query(values: dict[str, str]) -> str:
    """A search as part of an address; "-" stands for empty."""
    return urlencode({name: value or "-" for name, value in values.items()})


def without(values: dict[str, str], name: str) -> str:
    return query({key: value for key, value in values.items() if key != name})


def also(values: dict[str, str], name: str, value: str) -> str:
    return query(values | {name: value})


FILTERS = {
    "when": when,
    "bytes": size,
    "plain": plain,
    "query": query,
    "without": without,
    "also": also,
    "iso": iso,
    "moment": moment,
    "money": words.money,
    "clock": clock,
    "columns": columns,
    "tidy": tidy,
}
