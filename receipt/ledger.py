"""The labelled amounts of a receipt: which line is a total, a tax, a tender … Pure.

A line's role comes from the concepts of its phrases together: "TOTAL" with "excluding" is a subtotal, with "qty" a
count.
The amount is the last one of the line; a label without one takes the lone amount of the next line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from receipt import words as w
from receipt.columns import is_head, leading
from receipt.numbers import SCALE, Num
from receipt.page import Page, Row

_SUMS: Final = (
    w.TOTAL
    | w.SUBTOTAL
    | w.TAX
    | w.DISCOUNT
    | w.SERVICE
    | w.TIP
    | w.ROUNDING
    | w.CHANGE
    | w.TENDERED
    | w.PAYS
    | w.WEAK_TOTAL
)


_ITEM_WORDS: Final = frozenset(("tender", "discount", "weak", "service", "tip", "change"))  # also names of items
_MAX_ENTRIES: Final = 200
_MAX_MISSING: Final = 24


@dataclass(slots=True)
class Entry:
    """A labelled amount."""

    role: str
    row: int  # in page.rows
    value: int  # ten-thousandths, signed
    label: str
    num: Num
    sure: float = 1.0  # how well the label is tied to the amount
    mask: int = 0
    words: int = 0  # letters on the line beside the label: many of them make a sentence, not a label


def role_of(row: Row, page: Page) -> str:
    """What a line says an amount is; "" when it does not, or when most of its letters say something else."""
    role = _role(row, page)
    if role and role != "count":
        sums = known = 0
        first = -1
        for start, end, phrase in row.matches:
            known += end - start
            if page.meanings[phrase] & _SUMS:
                sums += end - start
                first = start if first < 0 else first
        spare = row.letters - known
        begins = first >= 0 and not any(char.isalnum() for char in row.folded[:first])
        if spare >= (2 * sums + 12 if begins else sums + 2) and role != "discount":
            return ""
    return role


def _role(row: Row, page: Page) -> str:
    mask = row.mask
    if not mask & _SUMS or (mask & w.SAVED and not mask & w.SUBTOTAL):
        return ""
    if mask & w.TIP_HINT:
        return ""
    if mask & w.ROUNDING and not (mask & w.TOTAL and mask & w.INCL):
        if mask & w.TOTAL:
            return "rounding" if not _begins(row, page, w.TOTAL) or _small(row) else "total"
        return "rounding"
    if mask & w.CHANGE and not mask & w.REFUND:
        return "change"
    if mask & w.SUBTOTAL and not (mask & w.TOTAL and mask & w.INCL):
        if mask & w.TOTAL and mask & w.TAX and not mask & w.EXCL and not _begins(row, page, w.SUBTOTAL):
            return "total"
        return "subtotal"
    if mask & w.TOTAL:
        if mask & w.EXCL and mask & w.TAX:
            return "subtotal"
        if mask & w.TAX:
            if mask & w.INCL:
                return "tax" if _begins(row, page, w.TAX) else "total"
            return "tax" if _begins(row, page, w.TAX) or not _begins(row, page, w.TOTAL) else "total"
        if mask & w.COUNT and not row.last:
            return "count"
        if mask & w.DISCOUNT and not mask & w.INCL:
            return "discount" if _begins(row, page, w.DISCOUNT) or _last_is(row, page, w.DISCOUNT) else "total"
        if mask & w.SERVICE and not mask & (w.INCL | w.EXCL) and _begins(row, page, w.SERVICE):
            return "service"
        if mask & w.TENDERED and not _begins(row, page, w.TOTAL):
            return "tender"
        if mask & w.COUNT and row.last is not None and row.last.whole and page.decimals:
            return "count"
        return "total"
    if mask & w.TAX and not mask & w.TAX_NAME:
        if mask & w.SERVICE and _begins(row, page, w.SERVICE):
            return "service"
        return "tax"
    if mask & w.TIP:
        return "tip"
    if mask & w.SERVICE:
        return "service"
    if mask & w.DISCOUNT:
        return "discount"
    if mask & (w.PAYS | w.TENDERED):
        return "tender"
    if mask & w.WEAK_TOTAL:
        return "weak"
    return ""


def _begins(row: Row, page: Page, concept: int) -> bool:
    """Whether the line's first phrase of any sum is of this concept."""
    for _, _, phrase in row.matches:
        meaning = page.meanings[phrase]
        if meaning & _SUMS:
            return bool(meaning & concept)
    return False


def _last_is(row: Row, page: Page, concept: int) -> bool:
    for _, _, phrase in reversed(row.matches):
        meaning = page.meanings[phrase]
        if meaning & _SUMS:
            return bool(meaning & concept)
    return False


def _small(row: Row) -> bool:
    return row.last is not None and row.last.value < 10_000


def _counts(num: Num, row: Row) -> bool:
    """Whether a number stands in front of a name: so many litres of it, and no money."""
    return (
        not row.folded[: num.start].strip() and not num.symbol and row.folded[num.end : num.end + 2].strip().isalpha()
    )


def _lone(row: Row) -> bool:
    """A line that is one amount and nothing else."""
    return len(row.amounts) == 1 and row.letters <= 3 and not row.dates and len(row.nums) <= 2


class Ledger:
    """All labelled amounts of a page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.roles: list[str] = ["" if is_head(row, page) else role_of(row, page) for row in page.rows]
        self._ordered()
        here = {place: place for place, row in enumerate(page.rows) if self.roles[place] and row.amounts}
        if len(here) > _MAX_ENTRIES:  # no receipt: keep its ends, so that all that follows stays quick
            places = sorted(here)
            here = {place: place for place in places[: _MAX_ENTRIES // 2] + places[-_MAX_ENTRIES // 2 :]}
        self.entries: list[Entry] = self._entries(here)
        self._realign(here)
        largest = max(
            (entry.value for entry in self.entries if entry.role in ("total", "subtotal", "tender")), default=0
        )
        for entry in list(self.entries):  # "ROUND STEAK 14.00"
            large = entry.role == "rounding" and abs(entry.value) * 20 > largest > 0
            if large and not any(abs(entry.value - one.value) <= 600 for one in self.entries if one.role == "total"):
                self.entries.remove(entry)
                self.roles[entry.row] = ""

    def _ordered(self) -> None:
        """Above the first sum, a line that begins with a quantity is an item whatever its words mean elsewhere:
        "1 OCTOPUS 16.00", "1 HAPPY HOUR SET 27,273"."""
        first = next((place for place, role in enumerate(self.roles) if role in ("total", "subtotal")), 0)
        for place, role in enumerate(self.roles[:first]):
            row = self.page.rows[place]
            if role not in _ITEM_WORDS or len(row.amounts) != 1 or row.amounts[0].negative:
                continue
            lead = leading(row)
            if lead is not None and lead[0] <= 99 * SCALE and (role != "discount" or self._spare(row) > 2):
                self.roles[place] = ""

    @property
    def money(self) -> bool:
        """Whether there is any money on the paper: cents, a currency's sign, or an amount that is called a sum."""
        page = self.page
        cents = any(num.places == 2 and not _counts(num, row) for row in page.rows for num in row.amounts)
        return cents or bool(page.symbols) or any(one.role in ("total", "subtotal", "tender") for one in self.entries)

    def of(self, *roles: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.role in roles]

    def _entries(self, places: dict[int, int], sure: float = 1.0) -> list[Entry]:
        """Entries of label row -> amount row."""
        rows = self.page.rows
        entries = []
        for label, other in sorted(places.items()):
            role, row = self.roles[label], rows[label]
            if role == "count" or not rows[other].amounts:
                continue
            num = rows[other].amounts[-1]
            tie = sure if label != other else 1.0
            entries.append(Entry(role, label, num.signed, row.folded, num, tie, row.mask, self._spare(row)))
        return entries

    def _realign(self, here: dict[int, int]) -> None:
        """Labels that have no amount, and amounts that have no label: columns that slipped against each other."""
        rows, roles = self.page.rows, self.roles
        places = dict(here)
        first = next((place for place, row in enumerate(rows) if row.amounts), 0)
        missing = [
            place
            for place, role in enumerate(roles)
            if role and role != "count" and place > first and not rows[place].amounts and self._spare(rows[place]) <= 14
        ]
        free = [place for place, row in enumerate(rows) if not roles[place] and _lone(row)]
        free += [place for place, role in enumerate(roles) if role == "count" and self._money_count(rows[place])]
        missing, free = missing[:_MAX_MISSING], free[:_MAX_MISSING]
        taken: set[int] = set()
        for place in missing:
            # a stack of labels, then as many amounts
            if place in places:
                continue
            stack = self._stack(place, taken)
            if stack:
                places.update(stack)
                taken.update(stack.values())
        base = agreements(self.entries)
        seen: dict[int, int] = {}
        for row in rows:
            for num in row.amounts:
                seen[num.value] = seen.get(num.value, 0) + 1
        for place in missing:
            if place in places:
                continue
            best: tuple[int, dict[int, int], int] | None = None
            for spare in sorted(free, key=lambda other: (abs(other - place), other < place)):
                if spare in taken or abs(spare - place) > 8:
                    continue
                moved = self._move(place, spare, places)
                if moved is None:
                    continue
                near = abs(spare - place) == 1
                gain = agreements(self._entries({**places, **moved}))
                if gain == base and roles[place] == "total":  # what is due stands on the paper again
                    gain += seen.get(rows[moved[place]].amounts[-1].value, 0) > 2 if rows[moved[place]].amounts else 0
                if (gain > base or (gain == base and near)) and (best is None or gain > best[0]):
                    best = (gain, moved, spare)
            if best is not None:
                base = max(base, agreements(self._entries({**places, **best[1]})))
                places.update(best[1])
                taken.add(best[2])
        if places != here:
            self.entries = self._entries(places, 0.8)
        if base == 0 and here:
            self._shift(here)

    def _money_count(self, row: Row) -> bool:
        return bool(row.amounts) and row.amounts[-1].places == 2

    def _move(self, label: int, spare: int, places: dict[int, int]) -> dict[int, int] | None:
        """Every label between takes its neighbour's amount, so that `label` gets one and `spare` goes to a label."""
        step = -1 if spare < label else 1
        moved: dict[int, int] = {}
        at = label
        while at != spare:
            following = at + step
            if following != spare and following not in places:
                return None
            moved[at] = places.get(following, following) if following != spare else spare
            at = following
        return moved

    def _shift(self, here: dict[int, int]) -> None:
        """All amounts one or two lines off their labels: taken when the sums then agree and did not before."""
        rows = self.page.rows
        for step in (1, -1, 2, -2):
            places = {
                label: label + step for label in here if 0 <= label + step < len(rows) and rows[label + step].amounts
            }
            entries = self._entries(places, 0.7)
            if agreements(entries, True) >= 1:
                self.entries = entries
                return

    def _stack(self, place: int, taken: set[int]) -> dict[int, int]:
        """Labels in a column of their own, then as many amounts: TOTAL, CASH, CHANGE, 8.00, 10.00, 2.00."""
        rows = self.page.rows
        end = place
        while end < len(rows) and self.roles[end] and not rows[end].amounts:
            end += 1
        labels = end - place
        last = end
        while last < len(rows) and _lone(rows[last]) and not self.roles[last] and last not in taken:
            last += 1
        if labels < 2 or last - end < labels:
            return {}
        return {place + number: end + number for number in range(labels)}

    def _spare(self, row: Row) -> int:
        """Letters that no phrase explains."""
        known = sum(end - start for start, end, _ in row.matches)
        return max(0, row.letters - known)


def agreements(entries: list[Entry], strict: bool = False) -> int:
    """How many sums come out: subtotal and tax, service … make the total; tender less change is the total."""
    totals = {entry.value for entry in entries if entry.role == "total" and entry.value > 0}
    if not totals:
        return 0
    subtotals = {entry.value for entry in entries if entry.role == "subtotal"}
    extras = [entry.value for entry in entries if entry.role in ("tax", "service", "tip") and entry.value > 0]
    tenders = {entry.value for entry in entries if entry.role == "tender"}
    changes = {abs(entry.value) for entry in entries if entry.role == "change"}
    count = 0
    sums = {part + extra for part in subtotals for extra in extras} | {
        part + sum(extras) for part in subtotals if extras
    }
    count += 2 * bool(sums & totals)
    count += bool({tender - change for tender in tenders for change in changes if tender > change} & totals)
    if not strict:
        count += bool(tenders & totals)
        count += bool(subtotals & totals)
    return count
