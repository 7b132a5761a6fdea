"""The customers of a merchant: who they are, by what their receipts are known, what they bought; consent and erasure.

A receipt belongs to a customer by a key that stands on it: member number, loyalty card, phone (cloud/figures.py looks
keys up when it counts). A key belongs to one customer; giving it to another moves the receipts with it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import msgspec
import sqlalchemy as sa

from cloud import audit, phones
from cloud.facts import HIDDEN, Places, as_kept, clean, digest, key_of
from cloud.store.counter import guest_orders
from cloud.store.figures import customer_keys, customers, facts, forgotten
from cloud.store.rows import insert
from wire.messages import now_ms, uuid7

KEYS = ("member", "card", "phone")
FIELDS = ("external_id", "name", "email", "birthday", "note")
COLUMN = {"member": facts.c.member, "card": facts.c.card, "phone": facts.c.phone}
EMAIL = re.compile(r"^[^@\s]{1,64}@[^@\s]{1,190}$")
YES = {"1", "yes", "y", "true", "ja", "x", "是", "同意", "on"}
MOST_FIELDS = 40


class BadCustomer(Exception):
    """A row that cannot be a customer; `key` is the string that says why, `value` what it was."""

    def __init__(self, key: str, value: str = "") -> None:
        super().__init__(f"{key}: {value}")
        self.key, self.value = key, value[:60]


@dataclass(slots=True)
class Customer:
    name: str = ""
    external_id: str = ""
    email: str = ""
    birthday: str = ""
    note: str = ""
    member: str = ""
    card: str = ""
    phone: str = ""
    consent: bool | None = None
    fields: dict[str, str] = field(default_factory=dict)

    def known_by(self) -> list[tuple[str, str]]:
        found = (("member", key_of(self.member)), ("card", key_of(self.card)), ("phone", self.phone))
        return [(kind, value) for kind, value in found if value]


def checked(raw: Customer, country: str = "") -> Customer:
    """`country`: whose phone numbers need no code.

    Raises BadCustomer: nothing to know one by, or a value that cannot be."""
    one = Customer(
        clean(raw.name, 120),
        clean(raw.external_id, 80),
        clean(raw.email, 250),
        birthday(raw.birthday),
        clean(raw.note, 500),
        clean(raw.member, 60),
        clean(raw.card, 40),
        phones.folded(raw.phone, country),
        raw.consent,
        {clean(k, 40): clean(v, 500) for k, v in list(raw.fields.items())[:MOST_FIELDS] if clean(k, 40)},
    )
    if one.email and not EMAIL.match(one.email):
        raise BadCustomer("customers.wrong.email", one.email)
    for code in (one.member, one.card):
        if HIDDEN.search(code):
            raise BadCustomer("customers.wrong.member", code)
    if raw.phone.strip() and not one.phone:
        raise BadCustomer("customers.wrong.phone", clean(raw.phone, 40))
    if not (one.name or one.external_id or one.email or one.known_by()):
        raise BadCustomer("customers.wrong.empty")
    return one


def birthday(text: str) -> str:
    """YYYY-MM-DD, or MM-DD; day first where it is written with dots or slashes. Raises BadCustomer.

    >>> birthday("3.12.1990"), birthday("12-24"), birthday("")
    ('1990-12-03', '12-24', '')
    """
    plain = clean(text, 40).split("T")[0].split(" ")[0]
    if not plain:
        return ""
    if found := re.fullmatch(r"(\d{1,2})[./](\d{1,2})[./](\d{4})", plain):
        plain = f"{found[3]}-{int(found[2]):02d}-{int(found[1]):02d}"
    try:
        whole = date.fromisoformat(plain if len(plain) > 5 else f"2000-{plain}")
    except ValueError:
        raise BadCustomer("customers.wrong.birthday", text) from None
    return whole.isoformat() if len(plain) > 5 else plain


def keep(connection: sa.Connection, merchant: str, one: Customer, source: str) -> tuple[str, bool]:
    """A new customer, or the one with its external id or a key -> (id, whether new). Empty values change nothing."""
    found = _known(connection, merchant, one)
    at = now_ms()
    values: dict[str, Any] = {name: getattr(one, name) for name in FIELDS if getattr(one, name)}
    if one.consent is not None:
        values |= {"consent": one.consent, "consent_at": at}
    if found is None:
        key = uuid7()
        text = msgspec.json.encode(one.fields).decode()
        connection.execute(
            sa.insert(customers).values(
                merchant_id=merchant, id=key, source=source, fields=text, created_at=at, changed_at=at, **values
            )
        )
    else:
        key = found.id
        merged = msgspec.json.decode(found.fields) | one.fields
        values |= {"fields": msgspec.json.encode(merged).decode(), "changed_at": at}
        mine = (customers.c.merchant_id == merchant, customers.c.id == key)
        connection.execute(sa.update(customers).where(*mine).values(**values))
    for kind, value in one.known_by():
        give_key(connection, merchant, key, kind, value)
    return key, found is None


def _known(connection: sa.Connection, merchant: str, one: Customer) -> Any:
    c = customers.c
    if one.external_id:
        mine = (c.merchant_id == merchant, c.external_id == one.external_id)
        if row := connection.execute(sa.select(customers).where(*mine)).first():
            return row
    for kind, value in one.known_by():
        k = customer_keys.c
        owner = sa.select(k.customer_id).where(k.merchant_id == merchant, k.kind == kind, k.value == value)
        row = connection.execute(
            sa.select(customers).where(c.merchant_id == merchant, c.id == owner.scalar_subquery())
        ).first()
        if row and not (one.external_id and row.external_id and row.external_id != one.external_id):
            return row
    return None


def give_key(connection: sa.Connection, merchant: str, customer: str, kind: str, value: str) -> None:
    k = customer_keys.c
    mine = (k.merchant_id == merchant, k.kind == kind, k.value == value)
    before = connection.execute(sa.select(k.customer_id).where(*mine)).scalar()
    if before == customer:
        return
    connection.execute(sa.delete(customer_keys).where(*mine))
    connection.execute(
        sa.insert(customer_keys).values(merchant_id=merchant, kind=kind, value=value, customer_id=customer)
    )
    again = digest(merchant, kind, value)  # who was erased may come back
    connection.execute(sa.delete(forgotten).where(forgotten.c.merchant_id == merchant, forgotten.c.digest == again))
    shown = COLUMN[kind] == (value if kind == "phone" else as_kept(value))
    free = facts.c.customer_id.in_(("", before or ""))
    connection.execute(
        sa.update(facts).where(facts.c.merchant_id == merchant, shown, free).values(customer_id=customer)
    )


def erase(connection: sa.Connection, merchant: str, customer: str, who: str) -> bool:
    """What is known of a person goes, and so does the tie to receipts, also where they are counted again; the receipts
    stay, as business records must."""
    mine = (customers.c.merchant_id == merchant, customers.c.id == customer)
    if not connection.execute(sa.delete(customers).where(*mine)).rowcount:
        return False
    k = customer_keys.c
    keys = sa.select(k.kind, k.value).where(k.merchant_id == merchant, k.customer_id == customer)
    known = [{"merchant_id": merchant, "digest": digest(merchant, *key)} for key in connection.execute(keys)]
    insert(connection, forgotten, known)
    connection.execute(sa.delete(customer_keys).where(k.merchant_id == merchant, k.customer_id == customer))
    tied = (facts.c.merchant_id == merchant, facts.c.customer_id == customer)
    connection.execute(sa.update(facts).where(*tied).values(customer_id="", member="", phone="", card=""))
    audit.add(connection, merchant, who, "customer.erase", customer)
    return True


def of(connection: sa.Connection, merchant: str, customer: str) -> tuple[Any, list[tuple[str, str]]] | None:
    mine = (customers.c.merchant_id == merchant, customers.c.id == customer)
    row = connection.execute(sa.select(customers).where(*mine)).first()
    if row is None:
        return None
    k = customer_keys.c
    keys = connection.execute(
        sa.select(k.kind, k.value).where(k.merchant_id == merchant, k.customer_id == customer).order_by(k.kind)
    )
    return row, [(kind, value) for kind, value in keys]


def orders_of(connection: sa.Connection, merchant: str, keys: Iterable[tuple[str, str]]) -> int:
    """Orders from QR codes with one of these phone numbers."""
    mine = [value for kind, value in keys if kind == "phone"]
    if not mine:
        return 0
    g = guest_orders.c
    rows = connection.execute(sa.select(g.phone).where(g.merchant_id == merchant, g.phone != "")).scalars()
    country = country_of(connection, merchant)
    return sum(1 for phone in rows if phones.folded(phone, country) in mine)


def country_of(connection: sa.Connection, merchant: str) -> str:
    """Whose phone numbers are written without a code: the first shop's country."""
    return Places(connection, [merchant]).by_id(merchant, "").dials_from


def fold_again(connection: sa.Connection, merchant: str, country: str) -> None:
    """Numbers that were kept when the country was not known. The figures must then be counted anew."""
    k = customer_keys.c
    mine = (k.merchant_id == merchant, k.kind == "phone")
    known = {row.value: row.customer_id for row in connection.execute(sa.select(customer_keys).where(*mine))}
    for value, customer in known.items():
        new = phones.again(value, country)
        if new == value:
            continue
        connection.execute(sa.delete(customer_keys).where(*mine, k.value == value))
        if new not in known:
            row = {"merchant_id": merchant, "kind": "phone", "value": new, "customer_id": customer}
            connection.execute(sa.insert(customer_keys).values(**row))


def folded(text: str) -> str:
    """For comparing the headings of files."""
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())
