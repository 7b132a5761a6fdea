"""items: what was sold: name, quantity, unit price, amount, discount.

A line with a name and an amount is an item. A line of numbers (2 x 4.50 9.00) belongs to the name above it, or tells
the quantity
of the item above it when it multiplies to that amount; a line of text alone begins a name. Items end where the sums
begin.
"""

from __future__ import annotations

from typing import Final

from receipt import words as w
from receipt.columns import is_bare, is_head, leading, pair_for, take_apart
from receipt.drafts import Draft, decide_quantities, until_the_sum
from receipt.ledger import Ledger
from receipt.model import Finding
from receipt.numbers import SCALE, Num
from receipt.page import Page, Row
from receipt.parts import Parts
from receipt.rules.tax import table_of

_MEASURES: Final = frozenset(("l", "lt", "ltr", "lit", "kg", "л", "кг", "gal", "m3"))
_ENDS: Final = frozenset(("total", "subtotal", "tax", "tender", "change", "rounding", "service", "weak", "tip"))
_META: Final = (
    w.DATE
    | w.TIME
    | w.PHONE
    | w.FAX
    | w.FISCAL
    | w.CASHIER
    | w.TABLE
    | w.NUMBER
    | w.MEMBER
    | w.COVERS
    | w.BRANCH
    | w.GREETING
    | w.NOT_TIME
)


def read(page: Page, ledger: Ledger) -> list[Draft]:
    """The items, in order."""
    if not ledger.money:
        return orders(page)
    start, end = _region(page, ledger)
    drafts = _gather(page, ledger, start, end)
    drafts = until_the_sum(drafts, ledger)
    decide_quantities(drafts, page, ledger)
    _measure(drafts, page)
    return drafts


def _measure(drafts: list[Draft], page: Page) -> None:
    """What was measured stands around its line: "22.73 LITRE PUMP 6", "FUELSAVE 95  50.00", "2.200 RM / LITRE"."""
    places = {row.index: place for place, row in enumerate(page.rows)}
    taken = {draft.line for draft in drafts}
    for draft in drafts:
        if draft.quantity not in (None, SCALE) or not draft.amount:
            continue
        place = places[draft.line]
        around = [
            row for row in page.rows[max(0, place - 1) : place + 3] if row.index == draft.line or row.index not in taken
        ]
        if not any(
            row.mask & (w.UNIT_L | w.UNIT_KG) or any(num.unit in _MEASURES for num in row.nums) for row in around
        ):
            continue
        nums = [num for row in around for num in row.nums if num.places >= 2 and num.value and not num.percent]
        found = next(
            (
                (one, two)
                for at, one in enumerate(nums)
                for two in nums[at + 1 :]
                if abs(one.value * two.value // SCALE - draft.amount) <= max(150, draft.amount // 1000)
                and SCALE not in (one.value, two.value)
            ),
            None,
        )
        if found is not None:
            many, each = sorted(found, key=_is_price)
            draft.quantity, draft.unit_price = many.value, each.value


def _is_price(num: Num) -> tuple[bool, bool, bool]:
    """Whether a number is more likely what a litre costs than how many there are."""
    return num.unit not in _MEASURES, bool(num.symbol), num.places == 3


def orders(page: Page) -> list[Draft]:
    """What a kitchen is to cook: lines of a number and a name, on paper without money."""
    drafts: list[Draft] = []
    for row in page.rows:
        if row.rule or row.dates or row.times or _is_meta(row, page):
            continue
        lead = leading(row)
        if lead is not None and lead[0] <= 99 * SCALE:
            drafts.append(Draft(lead[1], row.index, lead[0]))
    return drafts


def _region(page: Page, ledger: Ledger) -> tuple[int, int]:
    """First row of the list, and the first behind it."""
    rows = page.rows
    entries = {entry.row: entry for entry in ledger.entries}
    last_sum = max((e.row for e in ledger.entries if e.role in ("total", "subtotal", "tender")), default=len(rows))
    last_subtotal = max((e.row for e in ledger.entries if e.role == "subtotal"), default=0)
    start = 0
    for place, row in enumerate(rows[: last_sum + 1]):
        if is_head(row, page):
            start = place + 1
            break
        if sum(1 for r in rows[:place] if r.amounts and r.amounts[-1].places == 2) > 3:
            break
    while start < len(rows) and (is_head(rows[start], page) or rows[start].rule or (start and is_bare(rows[start]))):
        start += 1
    taxed = {line for _, _, _, line in table_of(page)}
    for place in range(start, len(rows)):
        if rows[place].index in taxed and place > start and not _has_name(rows[place]):
            return start, place
        entry = entries.get(place)
        if (
            entry is None
            or entry.role not in _ENDS
            or _is_item_all_the_same(rows[place], page, entry.role, entry.words)
        ):
            continue
        if (place == start and start == 0) or (entry.role == "service" and place < last_subtotal):
            continue
        if entry.role in ("service", "tip") and _items_follow(ledger, place):
            continue  # what is asked for a seat stands among what was eaten
        return start, place
    return start, len(rows)


def _items_follow(ledger: Ledger, place: int) -> bool:
    """Whether a name with an amount stands between this line and the next sum."""
    for row, role in zip(ledger.page.rows[place + 1 :], ledger.roles[place + 1 :], strict=True):
        if role in ("total", "subtotal", "tax", "tender"):
            return False
        if not role and row.amounts and row.letters > 3:
            return True
    return False


def _has_name(row: Row) -> bool:
    """Whether a line says more than a tax table does."""
    return row.letters > 10


def _is_item_all_the_same(row: Row, page: Page, role: str, words: int) -> bool:
    """A line with a word of the sums in an item's name ("CREDIT CARD HOLDER BLACK 2.00")."""
    return role in ("weak", "service", "tender", "tax") and words > 7 and row.letters > 2 * (row.letters - words)


def _gather(page: Page, ledger: Ledger, start: int, end: int) -> list[Draft]:
    rows = page.rows
    drafts: list[Draft] = []
    pending: list[tuple[str, int, Parts]] = []
    headed = start > 0
    across = max((len(row.text) for row in rows), default=0)  # columns that the paper is used for
    loose: Parts | None = None  # "2 x 4.50" above the item that it belongs to
    below = _names_below(page, ledger, start, end)
    for place in range(start, end):
        row = rows[place]
        if row.rule:
            pending = []
            continue
        if (row.dates or any(hit.clear for hit in row.times)) and not (row.amounts and headed):
            pending = []
            continue
        if row.mask & w.COUNT and (
            ledger.roles[place] == "count"
            or (row.nums and _spare(row) <= 6 and _counts(row, page))
            or (_spare(row) <= 2 and len(row.nums) < 2)
        ):
            pending = []
            continue
        parts = _parts(row, page)
        previous = drafts[-1] if drafts else None
        if (ledger.roles[place] == "discount" and row.amounts) or (
            parts.amount is not None
            and parts.amount < 0
            and previous is not None
            and (row.mask & (w.DISCOUNT | w.SAVED) or any(num.percent for num in row.nums))
        ):
            if previous is not None and parts.amount is not None:
                previous.discount = (previous.discount or 0) + abs(parts.amount)
            continue
        money = bool(parts.name and parts.amount and row.amounts[-1].places == 2)
        if not headed and not drafts and _is_meta(row, page, money):
            pending = []
            continue
        if below and parts.name and parts.amount is None:
            if previous is None:
                continue
            if not previous.name:
                previous.name, previous.line = parts.name, row.index
            continue
        beside = bool(pending) and pending[-1][1] == row.index - 1  # the line above is text alone
        if parts.name and beside and parts.amount is not None and _is_code(parts):
            parts.code, parts.name = parts.name, ""
        if parts.name:
            if parts.amount is not None:
                if not parts.amount and not page.decimals:
                    continue  # "ICE LESS 0": how the item above is wanted
                draft = _draft(parts.name, row.index, parts)
                if beside and _goes_on(pending[-1][2], parts, previous):  # "1 GRANDE CHICKEN", "BURRITO  64.00"
                    draft = _draft(f"{pending[-1][0]} {parts.name}", pending[-1][1], parts)
                    draft.lead = pending[-1][2].lead
                    draft.lead_name = f"{pending[-1][2].lead_name} {parts.name}"
                if loose is not None and _explains(draft, loose):
                    draft.quantity, draft.unit_price = loose.quantity, loose.price
                loose = None
                drafts.append(draft)
                pending = []
            elif (
                parts.price is not None
                and previous is not None
                and not pending
                and parts.quantity is None
                and (previous.unit_price is None and not _has_numbers(rows, place + 1, end))
            ):
                previous.unit_price = previous.unit_price or parts.price
            else:
                pending.append((parts.name, row.index, parts))
            continue
        if parts.amount is None and parts.quantity is None and parts.price is None:
            if parts.code and pending and not drafts:
                pass
            continue
        if below and parts.amount is not None:
            drafts.append(_draft("", row.index, parts))
            continue
        named = pending and (parts.amount is not None or parts.price is not None)
        if named and not (parts.amount is None and previous is not None and _explains(previous, parts)):
            drafts.append(_named(_name_lines(pending, headed or bool(drafts), across), parts))
            pending = []
            continue
        loose = parts if parts.quantity and parts.price and parts.amount is None else None
        if previous is not None:
            _explain(previous, parts, row)
        pending = []
    return [draft for draft in drafts if draft.name] if below else drafts


def _goes_on(begun: Parts, parts: Parts, previous: Draft | None) -> bool:
    """Whether a name begins on the line above: only that one has a quantity in front, as the item before it had."""
    counted = previous is not None and previous.lead is not None
    return counted and begun.lead is not None and parts.lead is None and parts.quantity is None


def _is_code(parts: Parts) -> bool:
    """An article's number with letters in it, before its numbers: "BGB88  1  75.47  75.47"."""
    name = parts.name
    if " " in name or name != name.upper() or parts.price is None or parts.quantity is None:
        return False
    return 4 <= len(name) <= 14 and any(map(str.isdigit, name)) and any(map(str.isalpha, name))


def _spare(row: Row) -> int:
    return row.letters - sum(end - start for start, end, _ in row.matches)


def _has_numbers(rows: list[Row], place: int, end: int) -> bool:
    """Whether the line is numbers, so that the one above it is a name."""
    return place < end and bool(rows[place].amounts) and rows[place].letters <= 4


def _names_below(page: Page, ledger: Ledger, start: int, end: int) -> bool:
    """Whether every line of numbers has its name in the line below it."""
    numeric = 0
    awaits = False
    texts = 0
    for place in range(start, end):
        row = page.rows[place]
        if row.rule or (row.amounts and ledger.roles[place]) or (row.mask & w.COUNT and _counts(row, page)):
            continue
        parts = _parts(row, page) if row.amounts else None
        if numeric == 0 and parts is not None and parts.name and parts.price is not None:
            return False  # "TENDERLOIN @43.37": a name with its price begins the list
        if parts is None or (parts.amount is None and (parts.name or parts.price is None)):
            if row.letters > 2 and not row.dates and not (numeric == 0 and _is_meta(row, page)):
                awaits = False
                texts += 1
            continue
        if numeric == 0 and texts and start:
            return False
        if awaits or (parts.name and numeric == 0):
            return False
        if not parts.name:
            if not (parts.code or parts.quantity):
                return False
            numeric += 1
            awaits = True
    return numeric > 0 and not awaits


def _named(used: list[tuple[str, int, Parts]], parts: Parts) -> Draft:
    """An item of a line of numbers and the lines above it that are its name."""
    head = used[0][2]
    draft = _draft(" ".join(text for text, _, _ in used), used[0][1], parts)
    if draft.amount is None:
        draft.amount = ((parts.quantity or SCALE) * (parts.price or 0) + SCALE // 2) // SCALE
    draft.code = parts.code or head.code
    draft.lead, draft.lead_name = (head.lead, head.lead_name) if len(used) == 1 else (None, "")
    if head.quantity is not None and draft.quantity is None:
        draft.quantity, draft.unit_price = head.quantity, head.price
    return draft


def _name_lines(pending: list[tuple[str, int, Parts]], inside: bool, across: int) -> list[tuple[str, int, Parts]]:
    """Which of the lines of text above the numbers are the name: inside the list all, before it what looks like an
    item. A short line is none that went on in the next: it heads a group ("FROZEN", then what was frozen).
    """
    if inside:
        return pending[-3:] if len(pending[0][0]) * 2 > across else pending[-1:]
    for place in range(len(pending) - 1, max(-1, len(pending) - 4), -1):
        if pending[place][2].code or pending[place][2].lead is not None:
            return pending[place:]
    short = sum(char.isalpha() for char in pending[-1][0]) < 3
    return pending[-2:] if short else pending[-1:]


def _is_meta(row: Row, page: Page, money: bool = False) -> bool:
    """A line about the sale, not about what was sold: it begins with such a word, or consists of such words."""
    if not row.mask & _META:
        return False
    known = 0
    for place, (start, end, phrase) in enumerate(row.matches):
        if page.meanings[phrase] & _META:
            known += end - start
            follower = row.folded[end : end + 4].lstrip()[:1]
            if (
                place == 0
                and not any(char.isalnum() for char in row.folded[:start])
                and (follower in ":.#" or follower.isdigit())
            ):
                return True
    return known * 2 >= row.letters and not money


def _counts(row: Row, page: Page) -> bool:
    """Whether the number of pieces follows its word ("QTY: 4"): "PORK PIECES 2 4.00" is an item."""
    for _, end, phrase in row.matches:
        if page.meanings[phrase] & w.COUNT:
            follower = row.folded[end:].lstrip(" :.(s)=")
            if ":" not in row.folded[end : end + 3] and any(num.places == 2 or num.symbol for num in row.amounts):
                return False  # "Item 1  10.00"
            return follower[:1].isdigit() and (
                row.folded[end:].lstrip().startswith(":") or _spare(row) <= 3 or len(row.nums) == 1
            )
    return False


def _more_names(page: Page, place: int, end: int) -> bool:
    """Whether a line of text alone follows."""
    following = page.rows[place + 1 : min(end, place + 2)]
    return bool(following) and not following[0].amounts and following[0].letters > 3 and not following[0].rule


def _parts(row: Row, page: Page) -> Parts:
    """The parts of a line, taken once."""
    if row.index not in page.parts:
        page.parts[row.index] = take_apart(row, page)
    return page.parts[row.index]


def _draft(name: str, line: int, parts: Parts) -> Draft:
    return Draft(
        name,
        line,
        parts.quantity,
        parts.price,
        parts.amount,
        None,
        parts.unit,
        parts.code,
        parts.lead,
        parts.lead_name,
        parts.weak,
    )


def _explains(previous: Draft, parts: Parts) -> bool:
    if previous.amount is None or parts.quantity is None or parts.price is None or previous.quantity is not None:
        return False
    return abs(parts.quantity * parts.price // SCALE - abs(previous.amount)) <= 200


def _explain(previous: Draft, parts: Parts, row: Row) -> None:
    """A line of numbers below a whole item: how many at which price."""
    many, each = previous.quantity or previous.lead or 0, previous.amount or 0
    alone = parts.amount is not None and parts.quantity is None and many not in (0, SCALE)
    if alone and each and abs(many * each // SCALE - (parts.amount or 0)) <= 150:  # "1.2 ROD 6.00", then "7.20"
        previous.quantity, previous.unit_price, previous.amount = many, each, parts.amount
        return
    if previous.quantity is not None:
        return
    if _explains(previous, parts) or (parts.quantity is not None and parts.amount == previous.amount):
        previous.quantity, previous.unit_price, previous.unit = parts.quantity, parts.price, parts.unit
    elif (
        parts.weak is not None
        and parts.amount is not None
        and previous.amount
        and abs(parts.weak * parts.amount // SCALE - previous.amount) <= 200
    ):
        previous.quantity, previous.unit_price = parts.weak, parts.amount
    if previous.quantity is None and previous.amount and len(row.nums) > 1:
        pair = pair_for(row, previous.amount)
        if pair is not None:
            previous.quantity, previous.unit_price = pair


def finding(drafts: list[Draft], total: int | None, subtotal: int | None, tax: int | None) -> Finding:
    """How surely the list is right: sure when its sum is a sum that the paper says."""
    together = sum((draft.amount or 0) - (draft.discount or 0) for draft in drafts)
    gross = sum(draft.amount or 0 for draft in drafts)
    sums = {subtotal, total, None if total is None or tax is None else total - tax}
    agree = any(value is not None and abs(value - one) <= 600 for value in sums for one in (together, gross))
    return Finding(str(len(drafts)), drafts[0].line, 0.88 if agree else 0.5, "adds up" if agree else "lines")
