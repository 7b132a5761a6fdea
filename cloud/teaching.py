"""What a shop's receipts have been taught: which words stand beside a field on its paper.

A correction whose value stands on a line of the paper teaches: the words of that line name the field in this shop. When
a later receipt's reading is doubtful, the taught line is believed. The label that was taught most often comes first, so
that one slip of the hand does not spoil a shop.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import msgspec
import sqlalchemy as sa

from cloud.corrections import minor
from cloud.store.figures import profiles
from receipt.model import Finding, Kind, Receipt
from wire.messages import now_ms

TAUGHT = ("total", "number", "table", "cashier", "member")
AMOUNT = re.compile(r"-?\d[\d.,' ]*\d|\d")
MOST = 8  # labels of a field
SURE_OF_IT = 0.75
Lessons = dict[str, dict[str, int]]  # field -> label -> how often it was taught


def learn(
    connection: sa.Connection, merchant: str, shop: str, read: Receipt, new: dict[str, Any], lines: list[str]
) -> None:
    """`new`: field -> the value a person gave. Fields whose value stands nowhere on the paper teach nothing."""
    lessons = {name: label_of(name, new[name], read.currency, lines) for name in TAUGHT if new.get(name) is not None}
    lessons = {name: label for name, label in lessons.items() if label}
    if not lessons:
        return
    taught = load(connection, merchant, shop)
    for name, label in lessons.items():
        known = taught.setdefault(name, {})
        known[label] = known.get(label, 0) + 1
        if len(known) > MOST:
            del known[min(known, key=lambda one: known[one])]
    save(connection, merchant, shop, taught)


def load_all(connection: sa.Connection, merchants: list[str]) -> dict[tuple[str, str], Lessons]:
    rows = connection.execute(sa.select(profiles).where(profiles.c.merchant_id.in_(merchants)))
    return {(row.merchant_id, row.shop): msgspec.json.decode(row.taught, type=Lessons) for row in rows}


def load(connection: sa.Connection, merchant: str, shop: str) -> Lessons:
    """field -> label -> how often it was taught."""
    mine = (profiles.c.merchant_id == merchant, profiles.c.shop == shop)
    text = connection.execute(sa.select(profiles.c.taught).where(*mine)).scalar()
    return msgspec.json.decode(text, type=Lessons) if text else {}


def save(connection: sa.Connection, merchant: str, shop: str, taught: Lessons) -> None:
    mine = (profiles.c.merchant_id == merchant, profiles.c.shop == shop)
    values = {"taught": msgspec.json.encode(taught).decode(), "changed_at": now_ms()}
    if not connection.execute(sa.update(profiles).where(*mine).values(**values)).rowcount:
        connection.execute(sa.insert(profiles).values(merchant_id=merchant, shop=shop, **values))


def label_of(name: str, value: Any, currency: str | None, lines: list[str]) -> str:
    """The words beside a value, from the last line where it stands for amounts, the first for others; "" if nowhere."""
    order = range(len(lines) - 1, -1, -1) if name == "total" else range(len(lines))
    for n in order:
        found = value_on(name, lines[n], currency)
        if found is not None and found == value:
            return label(lines[n], name)
    return ""


def value_on(name: str, line: str, currency: str | None) -> Any:
    """What a line would say of a field, if it were its line."""
    if name == "total":
        amounts = AMOUNT.findall(line)
        try:
            return minor(amounts[-1], currency) if amounts else None
        except ValueError:
            return None
    words = line.strip().rsplit(maxsplit=1)
    return words[-1].lstrip("#:") if words else None


def label(line: str, name: str) -> str:
    """A line without its value: what is the same on every receipt.

    >>> label("SUMME EUR        12,50", "total")
    'summe eur'
    """
    rest = AMOUNT.sub(" ", line) if name == "total" else " ".join(line.split()[:-1])
    return " ".join(re.sub(r"[^\w ]", " ", rest).casefold().split())[:60]


def by_lesson(read: Receipt, taught: Lessons, lines: list[str]) -> Receipt:
    """A doubtful reading with what the shop's lessons say of it; a field that they do not know stays."""
    changes: dict[str, Any] = {}
    findings = dict(read.findings)
    for name in TAUGHT:
        said = taught_value(taught, name, read.currency, lines[read.first_line : read.last_line + 1 or None])
        if said is not None:
            value, n = said
            changes[name] = value
            findings[name] = Finding(str(value), read.first_line + n, SURE_OF_IT, "taught")
    if "total" in changes and read.kind is Kind.OTHER:
        changes["kind"] = Kind.SALE
    return replace(read, **changes, findings=findings) if changes else read


def taught_value(taught: Lessons, name: str, currency: str | None, lines: list[str]) -> tuple[Any, int] | None:
    """What the taught labels say of a receipt -> (value, line); None where no line has such a label."""
    known = taught.get(name)
    if not known:
        return None
    order = range(len(lines) - 1, -1, -1) if name == "total" else range(len(lines))
    for want in sorted(known, key=lambda one: -known[one]):
        for n in order:
            if label(lines[n], name) == want and (value := value_on(name, lines[n], currency)) is not None:
                return value, n
    return None
