"""Phone numbers as they are compared: E.164 without its plus, so that a receipt, an order and a CRM mean one person.

A number that names no country is the shop's: its country, or that of its time zone. What cannot be such a number is
compared by its digits.
"""

from __future__ import annotations

import re
import zoneinfo
from functools import cache
from pathlib import Path

MASKED = re.compile(r"[*•…●]|[xX]{2}")
COUNTRY = re.compile(r"^[A-Z]{2}$")


def folded(text: str | None, country: str = "") -> str:
    """ "" for what is no number, or one that is partly hidden.

    >>> folded("0660 123 45 67", "AT"), folded("+43 (0)660 1234567"), folded("0043 660 1234567", "DE")
    ('436601234567', '436601234567', '436601234567')
    >>> folded("138****5678", "CN"), folded("12"), folded("0660 1234567")
    ('', '', '6601234567')
    """
    text = (text or "").strip()[:60]
    plain = re.sub(r"\D", "", text)
    if MASKED.search(text) or len(plain) < 6:
        return ""
    return _e164(text, country) or (plain.lstrip("0") if 6 <= len(plain.lstrip("0")) <= 15 else "")


def again(value: str, country: str) -> str:
    """A number that was folded before, when its country was not known."""
    return _e164(f"+{value}", "", surely=True) or _e164(value, country, surely=True) or value


def _e164(text: str, country: str, surely: bool = False) -> str:
    import phonenumbers  # only where there is a number: its tables cost a tenth of a second

    try:
        number = phonenumbers.parse(text, country if COUNTRY.match(country) else None)
    except phonenumbers.NumberParseException:
        return ""
    fine = phonenumbers.is_valid_number if surely else phonenumbers.is_possible_number
    return f"{number.country_code}{phonenumbers.national_significant_number(number)}" if fine(number) else ""


@cache
def _of_zones() -> dict[str, str]:
    """Time zone -> country, from the system's zone.tab; nothing where it has none."""
    for folder in zoneinfo.TZPATH:
        file = Path(folder, "zone.tab")
        if file.is_file():
            rows = (line.split("\t") for line in file.read_text("utf-8").splitlines() if not line.startswith("#"))
            return {row[2]: row[0] for row in rows if len(row) > 2}
    return {}


def country_of(zone: str) -> str:
    """
    >>> country_of("Europe/Vienna"), country_of("UTC")
    ('AT', '')
    """
    return _of_zones().get(zone, "")


def countries() -> list[str]:
    """Those that have a code to dial."""
    import phonenumbers

    return sorted(phonenumbers.SUPPORTED_REGIONS)
