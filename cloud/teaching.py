"""What a shop's receipts have been taught: which words stand beside a field on its paper.

A correction whose value stands on the paper teaches: the words beside it name the field in this shop, and a later
doubtful reading believes them. The words that were taught most often come first, so that one slip of the hand does not
spoil a shop. A mark on a sample receipt (console/teach.py) weighs MARK, and is believed over a sure reading too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import sqlalchemy as sa

from cloud import audit
from cloud.corrections import minor
from cloud.store.figures import profiles
from receipt.model import Finding, Kind, Receipt
from wire.messages import now_ms

MONEY = ("total", "tip")
TAUGHT = (*MONEY, "number", "table", "cashier", "member", "covers")
AMOUNT = re.compile(r"-?\d+(?:[.,']\d+| \d{3}(?!\d))*")
COLUMN = re.compile(r"\S+(?: \S+)*")  # two spaces part what stands side by side
WORD = re.compile(r"[^\s:：#]+")
MOST = 8  # labels of a field
MARK = 100  # corrections that a mark is worth
SURE_OF_IT = 0.75
Lessons = dict[str, dict[str, int]]  # field -> label -> how often it was taught


@dataclass(frozen=True, slots=True)
class Spot:
    """A place on a line that a field's value may have: `line[start:end]`, and the words beside it."""

    start: int
    end: int
    value: Any
    label: str


def spots(name: str, line: str, currency: str | None) -> Iterator[Spot]:
    """Where a field may stand on a line, the likeliest first: of money the last amount; of others the last word of
    each column, then of the whole line."""
    if name in MONEY:
        amounts = list(AMOUNT.finditer(line))
        try:
            if amounts:
                start, end = amounts[-1].span()
                yield Spot(start, end, minor(line[start:end], currency), _label(AMOUNT.sub(" ", line)))
        except ValueError:
            return
        return
    columns = list(COLUMN.finditer(line))
    for column in [*columns, *(re.finditer(r"\S.*\S", line) if len(columns) > 1 else ())]:
        words = list(WORD.finditer(column[0]))
        label = _label(" ".join(word[0] for word in words[:-1]))
        if not label:
            continue
        said: Any = words[-1][0]
        if name == "covers":
            said = int(said) if said.isascii() and said.isdecimal() and len(said) < 4 else 0
        if said:
            yield Spot(column.start() + words[-1].start(), column.start() + words[-1].end(), said, label)


def _label(words: str) -> str:
    """What is the same on every receipt.

    >>> _label("SUMME EUR:   ")
    'summe eur'
    """
    return " ".join(re.sub(r"[^\w ]", " ", words).casefold().split())[:60]


# ---- what is known


def load_all(connection: sa.Connection, merchants: list[str]) -> dict[tuple[str, str], Lessons]:
    rows = connection.execute(sa.select(profiles).where(profiles.c.merchant_id.in_(merchants)))
    return {(row.merchant_id, row.shop): msgspec.json.decode(row.taught, type=Lessons) for row in rows}


def load(connection: sa.Connection, merchant: str, shop: str) -> Lessons:
    return load_all(connection, [merchant]).get((merchant, shop), {})


def learn(
    connection: sa.Connection, merchant: str, shop: str, read: Receipt, new: dict[str, Any], lines: list[str]
) -> None:
    """`new`: field -> the value a person gave. Fields whose value stands nowhere on the paper teach nothing."""
    lessons = {name: label_of(name, new[name], read.currency, lines) for name in TAUGHT if new.get(name) is not None}
    taught = load(connection, merchant, shop)
    for name, label in lessons.items():
        if label:
            taught = with_lesson(taught, name, label, 1)
    if any(lessons.values()):
        _save(connection, merchant, shop, taught)


def mark(connection: sa.Connection, merchant: str, shop: str, name: str, label: str, who: str) -> None:
    """A person marked on a sample where a field stands."""
    _save(connection, merchant, shop, with_lesson(load(connection, merchant, shop), name, label, MARK))
    audit.add(connection, merchant, who, "receipt.teach", shop or "-", f"{name}: {label}")


def forget(connection: sa.Connection, merchant: str, shop: str, name: str, label: str, who: str) -> None:
    taught = load(connection, merchant, shop)
    if taught.get(name, {}).pop(label, None) is not None:
        _save(connection, merchant, shop, taught)
        audit.add(connection, merchant, who, "receipt.unteach", shop or "-", f"{name}: {label}")


def with_lesson(taught: Lessons, name: str, label: str, weight: int) -> Lessons:
    """The lessons and one more. Who marks another place takes the older marks of this field back."""
    known = dict(taught.get(name, {}))
    if weight >= MARK:
        known = {one: min(count, MARK - 1) for one, count in known.items()}
    known[label] = known.get(label, 0) + weight
    while len(known) > MOST:
        del known[min(known, key=lambda one: known[one])]
    return taught | {name: known}


def _save(connection: sa.Connection, merchant: str, shop: str, taught: Lessons) -> None:
    mine = (profiles.c.merchant_id == merchant, profiles.c.shop == shop)
    values = {"taught": msgspec.json.encode(taught).decode(), "changed_at": now_ms()}
    if not connection.execute(sa.update(profiles).where(*mine).values(**values)).rowcount:
        connection.execute(sa.insert(profiles).values(merchant_id=merchant, shop=shop, **values))


# ---- what it says of a receipt


def label_of(name: str, value: Any, currency: str | None, lines: list[str]) -> str:
    """The words beside a value, from the last line where it stands for money, the first for others; "" if nowhere."""
    for n in _order(name, lines):
        for spot in spots(name, lines[n], currency):
            if spot.value == value:
                return spot.label
    return ""


def by_lesson(read: Receipt, taught: Lessons, lines: list[str], sure: float) -> Receipt:
    """A reading with what the shop's lessons say of its fields that are missing or read less surely than `sure`, and
    of those that a person marked."""
    changes: dict[str, Any] = {}
    findings = dict(read.findings)
    mine = lines[read.first_line : read.last_line + 1 or None]
    for name, known in taught.items():
        found = findings.get(name)
        certain = getattr(read, name) is not None and (found is None or found.confidence >= sure)
        if certain:
            known = {label: count for label, count in known.items() if count >= MARK}
        said = taught_value(known, name, read.currency, mine)
        if said is not None:
            spot, n = said
            changes[name] = spot.value
            findings[name] = Finding(str(spot.value), read.first_line + n, SURE_OF_IT, "taught")
    if "total" in changes and read.kind is Kind.OTHER:
        changes["kind"] = Kind.SALE
    return replace(read, **changes, findings=findings) if changes else read


def taught_value(known: dict[str, int], name: str, currency: str | None, lines: list[str]) -> tuple[Spot, int] | None:
    """What the taught labels of a field find on a receipt -> (spot, line); None where no line has such words."""
    if not known:
        return None
    found: dict[str, tuple[Spot, int]] = {}
    for n in _order(name, lines):
        for spot in spots(name, lines[n], currency):
            if spot.label in known:
                found.setdefault(spot.label, (spot, n))
    best = max(found, key=lambda label: known[label], default=None)
    return None if best is None else found[best]


def _order(name: str, lines: list[str]) -> range:
    return range(len(lines) - 1, -1, -1) if name == "total" else range(len(lines))
