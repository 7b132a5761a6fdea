"""A customer's visit: the basket that a cookie leads to. Made by the first thing put into it; over after some hours.

Every function takes a connection that is in a transaction; nothing here commits.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import sqlalchemy as sa

from cloud.fronts import Front
from cloud.menu import MOST_LINES, MOST_OF_ONE, Line
from cloud.store.counter import visits
from wire.messages import now_ms, uuid7

VISIT_MS = 3 * 3_600_000
BANDS = ((200, "under 200 m"), (1000, "under 1 km"), (2000, "1-2 km"), (5000, "2-5 km"), (10_000, "5-10 km"))
FAR = "over 10 km"
DECLINED = "-"  # they were asked where they are, and said no


class Full(Exception):
    """The basket holds as much as one order may."""


@dataclass(frozen=True, slots=True)
class Visit:
    hash: bytes
    merchant: str
    table_id: str
    lines: tuple[Line, ...]
    basket_id: str
    replaces: str | None
    distance: str | None


def find(connection: sa.Connection, cookie: str, merchant: str) -> Visit | None:
    if not cookie:
        return None
    row = connection.execute(
        sa.select(visits).where(
            visits.c.token_hash == _digest(cookie), visits.c.merchant_id == merchant, visits.c.expires_at > now_ms()
        )
    ).first()
    if row is None:
        return None
    lines = tuple(msgspec.json.decode(row.basket, type=list[Line]))
    return Visit(bytes(row.token_hash), row.merchant_id, row.table_id, lines, row.basket_id, row.replaces, row.distance)


def begin(connection: sa.Connection, front: Front, table_id: str) -> tuple[str, Visit]:
    """-> (the cookie's value, the visit)."""
    cookie, at = secrets.token_urlsafe(24), now_ms()
    visit = Visit(_digest(cookie), front.merchant, table_id, (), uuid7(), None, None)
    connection.execute(
        sa.insert(visits).values(
            token_hash=visit.hash,
            merchant_id=front.merchant,
            table_id=table_id,
            basket="[]",
            basket_id=visit.basket_id,
            created_at=at,
            expires_at=at + VISIT_MS,
        )
    )
    return cookie, visit


def add(connection: sa.Connection, visit: Visit, line: Line) -> Visit:
    """The same choice twice is one line. Raises Full."""
    lines, same = list(visit.lines), replace(line, quantity=0)
    for n, old in enumerate(lines):
        if replace(old, quantity=0) == same:
            if old.quantity + line.quantity > MOST_OF_ONE:
                raise Full
            lines[n] = replace(old, quantity=old.quantity + line.quantity)
            break
    else:
        if len(lines) >= MOST_LINES:
            raise Full
        lines.append(line)
    return keep(connection, replace(visit, lines=tuple(lines)))


def set_quantity(connection: sa.Connection, visit: Visit, place: int, item: str, quantity: int) -> Visit:
    """`item` must stand at `place`: a page from before another change does nothing. 0 takes the line out."""
    lines = list(visit.lines)
    if 0 <= place < len(lines) and lines[place].item == item:
        if quantity <= 0:
            del lines[place]
        else:
            lines[place] = replace(lines[place], quantity=min(quantity, MOST_OF_ONE))
    return keep(connection, replace(visit, lines=tuple(lines)))


def keep(connection: sa.Connection, visit: Visit) -> Visit:
    _set(connection, visit, basket=msgspec.json.encode(visit.lines).decode(), replaces=visit.replaces)
    return visit


def ordered_it(connection: sa.Connection, visit: Visit) -> None:
    """The basket became an order: an empty one takes its place."""
    _set(connection, visit, basket="[]", basket_id=uuid7(), replaces=None)


def sit_at(connection: sa.Connection, visit: Visit, table_id: str) -> Visit:
    _set(connection, visit, table_id=table_id)
    return replace(visit, table_id=table_id)


def locate(connection: sa.Connection, visit: Visit, band: str) -> None:
    _set(connection, visit, distance=band, distance_at=now_ms())


def band(metres: float) -> str:
    """What is kept of a distance.

    >>> band(150), band(1400), band(2e7)
    ('under 200 m', '1-2 km', 'over 10 km')
    """
    return next((name for most, name in BANDS if metres < most), FAR)


def _set(connection: sa.Connection, visit: Visit, **values: Any) -> None:
    connection.execute(sa.update(visits).where(visits.c.token_hash == visit.hash).values(**values))


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode()).digest()
