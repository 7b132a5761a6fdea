"""How a shop shows itself to customers, and the signed tokens that lead to it.

Three kinds of address: /t/{token}, a table's red code; /s/{slug}, the shop's black code; /o/{token}, one order.

A table token is 24 bytes, base64url: 8 random bytes that name the table, and the first 16 of an HMAC-SHA256 over them
and what makes the code change: for a printed code the table's generation, for one shown on a screen the minute. A new
generation makes the printed codes of the old one void, at once or after a day of grace.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import sqlalchemy as sa

from cloud import strings
from cloud.hours import is_open, opens
from cloud.ids import ordered
from cloud.store.counter import dining_tables, fronts
from cloud.store.schema import merchants
from wire.messages import now_ms

GRACE_MS = 24 * 3_600_000
SCREEN_S = 60  # a code on a screen changes this often; it is taken for four times as long
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
KEY, SIGNED = 8, 16


@dataclass(frozen=True, slots=True)
class Front:
    merchant: str
    slug: str
    name: str
    currency: str
    zone: ZoneInfo
    languages: tuple[str, ...]
    hours: str
    secret: bytes
    dine_in: bool
    takeaway: bool
    delivery: bool
    paused_until: int | None
    place: tuple[float, float] | None  # degrees
    open_per_table: int
    open_per_customer: int

    def now(self) -> datetime:
        return datetime.now(self.zone).replace(tzinfo=None)

    def open_now(self) -> bool:
        return not self.paused() and is_open(self.hours, self.now())

    def paused(self) -> bool:
        return self.paused_until is not None and self.paused_until > now_ms()

    def opens_at(self) -> datetime | None:
        return opens(self.hours, self.now())

    def kinds(self) -> tuple[str, ...]:
        """What the black code offers."""
        return tuple(kind for kind, on in (("takeaway", self.takeaway), ("delivery", self.delivery)) if on)

    def source(self, address: str) -> bytes:
        """A network address as we keep it: it can be compared, not read."""
        return hmac.new(self.secret, b"source|" + address.encode(), hashlib.sha256).digest()[:16]

    def order_link(self, order_id: str) -> str:
        """The token of /o/{token}: 192 bits that nobody can guess, made again when a notice needs it."""
        return _b64(hmac.new(self.secret, b"order|" + order_id.encode(), hashlib.sha256).digest()[:24])


@dataclass(frozen=True, slots=True)
class DiningTable:
    merchant: str
    id: str
    name: str
    key: bytes
    generation: int
    old_until: int | None


def ensure(connection: sa.Connection, merchant: str) -> Front:
    """The merchant's front; made with sensible values when there is none."""
    found = of(connection, merchant)
    if found is not None:
        return found
    name = connection.execute(sa.select(merchants.c.name).where(merchants.c.id == merchant)).scalar_one()
    connection.execute(
        sa.insert(fronts).values(
            merchant_id=merchant,
            slug=free_slug(connection, name),
            name=name,
            currency="EUR",
            timezone="UTC",
            languages="en zh",
            hours="",
            secret=secrets.token_bytes(32),
            changed_at=now_ms(),
        )
    )
    made = of(connection, merchant)
    assert made is not None
    return made


def of(connection: sa.Connection, merchant: str) -> Front | None:
    return _front(connection.execute(sa.select(fronts).where(fronts.c.merchant_id == merchant)).first())


def by_slug(connection: sa.Connection, slug: str) -> Front | None:
    return _front(connection.execute(sa.select(fronts).where(fronts.c.slug == slug)).first())


def free_slug(connection: sa.Connection, name: str) -> str:
    """harbour-coffee, or harbour-coffee-4f2 when that is taken."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = "-".join(re.findall(r"[a-z0-9]+", plain))[:40].strip("-") or "shop"
    taken = connection.execute(sa.select(fronts.c.slug).where(fronts.c.slug == slug)).first()
    return f"{slug}-{secrets.token_hex(2)}" if taken else slug


def change(connection: sa.Connection, merchant: str, values: dict[str, Any]) -> list[str]:
    """-> names of the fields that cannot be so; then nothing was changed. `values`: columns of `fronts`."""
    wrong = []
    if "slug" in values:
        other = sa.select(fronts.c.merchant_id).where(fronts.c.slug == values["slug"], fronts.c.merchant_id != merchant)
        if not SLUG.fullmatch(values["slug"]) or len(values["slug"]) > 60 or connection.execute(other).first():
            wrong.append("slug")
    if "timezone" in values and values["timezone"] not in available_timezones():
        wrong.append("timezone")
    if "currency" in values and not re.fullmatch(r"[A-Z]{3}", values["currency"]):
        wrong.append("currency")
    if not wrong:
        ensure(connection, merchant)
        connection.execute(
            sa.update(fronts).where(fronts.c.merchant_id == merchant).values(**values, changed_at=now_ms())
        )
    return wrong


def _front(row: Any) -> Front | None:
    if row is None:
        return None
    place = None if row.latitude is None else (row.latitude / 1e6, row.longitude / 1e6)
    return Front(
        row.merchant_id,
        row.slug,
        row.name,
        row.currency,
        ZoneInfo(row.timezone),
        tuple(row.languages.split()) or (strings.FIRST,),
        row.hours,
        bytes(row.secret),
        row.dine_in,
        row.takeaway,
        row.delivery,
        row.paused_until,
        place,
        row.open_per_table,
        row.open_per_customer,
    )


# ---- tables


def tables(connection: sa.Connection, merchant: str) -> list[DiningTable]:
    rows = connection.execute(
        sa.select(dining_tables)
        .where(dining_tables.c.merchant_id == merchant)
        .order_by(dining_tables.c.position, dining_tables.c.id)
    )
    return [_table(row) for row in rows]


def add_tables(connection: sa.Connection, merchant: str, names: list[str]) -> None:
    have = {table.name for table in tables(connection, merchant)}
    for n, name in enumerate(dict.fromkeys(names)):
        if name not in have:
            connection.execute(
                sa.insert(dining_tables).values(
                    merchant_id=merchant,
                    id=ordered(),
                    key=secrets.token_bytes(KEY),
                    name=name,
                    position=len(have) + n,
                )
            )


def rename_table(connection: sa.Connection, merchant: str, table_id: str, name: str) -> bool:
    done = connection.execute(sa.update(dining_tables).where(*_mine(merchant, table_id)).values(name=name))
    return bool(done.rowcount)


def remove_table(connection: sa.Connection, merchant: str, table_id: str) -> bool:
    return bool(connection.execute(sa.delete(dining_tables).where(*_mine(merchant, table_id))).rowcount)


def rotate(connection: sa.Connection, merchant: str, table_id: str, *, at_once: bool = False) -> bool:
    """A new code for the table. The printed one is taken for a day more, unless `at_once`."""
    done = connection.execute(
        sa.update(dining_tables)
        .where(*_mine(merchant, table_id))
        .values(
            generation=dining_tables.c.generation + 1,
            old_until=None if at_once else now_ms() + GRACE_MS,
        )
    )
    return bool(done.rowcount)


def table(connection: sa.Connection, merchant: str, table_id: str) -> DiningTable | None:
    row = connection.execute(sa.select(dining_tables).where(*_mine(merchant, table_id))).first()
    return None if row is None else _table(row)


def _table(row: Any) -> DiningTable:
    return DiningTable(row.merchant_id, row.id, row.name, bytes(row.key), row.generation, row.old_until)


def _mine(merchant: str, table_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (dining_tables.c.merchant_id == merchant, dining_tables.c.id == table_id)


# ---- tokens


def printed_token(front: Front, table: DiningTable) -> str:
    return _token(front, table.key, b"g%d" % table.generation)


def screen_token(front: Front, table: DiningTable, at_ms: int) -> str:
    """For a screen at the table: taken for some minutes only."""
    return _token(front, table.key, b"m%d" % (at_ms // 1000 // SCREEN_S))


def void_token(table: DiningTable) -> str:
    """Names the table and opens nothing: for whoever has a visit there."""
    return _b64(table.key + bytes(SIGNED))


def at_table(connection: sa.Connection, token: str) -> tuple[Front, DiningTable, bool] | None:
    """Which table a token names, and whether it is signed and still taken; None: it names none."""
    raw = _unb64(token)
    if len(raw) != KEY + SIGNED:
        return None
    row = connection.execute(sa.select(dining_tables).where(dining_tables.c.key == raw[:KEY])).first()
    front = of(connection, row.merchant_id) if row is not None else None
    if front is None:
        return None
    found, at = _table(row), now_ms()
    minute = at // 1000 // SCREEN_S
    fine = [b"g%d" % found.generation, *(b"m%d" % (minute - n) for n in range(-1, 4))]
    if found.old_until is not None and at < found.old_until:
        fine.append(b"g%d" % (found.generation - 1))
    taken = [hmac.compare_digest(_token(front, found.key, what).encode(), token.encode()) for what in fine]
    return front, found, any(taken)


def _token(front: Front, key: bytes, what: bytes) -> str:
    signed = hmac.new(front.secret, b"table|" + key + b"|" + what, hashlib.sha256).digest()[:SIGNED]
    return _b64(key + signed)


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _unb64(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) if len(text) <= 64 and text.isascii() else b""
    except ValueError:
        return b""
