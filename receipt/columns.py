"""One line of the item list taken apart: name, quantity, unit price, amount. Pure.

The amount is the money on the right; numbers before it that multiply to it are quantity and unit price. A number
that nothing
proves (one alone before the amount, or one before the name) is a guess that the whole list confirms or not.
"""

from __future__ import annotations

import re
from typing import Final

from receipt import words as w
from receipt.numbers import SCALE, Num
from receipt.page import Page, Row
from receipt.parts import Parts

UNITS: Final = frozenset(
    [
        "kg",
        "kgs",
        "g",
        "gr",
        "gm",
        "lb",
        "lbs",
        "oz",
        "l",
        "lt",
        "ltr",
        "lit",
        "ml",
        "pcs",
        "pc",
        "pce",
        "st",
        "stk",
        "stuck",
        "pz",
        "un",
        "uni",
        "ud",
        "uds",
        "unid",
        "each",
        "ea",
        "шт",
        "кг",
        "л",
        "ad",
        "adet",
        "km",
        "gal",
        "m",
        "cl",
        "pk",
        "btl",
        "kl",
        "psc",
        "piece",
        "unit",
        "units",
        "nos",
        "no",
        "ctn",
        "box",
        "个",
        "個",
        "份",
        "件",
        "杯",
        "瓶",
        "개",
        "点",
        "コ",
        "本",
        "枚",
        "斤",
        "袋",
        "包",
        "盒",
        "碗",
        "kilos",
        "公斤",
        "kgm",
        "und",
        "portion",
        "pkt",
        "pkts",
        "pack",
        "packet",
        "kotak",
        "bungkus",
        "tin",
        "can",
        "set",
        "pair",
        "dz",
        "doz",
        "roll",
        "bot",
        "btls",
        "upak",
        "уп",
        "порц",
        "τεμ",
        "τμχ",
        "tem",
        "tmx",
    ]
)
_HEADS: Final = w.COL_NAME | w.COL_QTY | w.COL_PRICE | w.COL_AMOUNT
_BETWEEN: Final = frozenset(
    ("at", "x", "a", "for", "eur", "rm", "rp", "nt", "€", "by", "w", "euro", "usd", "rs", "tl", "only")
)
_TIMED = frozenset("x*@×")  # between how many and what one costs
_JOIN = " \tx*@×=/.,|:$€¥￥£+()[]-~"
_CODE = re.compile(r"^\s*[*#]?\s*((?=[A-Z\d.\-/]*\d{3})[A-Z]{0,4}[\d.\-/]{4,18}[A-Z]?)\s+(?=\S)")
_EDGE = re.compile(r"^[\s*#\-.>+:|/]+|[\s*#:\-=.@|/(]+$")
_LEAD = re.compile(
    r"\s*[*\-]?\s*(?:(\d{1,3}(?:[.,]\d{1,3})?)\s?(?:x|\*|pcs|pc|stk|@|份|个|個|点|개|-|\))?\.?\s+|x\s?(\d{1,3})\s+|(\d{1,3})\s?x\s*)(?=\S)"
)
_MARK = re.compile(r"[x*]")  # says that the number beside it counts
_RATE_COLUMN = re.compile(r"\s{2,}\(?%?\d{1,2}(?:[.,]\d{1,2})?\s?%?\)?\s*\*?\s*$")
_TIMES = re.compile(
    r"(?<![\d.,])(\d+(?:[.,]\d+)?)\s?([^\W\d_]{1,5}\.?)?\s?[x*@]\s{0,12}(?:(?:"
    r"us|nt|hk|rm|rp|eur|euro|usd|tl|chf|kr|rs|myr|idr|aed|sar|thb|php|sgd|hkd|twd|zl|zł|kc|ft|lei|руб|р|単価|単|各|单价|单|單價|單|단가|[rsac])?"
    r"[.]?[$€¥￥£₩₽₺₹]?\s?)(\d[\d.,]*)(?![x*]\d)"
)
_AT_PRICE = re.compile(r"@\s{0,6}(?:rm|rp|\$|€|¥)?\s?(\d[\d.,]*)")


def take_apart(row: Row, page: Page) -> Parts:
    """The parts of a line."""
    parts = Parts()
    nums = [num for num in row.nums if not num.percent]
    text, folded = row.text, row.folded
    first, cut = 0, len(text)
    columns: list[Num] = []
    money = _amount(row, nums, page)
    if money is not None:
        parts.amount = money.signed
        if any(char.isalpha() for char in folded[: money.start].strip(_JOIN)) or _letters(folded[money.end :]) <= 4:
            cut = money.start
        else:
            first = money.end
        before = (
            [num for num in nums if num.end <= money.start]
            if not first
            else [num for num in nums if num.start > money.end]
        )
        if first:
            _behind(parts, before, folded)
        else:
            columns = _contiguous(before, cut, folded)
            used = _columns(parts, columns, money, page, folded)
            if used:
                cut = min(num.start for num in used)
                for num in used:
                    if num.unit.rstrip(".") in UNITS and num.value == parts.quantity:
                        parts.unit = num.unit.rstrip(".")
    if parts.quantity is None and parts.price is None:
        match = _TIMES.search(folded[:cut] if money is not None else folded)
        if match is not None:
            one = next((num for num in nums if num.start == match.start(1)), None)
            two = next((num for num in nums if num.start <= match.start(3) < num.end), None)
            proved = money is None or (one is not None and two is not None and _multiply(one, two, money))
            if money is None and two is not None and two.whole and page.decimals and not two.symbol:
                proved = False  # "CURTAIN 140X100"
            if one is not None and two is not None and two is not money and not one.percent and proved:
                parts.quantity, parts.price = one.value, two.value
                unit = (match.group(2) or "").rstrip(".")
                parts.unit = unit if unit in UNITS else None
                cut = (
                    match.start()
                    if _letters(folded[: match.start()]) >= 2 or _letters(folded[match.end() : cut]) < 3
                    else cut
                )
        elif money is None and (at := _AT_PRICE.search(folded)) is not None:
            price = next((num for num in nums if num.start == at.start(1)), None)
            if price is not None:
                parts.price = price.value
                cut = at.start()
    # a currency's letters at the end of the name belong to the amount
    name = text[first:cut]
    if "   " in name:
        name = _RATE_COLUMN.sub("", _without_heads(name, first, row, page))
    name = _trim(name, folded[first:cut])
    parts.code, name = _code(name)
    if not _says(name):
        mark = _MARKED.match(name.lower())
        if mark is not None and parts.quantity is None:
            parts.quantity = _ten_thousandths(mark.group(1))
            name = name[mark.end() :].strip()
        if name and parts.code is None and any(char.isdigit() for char in name):
            parts.code = name
        parts.name = ""
        if parts.each and parts.price is None and parts.amount is not None and parts.quantity != SCALE:
            parts.price, parts.amount = abs(parts.amount), None  # "3 x 4.50" alone: what one costs
        return parts
    parts.name = name
    lead = _LEAD.match(name.lower())
    if lead is not None:
        value = _ten_thousandths(lead.group(1) or lead.group(2) or lead.group(3))
        rest = name[lead.end() :]
        if 0 < value < 1000 * SCALE and _letters(rest) and value and (name[0] != "0" or name[1:2] in (".", ",")):
            parts.lead, parts.lead_name = value, _EDGE.sub("", rest)
            for num in columns if money is not None and parts.quantity is None else ():
                if money is not None and num.value and abs(num.value * value // SCALE - money.value) <= 150:
                    parts.quantity, parts.price, parts.weak = value, num.value, None
                    name = _trim(text[first : num.start], folded[first : num.start])
                    again = _LEAD.match(name.lower())
                    parts.name = parts.lead_name = _EDGE.sub("", name[again.end() :] if again else name)
                    return parts
            if parts.quantity is None and parts.weak is None and money is not None and _MARK.search(lead.group()):
                parts.quantity, parts.name = value, parts.lead_name  # "2 x TEA  4.00": the sign says it
                return parts
    if parts.weak is not None:
        parts.weak_name = name
        parts.name = name
    return parts


_MARKED = re.compile(r"\s*(\d{1,3}(?:[.,]\d{1,3})?)\s?(?:x|pcs?|units?|nos|ea|un|stk|pz)\b\.?")


def _says(name: str) -> bool:
    """Whether there are words in a name, and not only numbers, units and signs."""
    for word in re.findall(r"[^\W\d_]+", name.lower()):
        if word not in UNITS and word not in _BETWEEN and (len(word) > 1 or word > "\u3000"):
            return True
    return False


def leading(row: Row) -> tuple[int, str] | None:
    """(quantity, name) of a line that begins with a number."""
    lead = _LEAD.match(row.folded)
    if lead is None or _letters(row.folded[lead.end() :]) < 1 or row.folded.lstrip().startswith("0"):
        return None
    value = _ten_thousandths(lead.group(1) or lead.group(2) or lead.group(3))
    return (value, _trim(row.text[lead.end() :], row.folded[lead.end() :])) if value else None


def pair_for(row: Row, amount: int) -> tuple[int, int] | None:
    """(quantity, unit price) of two numbers of a line that multiply to an amount that stands elsewhere."""
    nums = [num for num in row.nums if not num.percent and num.value]
    for place, one in enumerate(nums):
        for other in nums[place + 1 :]:
            if abs(one.value * other.value // SCALE - amount) <= max(150, amount // 300):
                counts = other.places == 2 or one.unit or not one.places or (one.places == 3 and other.places != 3)
                if counts and not (one.places == 2 and other.places == 0):
                    return one.value, other.value
                return other.value, one.value
    return None


def _ten_thousandths(text: str) -> int:
    whole, _, fraction = text.replace(",", ".").partition(".")
    return int(whole) * SCALE + int((fraction + "0000")[:4])


def _multiply(one: Num, two: Num, money: Num) -> bool:
    return abs(one.value * two.value // SCALE - money.value) <= max(150, money.value // 300)


def _letters(text: str) -> int:
    return sum(map(str.isalpha, text))


def _amount(row: Row, nums: list[Num], page: Page) -> Num | None:
    """The number that is the line's amount."""
    folded = row.folded
    for num in reversed(row.amounts):
        at = folded[: num.start].rstrip(" $€¥￥£rmp")
        if at.endswith("@") and num is row.amounts[-1] and len(row.amounts) == 1:
            return None  # a unit price
        if num.places not in (0, 2) and not num.symbol and num is row.amounts[-1] and len(row.amounts) > 1:
            continue
        if num.places > 2 and not num.symbol:
            return None
        tail = folded[num.end :]
        if _letters(tail) <= 5 or (num.places == 2 and (num.start < 3 or _letters(folded[: num.start]) < 2)):
            return num
        if num.places == 2 and _letters(tail) <= 14 and len(row.amounts) >= 1 and num is row.amounts[-1]:
            return num
        return None
    return None


def _contiguous(before: list[Num], cut: int, folded: str) -> list[Num]:
    """The numbers right before the amount, right to left, with nothing but signs and units between them."""
    columns: list[Num] = []
    edge = cut
    for num in reversed(before):
        between = folded[num.end : edge].strip(_JOIN)
        if between and not (between in UNITS or between.rstrip(".") in UNITS or between in _BETWEEN):
            pieces = between.replace("/", " ").split()
            if not all(piece.strip(_JOIN) in UNITS or piece.strip(_JOIN) in _BETWEEN for piece in pieces):
                break
        if num.start and folded[num.start - 1].isalpha() and folded[num.start - 1] not in "x@" and not num.symbol:
            break
        if num.start and folded[num.start - 1] in "-/(#" and num.whole and not num.symbol:
            break
        columns.append(num)
        edge = num.start
        if len(columns) == 4:
            break
    return columns


def _columns(parts: Parts, columns: list[Num], money: Num, page: Page, folded: str) -> list[Num]:
    """Find quantity and unit price among the numbers before the amount; give the numbers that were used."""
    amount = money.value
    for i, one in enumerate(columns):
        for j in range(i + 1, len(columns)):
            other = columns[j]
            if not one.value or not other.value:
                continue
            if _multiply(one, other, money):
                price_first = (
                    (other.places == 2 and one.places != 2)
                    or (not page.decimals and other.value > one.value)  # fewer pieces than won, yen or dollars each
                    or (one.value == SCALE and other.whole and one.whole and other.value > SCALE)
                    or (one.unit == "x" and other.unit != "x")
                    or (
                        other.value > one.value
                        and one.whole
                        and not other.whole
                        and "x" not in folded[other.end : one.start]
                    )
                )
                parts.price, parts.quantity = (other.value, one.value) if price_first else (one.value, other.value)
                return columns[: j + 1]
    if not columns:
        return []
    for place, one in enumerate(columns[1:], 1):
        if one.value == amount and one.places == money.places == 2 and columns[0].places == 0:
            parts.price = one.value  # "0.70 13 0.70": a tax code between
            return columns[: place + 1]
    first = columns[0]
    if (
        first.value == amount
        and (first.places == money.places or not page.decimals)
        and not (first.whole and page.decimals)
    ):
        parts.price = first.value
        if len(columns) > 1 and columns[1].value == SCALE:
            parts.quantity = SCALE
            return columns[:2]
        return columns[:1]
    attached = first.end < len(folded) and folded[first.end].isalpha()
    if attached and first.unit != "x" and first.unit not in ("pcs", "pc", "stk", "st", "un", "kg", "ea"):
        return []
    if first.whole and 0 < first.value <= 999 * SCALE and first.raw[0] != "0":
        sized = first.start > 1 and folded[first.start - 1] in "x*" and folded[first.start - 2].isdigit()
        if sized:
            return []  # "TEA 4*6"
        timed = first.unit in UNITS and folded[first.end : money.start].strip()[len(first.unit) :].strip()[:1] in _TIMED
        marked = first.unit == "x" or timed or (first.start and folded[first.start - 1] in "x*")
        if first.start == 0 or folded[first.start - 1] in " x*@":
            if marked:
                parts.quantity = first.value
                parts.each = first.unit == "x" or timed
            else:
                parts.weak = first.value
            return [first]
    return []


def _behind(parts: Parts, behind: list[Num], folded: str) -> None:
    """The amount stands left of the name; a quantity may stand right of it."""
    if behind and behind[-1].whole and len(behind[-1].raw) <= 2 and not _letters(folded[behind[-1].end :]):
        parts.weak = behind[-1].value


def _without_heads(name: str, first: int, row: Row, page: Page) -> str:
    """ "SUGAR        RM  CODE": the heads of columns on the right of a name are none of it."""
    heads = w.COL_AMOUNT | w.COL_PRICE | w.COL_QTY | w.COL_NAME | w.COL_TAX
    for start, _, phrase in row.matches:
        if start > first and row.text[start - 3 : start] == "   " and page.meanings[phrase] & heads:
            return name[: start - first]
    return name


def _trim(name: str, folded: str) -> str:
    """Without the letters of a currency at its end."""
    stripped = folded.rstrip(" .:")
    for mark in (" rm", " rp", " eur", "€", "$", "¥", "￥", "£", " usd", " tl", " x"):
        if stripped.endswith(mark):
            name = name[: len(stripped) - len(mark)]
            break
    return " ".join(_EDGE.sub("", name).split())


def _code(name: str) -> tuple[str | None, str]:
    match = _CODE.match(name)
    if match is None:
        digits = name.replace(" ", "")
        if " " not in name and sum(char.isdigit() for char in name) >= 5 and _letters(name) <= 4:
            return name, ""
        if digits.isdigit() and len(digits) >= 4:
            return digits, ""
        return None, name
    rest = name[match.end() :]
    if _letters(rest) < 2:
        return None, name
    return match.group(1), _EDGE.sub("", rest)


def is_head(row: Row, page: Page) -> bool:
    """The heads of the columns: at least two of name, quantity, price, amount, and no money."""
    if row.head is None:
        row.head = len(row.matches) >= 2 and bool(row.mask & _HEADS) and _is_head(row, page)
    return row.head


def _is_head(row: Row, page: Page) -> bool:
    if any(num.places == 2 for num in row.amounts):
        return False
    kinds = 0
    for bit in (w.COL_NAME, w.COL_QTY, w.COL_PRICE, w.COL_AMOUNT):
        kinds += any(page.meanings[phrase] & bit for _, _, phrase in row.matches)
    known = sum(end - start for start, end, _ in row.matches)
    return kinds >= 2 and len(row.matches) >= 2 and len(row.nums) <= 1 and (row.letters - known) * 3 <= row.letters


def is_bare(row: Row) -> bool:
    """Nothing but units of money in a line: "(RM) (RM)" below the heads."""
    return not row.nums and not _letters(re.sub(r"\b(?:rm|rp|eur|usd|gst|myr|excl|incl|qty|tax)\b", "", row.folded))
