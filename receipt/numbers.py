"""Numbers as receipts print them: 1,234.56  1.234,56  1 234,56  RM12.00  12.00-  (4.50)  3x  0,73  19%. Pure.

Amounts are integers in ten-thousandths of the currency's unit, so that 1.644 a litre and 12.00 add up without rounding.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

SCALE: Final = 10_000

_DIGITS = re.compile(r"\d+(?:[.,'][ ]?\d+)*")
_SPACED = re.compile(r"\d{1,3}(?:[ \u00a0]\d{3})+(?:[.,]\d{2})(?!\d)")
_MAYBE_SPACED = re.compile(r"\d[ \u00a0]\d{3}[.,]\d\d")
_BEFORE = re.compile(
    r"([-+(]?)\s?(us\$|nt\$|hk\$|r\$|s\$|a\$|c\$|[$€£¥￥₩₽₺₹₫฿₱₴]|(?<![a-z])(?:rm|rp|eur|usd|tl|chf|kr|myr|idr|aed|sar|thb|php|mxn|nzd|aud|cad|brl|zar|pln|czk|huf|dkk|sek|nok|try|rub|vnd|twd|rmb|ntd|nt|hkd|sgd|gbp|jpy|krw|cny|inr|rs|r))?[.:]?\s{0,3}([-(]?)$"
)
_AFTER = re.compile(
    r"\s?(%|€|¥|￥|₽|₺|円|元|원|zł|руб|р(?![^\W\d_])|eur(?:o|os)?(?![a-z])|usd|tl(?![a-z])|chf|zl(?![a-z])|kc(?![a-z])|[^\W\d_]{1,4}|/)?"
)
_MARK_ENDS: Final = frozenset("$€¥￥£₩₽₺₹₫฿₱₴-+(.:mpdlfrykbnts")  # what signs and currency marks end with
_CURRENCY_AFTER: Final = frozenset(
    (
        "€",
        "¥",
        "￥",
        "₽",
        "₺",
        "円",
        "元",
        "원",
        "zł",
        "zl",
        "руб",
        "р",
        "eur",
        "euro",
        "euros",
        "usd",
        "tl",
        "chf",
        "kc",
    )
)


@dataclass(slots=True)
class Num:
    """One number of a line."""

    start: int
    end: int
    raw: str
    value: int = 0  # ten-thousandths, without sign
    places: int = 0  # digits after the decimal sign
    negative: bool = False
    symbol: str = ""  # currency printed beside it
    percent: bool = False
    unit: str = ""  # letters right behind it ("kg", "x", "b")
    glued: bool = False  # letters or signs right before or behind it: rather a code than an amount

    @property
    def signed(self) -> int:
        return -self.value if self.negative else self.value

    @property
    def whole(self) -> bool:
        """An integer without any sign in it: a quantity, a number, or an amount of a currency without cents."""
        return self.raw.isdigit()


def scan(folded: str, taken: Iterable[tuple[int, int]] = ()) -> list[Num]:
    """The numbers of a folded line that do not lie in `taken` (its dates and times). Values come later, by
    `measure`.
    """
    found: list[Num] = []
    spans = list(taken)
    length = len(folded)
    joined = {m.start(): m for m in _SPACED.finditer(folded)} if _MAYBE_SPACED.search(folded) else {}
    skip_to = 0
    for match in _DIGITS.finditer(folded):
        start, end = match.span()
        if start < skip_to or (spans and any(start < e and s < end for s, e in spans)):
            continue
        raw = match.group()
        spaced = joined.get(start)
        if spaced is not None and (start == 0 or folded[start - 1] == " "):
            others = folded[:start].strip()
            if len(others) != 0 and not others[-1].isdigit():
                end = skip_to = spaced.end()
                raw = spaced.group().replace(" ", "").replace("\u00a0", "")
        if " " in raw:  # "12. 50": an OCR or a proportional column; only money is written so
            head, tail = raw.rsplit(" ", 1)
            if not (len(tail) == 2 and head.count(" ") == 0):
                # not one number: keep the first part, the rest comes as its own by rescanning
                first = raw.split(" ", 1)[0].rstrip(".,'")
                for piece in _plain(folded, start, end):
                    found.append(_dress(folded, length, *piece))
                del first
                continue
            raw = raw.replace(" ", "")
        found.append(_dress(folded, length, start, end, raw))
    return found


_PLAIN = re.compile(r"\d+(?:[.,']\d+)*")


def _plain(folded: str, start: int, end: int) -> list[tuple[int, int, str]]:
    return [(m.start(), m.end(), m.group()) for m in _PLAIN.finditer(folded, start, end)]


def _dress(folded: str, length: int, start: int, end: int, raw: str) -> Num:
    if (
        start
        and folded[start - 1] == "."
        and raw.isdigit()
        and len(raw) == 2
        and (start < 2 or folded[start - 2] in " -+(")
    ):
        start, raw = start - 1, "0." + raw  # ".02"
    num = Num(start, end, raw)
    if start:
        before = folded[start - 1]
        if before != " " or (start > 1 and folded[start - 2] != " " and folded[start - 2] in _MARK_ENDS):
            match = _BEFORE.search(folded, max(0, start - 9), start)
            if match is not None:
                sign, symbol, inner = match.groups()
                num.symbol = symbol or ""
                if symbol == "r" and before == " ":
                    num.symbol = ""
                if sign == "-" or inner == "-" or ((sign == "(" or inner == "(") and folded[end : end + 1] == ")"):
                    at = match.start()
                    if sign == "-" and at > 0 and folded[at - 1].isalnum():
                        num.glued = not symbol
                    else:
                        num.negative = True
            if (
                (not num.symbol and ((before.isalpha() and before not in "x@") or before in "#/:_\\"))
                or before == "."
                or (before == "*" and start > 1 and folded[start - 2] == "*")
            ):
                # a letter alone before cents is the sign of some currency: "E99.33", "R 12.50"
                sign = before.isalpha() and raw[-3:-2] in (".", ",") and (start < 2 or folded[start - 2] == " ")
                num.glued = not sign
        elif "$" in folded or "€" in folded or "¥" in folded:
            match = _BEFORE.search(folded, max(0, start - 9), start)
            if match is not None and match.group(2):
                num.symbol = match.group(2)
    if end < length:
        after = folded[end]
        if after == " " and (end + 1 >= length or folded[end + 1] == " "):
            return num
        if after == "-" and (end + 1 >= length or folded[end + 1] in " \te€"):
            num.negative = True
        elif after in '/"”' or (after in ":-" and folded[end + 1 : end + 2].isdigit()):
            num.glued = True
        found = _AFTER.match(folded, end)
        if found is not None and found.group(1):
            unit = found.group(1)
            if unit == "%":
                num.percent = True
            elif unit in _CURRENCY_AFTER:
                num.symbol = num.symbol or unit
            elif unit != "/" and found.end() <= length and not folded[found.end() : found.end() + 1].isalpha():
                num.unit = unit
                if after != " " and not unit.isalpha():
                    num.glued = True
            elif after != " " and unit != "/":
                num.glued = True
    return num


def decimal_sign(numbers: Iterable[str]) -> tuple[str, bool]:
    """(the decimal sign of a receipt, whether its amounts have decimals at all), by its numbers as printed."""
    point = comma = groups_point = groups_comma = 0
    for raw in numbers:
        size = len(raw)
        if size > 3 and raw[-3] == "." and raw[-2:].isdigit():
            point += 1
        elif size > 3 and raw[-3] == "," and raw[-2:].isdigit():
            comma += 1
        elif size > 4 and raw[-4] == "." and raw[0] != "0":
            groups_point += 1
        elif size > 4 and raw[-4] == "," and raw[0] != "0":
            groups_comma += 1
    if point or comma:
        sign = "." if point >= comma else ","
        return sign, (point + comma) * 2 > groups_point + groups_comma
    return (".", False) if groups_comma >= groups_point else (",", False)


def measure(num: Num, sign: str, decimals: bool) -> None:
    """Give a number its value, now that the receipt's decimal sign is known."""
    raw = num.raw
    if raw.isdigit():
        num.value, num.places = int(raw[:15]) * SCALE, 0
        return
    place = max(raw.rfind("."), raw.rfind(","))
    if place < 0:  # 1'234
        num.value, num.places = int(raw.replace("'", "")[:15]) * SCALE, 0
        return
    tail = raw[place + 1 :]
    last = raw[place]
    head = raw[:place]
    group = len(tail) == 3 and last not in head.replace(last, "", 0)[:0]
    whole = head.replace(".", "").replace(",", "").replace("'", "")
    several = last in head
    other = ("." if last == "," else ",") in head
    if several and len(tail) == 3:
        fraction = ""
    elif several:  # 1.234.56 or a code such as 1.2.3
        fraction = tail if len(tail) <= 2 else ""
    elif other:
        fraction = tail
    elif group and decimals and last == sign:
        fraction = tail  # 1.644 with a decimal point
    elif group and not whole.startswith("0") and len(whole) <= 3:
        fraction = ""
    else:
        fraction = tail
    fraction = fraction.replace("'", "")  # 1.03'4
    digits = (fraction + "0000")[:4]
    if fraction:
        num.value, num.places = int(whole[:15]) * SCALE + int(digits), len(fraction)
    else:
        num.value, num.places = int((whole + tail).replace("'", "")[:15]) * SCALE, 0
