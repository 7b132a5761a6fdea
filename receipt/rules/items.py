"""items: what was sold: name, quantity, unit price, amount, discount.

A line with a name and an amount is an item. A line of numbers (2 x 4.50 9.00) belongs to the name above it, or to the item above
it that has the same amount; a line of text alone is the start of a name. Items end where the sums begin.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from receipt import words as w
from receipt.ledger import Ledger
from receipt.numbers import SCALE, Num
from receipt.page import Page, Row

_HEAD = w.COL_NAME | w.COL_QTY | w.COL_PRICE | w.COL_AMOUNT
_ENDS = ("total", "subtotal", "tax", "tender", "change", "rounding", "service", "weak")
_META = w.DATE | w.TIME | w.PHONE | w.FAX | w.FISCAL | w.CASHIER | w.TABLE | w.NUMBER | w.MEMBER | w.COVERS | w.BRANCH
_MARK = re.compile(r"^[\s*#\-.>+]+|[\s*#:\-=.@]+$")


@dataclass(slots=True)
class Draft:
    """An item in the making; amounts in ten-thousandths."""

    name: str
    line: int
    quantity: int | None = None  # ten-thousandths
    unit_price: int | None = None
    amount: int | None = None
    discount: int | None = None
    unit: str | None = None
    code: str | None = None


def _head_row(row: Row, page: Page) -> bool:
    """The heads of the columns: at least two of name, quantity, price, amount, and no money."""
    if row.amounts and any(num.places == 2 for num in row.amounts):
        return False
    kinds = 0
    for bit in (w.COL_NAME, w.COL_QTY, w.COL_PRICE, w.COL_AMOUNT):
        kinds += any(page.meanings[phrase] & bit for _, _, phrase in row.matches)
    return kinds >= 2 and len(row.matches) >= 2 and len(row.nums) <= 1


def read(page: Page, ledger: Ledger) -> list[Draft]:
    rows = page.rows
    start = 0
    for place, row in enumerate(rows):
        if _head_row(row, page):
            start = place + 1
            break
    while start < len(rows) and (_head_row(rows[start], page) or rows[start].rule):
        start += 1
    end = len(rows)
    for place in range(start, len(rows)):
        if (
            ledger.roles[place] in _ENDS
            and (rows[place].amounts or place > start)
            and not _looks_item(rows[place], page, ledger.roles[place])
        ):
            end = place
            break
    drafts: list[Draft] = []
    pending: list[tuple[str, int]] = []
    loose: Draft | None = None  # a quantity line that waits for its name
    for place in range(start, end):
        row = rows[place]
        if row.rule:
            pending = []
            continue
        if (row.dates or row.times) and not row.amounts:
            pending = []
            continue
        name, quantity, price, amount, unit = _parts(row, page)
        if ledger.roles[place] == "discount" or (
            amount is not None and amount < 0 and drafts and row.mask & w.DISCOUNT
        ):
            if drafts and amount is not None:
                drafts[-1].discount = (drafts[-1].discount or 0) + abs(amount)
            continue
        if amount is None and quantity is None:
            if start == 0 and not drafts and (row.mask & _META):
                pending = []
                continue
            if name and not (row.mask & (_META) and row.nums):
                pending.append((name, row.index))
                pending = pending[-2:]
            continue
        if start == 0 and not drafts and row.mask & _META and not any(n.places == 2 for n in row.amounts):
            pending = []
            continue
        if not name:
            previous = drafts[-1] if drafts else None
            if pending and amount is not None:
                drafts.append(
                    Draft(
                        " ".join(text for text, _ in pending[-1:]), pending[-1][1], quantity, price, amount, unit=unit
                    )
                )
                pending = []
            elif previous is not None and previous.amount is not None and not pending:
                _attach(previous, quantity, price, amount, unit)
            elif pending and price is not None:
                value = price if quantity is None else quantity * price // SCALE
                drafts.append(Draft(pending[-1][0], pending[-1][1], quantity, price, value, unit=unit))
                pending = []
            continue
        if amount is None:
            pending.append((name, row.index))
            continue
        drafts.append(Draft(name, row.index, quantity, price, amount, unit=unit))
        pending = []
        loose = None
    del loose
    return drafts


def _looks_item(row: Row, page: Page, role: str) -> bool:
    """A line with a word of the sums in its name ("TAX FREE BREAD 2.00") that is an item all the same."""
    known = sum(end - start for start, end, _ in row.matches)
    return role in ("weak", "service", "tender") and row.letters - known > 8 and bool(row.amounts)


def _attach(previous: Draft, quantity: int | None, price: int | None, amount: int | None, unit: str | None) -> None:
    """A line of numbers below a whole item: how many at which price."""
    if quantity is not None and price is not None and previous.amount is not None:
        if abs(quantity * price // SCALE - previous.amount) <= 200 or amount == previous.amount:
            previous.quantity, previous.unit_price, previous.unit = quantity, price, unit
    elif (
        amount is not None
        and previous.quantity is None
        and previous.amount
        and price is None
        and amount
        and quantity is not None
    ):
        if abs(quantity * amount // SCALE - previous.amount) <= 200:
            previous.quantity, previous.unit_price, previous.unit = quantity, amount, unit


_UNITS = frozenset(
    "kg g gr gm kgs lb lbs oz l lt ltr ml lit stk st stuck pcs pc pce x pz un ud uds шт кг л ad adet kl km each ea pk кол uni 个 個 份 件 杯 瓶 개 点 コ 本 枚 斤".split()
)


def _parts(row: Row, page: Page) -> tuple[str, int | None, int | None, int | None, str | None]:
    """(name, quantity, unit price, amount, unit) of a line."""
    nums = [num for num in row.nums if not num.percent]
    amounts = row.amounts
    if not nums:
        return _name(row.text), None, None, None, None
    folded = row.folded
    amount: int | None = None
    quantity: int | None = None
    price: int | None = None
    unit: str | None = None
    cut = len(folded)
    first = 0
    tail = [num for num in nums]
    money = [num for num in amounts]
    if money:
        last = money[-1]
        # nothing but a tax letter may stand behind the amount
        rest = folded[last.end :]
        if sum(char.isalpha() for char in rest) <= 4 or len(money) > 1:
            amount = last.signed
            cut = last.start
        else:
            amount = last.signed if last.places == 2 else None
            if amount is not None:
                first = last.end
                cut = len(folded)
    before = [num for num in tail if money and num.end <= money[-1].start and amount is not None] if money else tail
    # numbers right before the amount: unit price and quantity
    if amount is not None and cut < len(folded):
        columns: list[Num] = []
        edge = cut
        for num in reversed(before):
            between = folded[num.end : edge].strip(" \tx*@×=/.,rm$€¥￥rp-+()[]")
            if len(between) > 4 or (between and not _between(between)):
                break
            if (
                num.start > 0
                and folded[num.start - 1].isalpha()
                and folded[num.start - 1] not in "x@"
                and not num.symbol
            ):
                break
            columns.append(num)
            edge = num.start
            if len(columns) == 3:
                break
        quantity, price, used = _columns(columns, amount, page, folded)
        if used:
            cut = min(num.start for num in used)
            for num in used:
                if num.unit in _UNITS and num.unit != "x":
                    unit = num.unit
    if quantity is None:
        lead = _leading(row, cut)
        if lead is not None:
            quantity, first = lead
            if amount is not None and quantity and price is None and quantity != SCALE:
                price = None
    if amount is None and nums:
        quantity, price, first2 = _multiple(row, nums)
        if first2 is not None:
            cut = first2
    name = _name(row.text[first:cut])
    return name, quantity, price, amount, unit


def _between(text: str) -> bool:
    return (
        text in _UNITS
        or text.rstrip(".") in _UNITS
        or text in ("each", "at", "ea", "x", "rm", "eur", "a", "@", "nt", "rp", "uds", "for")
    )


def _columns(columns: list[Num], amount: int, page: Page, folded: str) -> tuple[int | None, int | None, list[Num]]:
    """Which of the numbers before the amount (right to left) are unit price and quantity: those that multiply to it."""
    for i, one in enumerate(columns):
        for other in columns[i + 1 :]:
            product = one.value * other.value // SCALE
            if one.value and abs(product - abs(amount)) <= max(150, abs(amount) // 400):
                if (
                    other.places == 2
                    and (one.places == 0 or one.places == 3)
                    or (one.unit == "x" and other.unit != "x")
                ):
                    return one.value, other.value, columns[: columns.index(other) + 1]
                return other.value, one.value, columns[: columns.index(other) + 1]
    if not columns:
        return None, None, []
    first = columns[0]
    if first.value == abs(amount) and (first.places == 2 or not page.decimals):
        if len(columns) > 1 and columns[1].whole and columns[1].value == SCALE:
            return SCALE, first.value, columns[:2]
        return None, first.value, [first]
    if first.whole and len(first.raw) <= 3 and 0 < first.value <= 999 * SCALE and not first.glued:
        if first.start == 0 or folded[first.start - 1] in " x":
            return first.value, None, [first]
    return None, None, []


_LEAD = re.compile(r"\s*[*\-]?\s*(\d{1,3})(?:[.,]0{1,3})?\s?(?:x|\*|pcs|pc|stk|@|份|个|個|点|개)?\.?\s+(?=\S)")
_LEAD_X = re.compile(r"\s*(?:x\s?(\d{1,3})|(\d{1,3})\s?x)\s*(?=\S)")


def _leading(row: Row, cut: int) -> tuple[int, int] | None:
    """A quantity at the left of the name, and where the name begins."""
    match = _LEAD_X.match(row.folded) or _LEAD.match(row.folded)
    if match is None or match.end() >= cut:
        return None
    value = int(match.group(1) or (match.group(2) if match.re is _LEAD_X else "") or 0)
    if not 0 < value < 1000 or (match.group(1) or "1").startswith("0"):
        return None
    if not any(char.isalpha() for char in row.folded[match.end() : cut]):
        return None
    return value * SCALE, match.end()


_TIMES = re.compile(
    r"(\d+(?:[.,]\d+)?)\s?([^\W\d_]{1,4}\.?)?\s?[x*@×]\s{0,4}(?:[^\W\d_$€¥￥]{0,3}[$€¥￥]?\s?)(\d[\d.,]*)"
)


def _multiple(row: Row, nums: list[Num]) -> tuple[int | None, int | None, int | None]:
    """(quantity, unit price, where it starts) of "2 x 4.50" without an amount."""
    match = _TIMES.search(row.folded)
    if match is None:
        return None, None, None
    one = next((num for num in nums if num.start == match.start(1)), None)
    two = next((num for num in nums if num.start == match.start(3)), None)
    if one is None or two is None:
        return None, None, None
    return one.value, two.value, match.start()


def _name(text: str) -> str:
    return re.sub(r"\s{2,}", " ", _MARK.sub("", text)).strip()


def quantity_of(draft: Draft) -> Decimal | None:
    if draft.quantity is None:
        return None
    value = Decimal(draft.quantity) / SCALE
    return value.normalize() if value != value.to_integral_value() else value.quantize(Decimal(1))
