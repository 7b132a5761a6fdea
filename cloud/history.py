"""What is done to what is stored: read again with newer rules, erased on request. (cloud/keeping.py forgets in time.)

Each call does a bounded piece in one transaction and says where to go on, so that nobody waits long for the writer.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import sqlalchemy as sa

from cloud import audit, contacts, guests
from cloud.keeping import PERSON
from cloud.steps import ENDED
from cloud.store.counter import guest_orders
from cloud.store.figures import facts
from cloud.store.schema import jobs, orders, outbox, papers, receipts
from wire.messages import OrderContent

AT_ONCE = 2000
NATIONAL = 9  # digits that are compared from the right: +49 170 1234567 is 0170 1234567
BETWEEN = re.compile(r"(?<=\d)[ ()/.–-]{1,2}(?=\d)")


def read_again(
    connection: sa.Connection, merchant: str | None, since_ms: int, rules: str | None, after: str
) -> tuple[int, str | None]:
    """Make jobs due for reading; `rules`: but not those read with that version. -> (how many, where to go on).

    The reading itself is cloud/reading.py's, behind everything that comes in."""
    last_merchant, _, last_id = after.partition("/")
    query = (
        sa.select(jobs.c.merchant_id, jobs.c.id, jobs.c.rules_version)
        .join(papers, sa.and_(papers.c.merchant_id == jobs.c.merchant_id, papers.c.job_id == jobs.c.id))
        .where(
            jobs.c.state.in_(("read", "failed")),
            papers.c.raw.is_not(None),
            jobs.c.received_at >= since_ms,
            sa.tuple_(jobs.c.merchant_id, jobs.c.id) > sa.tuple_(sa.literal(last_merchant), sa.literal(last_id)),
        )
        .order_by(jobs.c.merchant_id, jobs.c.id)
        .limit(AT_ONCE)
    )
    if merchant is not None:
        query = query.where(jobs.c.merchant_id == merchant)
    found = connection.execute(query).all()
    due = [{"b_merchant": r.merchant_id, "b_id": r.id} for r in found if rules is None or r.rules_version != rules]
    if due:
        connection.execute(
            sa.update(jobs)
            .where(jobs.c.merchant_id == sa.bindparam("b_merchant"), jobs.c.id == sa.bindparam("b_id"))
            .values(state="again", tries=0),
            due,
        )
    more = f"{found[-1].merchant_id}/{found[-1].id}" if len(found) == AT_ONCE else None
    return len(due), more


def with_phone(connection: sa.Connection, phone: str, merchant: str | None) -> list[tuple[str, str]]:
    """(merchant, job) of receipts that name this number."""
    where = [facts.c.phone != "", facts.c.phone.endswith(digits(phone)[-NATIONAL:], autoescape=True)]
    if merchant is not None:
        where.append(facts.c.merchant_id == merchant)
    return [tuple(row) for row in connection.execute(sa.select(facts.c.merchant_id, facts.c.job_id).where(*where))]


def erase_receipts(connection: sa.Connection, of: list[tuple[str, str]]) -> None:
    """Take what is on these papers away; keys, hashes and what they count in the figures stay, and nobody's name.

    Each leaves an audit entry, that does not hold the number."""
    for merchant, job in of:
        for table in (papers, receipts):
            connection.execute(sa.delete(table).where(table.c.merchant_id == merchant, table.c.job_id == job))
        mine = (jobs.c.merchant_id == merchant, jobs.c.id == job)
        connection.execute(sa.update(jobs).where(*mine).values(state="erased", lines=None))
        this = (facts.c.merchant_id == merchant, facts.c.job_id == job)
        connection.execute(sa.update(facts).where(*this).values(dict.fromkeys(PERSON, "")))
        audit.add(connection, merchant, "operator", "receipt.erase", job)


def erase_customer(
    connection: sa.Connection, phone: str, merchant: str | None, after: str
) -> tuple[int, int, str | None]:
    """Take a person's name, number and notes out of their orders that have ended.

    -> (orders erased, orders still open and left as they are, where to go on). Each leaves an audit entry, that does
    not hold the number."""
    tail = digits(phone)[-NATIONAL:]
    last_merchant, _, last_id = after.partition("/")
    query = (
        sa.select(orders.c.merchant_id, orders.c.id, orders.c.state, orders.c.content, guest_orders.c.phone)
        .select_from(orders.outerjoin(guest_orders, guests.SAME))
        .where(sa.tuple_(orders.c.merchant_id, orders.c.id) > sa.tuple_(sa.literal(last_merchant), sa.literal(last_id)))
        .order_by(orders.c.merchant_id, orders.c.id)
        .limit(AT_ONCE)
    )
    if merchant is not None:
        query = query.where(orders.c.merchant_id == merchant)
    found = connection.execute(query).all()
    erased, still_open = [], 0
    for row in found:
        content = msgspec.json.decode(row.content, type=OrderContent)
        texts = (row.phone or "", content.customer, content.note, *(item.note for item in content.items))
        if not any(tail in digits(text) for text in texts):
            continue
        if row.state not in ENDED:
            still_open += 1
            continue
        content.customer = content.note = content.phone = content.address = content.distance = ""
        for item in content.items:
            item.note = ""
        mine: Any = (orders.c.merchant_id == row.merchant_id, orders.c.id == row.id)
        connection.execute(sa.update(orders).where(*mine).values(content=msgspec.json.encode(content).decode()))
        connection.execute(
            sa.delete(outbox).where(outbox.c.merchant_id == row.merchant_id, outbox.c.order_id == row.id)
        )
        contacts.forget(connection, row.merchant_id, row.id)
        erased.append(row)
    for row in erased:  # its lock comes after those of the orders, as everywhere
        audit.add(connection, row.merchant_id, "operator", "order.erase", row.id, "customer and notes")
    more = f"{found[-1].merchant_id}/{found[-1].id}" if len(found) == AT_ONCE else None
    return len(erased), still_open, more


def digits(text: str) -> str:
    """Numbers as they are compared: what people write between digits is left out.

    >>> digits("Anna, +49 (170) 12-34")
    'Anna, +491701234'
    """
    return BETWEEN.sub("", text)
