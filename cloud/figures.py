"""What receipts count: facts, one row each, and their sums by day; kept in the transaction that stores a reading.

`apply(connection, jobs)` makes the facts of some jobs anew from what is stored (the reading, a person's corrections,
the shop's time zone and business day), and moves the sums by the difference to what the same jobs counted before. So a
duplicate, a better reading, a correction or a new business day can come in any order, any number of times, and the
sums are what the receipts say (tests/cloud/test_figures.py).

What counts: sales, refunds and voids with a total. Not copies, not jobs of which nothing was delivered, not what was
half printed and then printed again (cloud/repeats.py), and of several with the same box, number, time, kind and total
only the first: a POS prints again what it is not sure of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from cloud import corrections, facts, repeats
from cloud.facts import Fact
from cloud.store.database import Store
from cloud.store.figures import customer_keys, figuring, forgotten, items, sold, sums
from cloud.store.figures import facts as fact_table
from cloud.store.rows import add, among, insert
from cloud.store.schema import jobs, receipts
from receipt.model import Receipt

MEASURES = (
    "receipts",
    "amount",
    "quantity",
    "covers",
    "tips",
    "discounts",
    "discounted",
    "refunds",
    "refunded",
    "voids",
    "voided",
)
MOST_PAIRED = 12  # different items; of a larger basket every pair would say little and cost much
AT_ONCE = 300
Job = tuple[str, str]  # merchant, job
Key = tuple[str, str, str, str, str, str]  # merchant, shop, currency, dim, day, value
Sums = dict[Key, dict[str, float]]
c = fact_table.c


def contributions(fact: Fact) -> Iterable[tuple[Key, dict[str, float]]]:
    """What one counted receipt adds to which sums."""
    if not fact.counted or fact.total is None:
        return
    head = (fact.merchant_id, fact.shop, fact.currency)
    sale = fact.kind == "sale"
    money: dict[str, float] = {"amount": fact.total, "receipts": int(sale)}
    if sale:
        money |= {"covers": fact.covers or 0, "tips": fact.tip or 0, "discounts": abs(fact.discount or 0)}
        money["discounted"] = int(bool(fact.discount))
    else:
        name, back = ("refunds", "refunded") if fact.kind == "refund" else ("voids", "voided")
        money |= {name: 1, back: -fact.total}
    yield (*head, "all", fact.day, ""), money
    yield (*head, "hour", fact.day, f"{fact.hour:02d}"), money
    yield (*head, "table", fact.day, fact.table_name), money
    yield (*head, "cashier", fact.day, fact.cashier), money
    yield (*head, "payment", fact.day, fact.payment), money
    for item in fact.sold:
        yield (
            (*head, "item", fact.day, item.item),
            {
                "amount": item.amount,
                "quantity": item.quantity,
                "receipts": int(sale),
            },
        )
    names = sorted(item.item for item in fact.sold)
    if sale and 2 <= len(names) <= MOST_PAIRED:
        for pair in combinations(names, 2):
            yield (*head, "pair", fact.day[:8] + "01", "\x1f".join(pair)), {"receipts": 1}


class Fresh(NamedTuple):
    """A job that was just read for the first time, and what was read."""

    job: Any  # a row with facts.JOB
    receipts: list[Receipt]
    lines: str


def apply(connection: sa.Connection, of: list[Job]) -> None:
    """`of`: whose reading, correction or shop changed. Idempotent."""
    of = [*of, *repeats.parts_before(connection, of)]
    for start in range(0, len(of), AT_ONCE):
        _apply(connection, sorted(set(of[start : start + AT_ONCE])))


def first(connection: sa.Connection, fresh: list[Fresh]) -> None:
    """As apply(), for many that came just now: what is at hand is not read back."""
    of = sorted((one.job.merchant_id, one.job.id) for one in fresh)
    known = {(merchant, job) for merchant, job in connection.execute(_of(connection, of, c.merchant_id, c.job_id))}
    new = [one for one in fresh if (one.job.merchant_id, one.job.id) not in known]
    if new:
        places = facts.Places(connection, sorted({one.job.merchant_id for one in new}))
        halves = [(one.job.merchant_id, one.job.id) for one in new if one.job.delivered == "part"]
        again = repeats.of_parts(connection, halves)
        made: list[Fact] = []
        for job, read, lines in new:
            same_as = again.get((job.merchant_id, job.id), "")
            found: list[Receipt | None] = [*read] or [None]
            made += [_fact(places, job, n, one, {}, lines, same_as) for n, one in enumerate(found)]
        _recognise(connection, made)
        _settle(connection, [], made, set(of))
        _insert_facts(connection, made)
    if rest := [*known, *repeats.parts_before(connection, of)]:
        _apply(connection, sorted(set(rest)))


def _apply(connection: sa.Connection, of: list[Job]) -> None:
    made = _made(connection, of)
    _settle(connection, stored(connection, of), made, set(of))
    for table in (sold, fact_table):
        connection.execute(sa.delete(table).where(among(connection, (table.c.merchant_id, table.c.job_id), of)))
    _insert_facts(connection, made)


def _settle(connection: sa.Connection, before: list[Fact], after: list[Fact], of: set[Job]) -> None:
    """Decide which of the new facts count, and move the sums from the old ones to them."""
    twins = _twins(connection, [*before, *after], of)
    moved: Sums = defaultdict(lambda: defaultdict(int))
    for fact in before:
        _move(moved, fact, -1)
    for group in _groups([*after, *twins]):
        first = min((f for f in group if f.countable), key=lambda f: (f.job_id, f.n), default=None)
        for fact in group:
            counts = fact.countable if not fact.number else fact is first
            if counts != fact.counted and fact in twins:
                _move(moved, fact, -1)
                fact.counted = counts
                _move(moved, fact, 1)
                _set_counted(connection, fact)
            else:
                fact.counted = counts
    for fact in after:
        _move(moved, fact, 1)
    _add(connection, moved)


def stored(connection: sa.Connection, of: list[Job]) -> list[Fact]:
    """The facts of some jobs as they stand."""
    return _with_items(
        connection, [facts.from_row(row) for row in connection.execute(_of(connection, of, fact_table)).all()]
    )


def _of(connection: sa.Connection, of: list[Job], *columns: Any) -> sa.Select[Any]:
    return sa.select(*columns).where(among(connection, (c.merchant_id, c.job_id), of))


def _with_items(connection: sa.Connection, found: list[Fact]) -> list[Fact]:
    by_key = {(fact.merchant_id, fact.job_id, fact.n): fact for fact in found}
    wanted = sorted({(fact.merchant_id, fact.job_id) for fact in found if fact.countable})
    if wanted:
        mine = among(connection, (sold.c.merchant_id, sold.c.job_id), wanted)
        for row in connection.execute(sa.select(sold).where(mine).order_by(sold.c.item)):
            fact = by_key.get((row.merchant_id, row.job_id, row.n))
            if fact is not None:
                fact.sold.append(facts.Sold(row.item, row.quantity, row.amount))
    return found


def _made(connection: sa.Connection, of: list[Job]) -> list[Fact]:
    """The facts of some jobs as they should be."""
    merchants = sorted({merchant for merchant, _ in of})
    places = facts.Places(connection, merchants)
    fixed = corrections.of_jobs(connection, of)
    again = repeats.of_parts(connection, of)
    read: dict[tuple[str, str], list[Any]] = defaultdict(list)
    query = sa.select(receipts.c.merchant_id, receipts.c.job_id, receipts.c.n, receipts.c.fields)
    these = among(connection, (receipts.c.merchant_id, receipts.c.job_id), of)
    for row in connection.execute(query.where(these).order_by(receipts.c.n)):
        read[row.merchant_id, row.job_id].append(row)
    made: list[Fact] = []
    query = sa.select(*facts.JOB, jobs.c.lines).where(among(connection, (jobs.c.merchant_id, jobs.c.id), of))
    for job in connection.execute(query):
        mine = read[job.merchant_id, job.id]
        same_as = again.get((job.merchant_id, job.id), "")
        said: list[tuple[int, Receipt | None]] = [(row.n, facts.parse(row.fields)) for row in mine]
        for n, receipt in said or [(0, None)]:
            fixes = fixed.get((job.merchant_id, job.id, n), {})
            made.append(_fact(places, job, n, receipt, fixes, job.lines, same_as))
    _recognise(connection, made)
    return made


def _fact(
    places: facts.Places, job: Any, n: int, read: Receipt | None, fixes: dict[str, Any], lines: str | None, same_as: str
) -> Fact:
    shop = places.shop(job.merchant_id, job.box)
    return facts.make(job, n, read, shop, fixes, places.taught(job.merchant_id, shop.id), lines, same_as)


def _recognise(connection: sa.Connection, made: list[Fact]) -> None:
    """Whose receipts they are: by member number, loyalty card, phone, in this order. Who was erased is not named."""
    wanted = {(f.merchant_id, kind, value) for f in made for kind, value in f.known_by()}
    if not wanted:
        return
    columns = (customer_keys.c.merchant_id, customer_keys.c.kind, customer_keys.c.value)
    known = {
        (row.merchant_id, row.kind, row.value): row.customer_id
        for row in connection.execute(sa.select(customer_keys).where(among(connection, columns, sorted(wanted))))
    }
    hashed = sorted({(merchant, facts.digest(merchant, kind, value)) for merchant, kind, value in wanted})
    of = among(connection, (forgotten.c.merchant_id, forgotten.c.digest), hashed)
    erased = {(row.merchant_id, row.digest) for row in connection.execute(sa.select(forgotten).where(of))}
    for fact in made:
        for kind, value in fact.known_by() if erased else ():
            if (fact.merchant_id, facts.digest(fact.merchant_id, kind, value)) in erased:
                setattr(fact, kind, "")
        fact.customer_id = next(
            (known[k] for kind, value in fact.known_by() if (k := (fact.merchant_id, kind, value)) in known), ""
        )


# ---- twins


def _groups(all_facts: list[Fact]) -> Iterable[list[Fact]]:
    groups: dict[Any, list[Fact]] = defaultdict(list)
    for fact in all_facts:
        groups[fact.twin_key() if fact.number else (fact.merchant_id, fact.job_id, fact.n)].append(fact)
    return groups.values()


def _twins(connection: sa.Connection, of: list[Fact], besides: set[tuple[str, str]]) -> list[Fact]:
    """Other countable facts with the same number, time, box, kind and total."""
    keys = {fact.twin_key() for fact in of if fact.number and fact.countable}
    if not keys:
        return []
    same = among(connection, (c.merchant_id, c.number, c.at), sorted({(k[0], k[1], k[2]) for k in keys}))
    rows = connection.execute(sa.select(fact_table).where(same, c.countable)).all()
    found = [facts.from_row(row) for row in rows if (row.merchant_id, row.job_id) not in besides]
    return _with_items(connection, [fact for fact in found if fact.twin_key() in keys])


def _set_counted(connection: sa.Connection, fact: Fact) -> None:
    connection.execute(
        sa.update(fact_table)
        .where(c.merchant_id == fact.merchant_id, c.job_id == fact.job_id, c.n == fact.n)
        .values(counted=fact.counted)
    )


# ---- writing


def _move(moved: Sums, fact: Fact, sign: int) -> None:
    for key, values in contributions(fact):
        into = moved[key]
        for name, value in values.items():
            into[name] += sign * value


def _insert_facts(connection: sa.Connection, made: list[Fact]) -> None:
    insert(connection, fact_table, [facts.to_row(fact) for fact in made])
    rows = [
        {
            "merchant_id": fact.merchant_id,
            "item": item.item,
            "day": fact.day,
            "job_id": fact.job_id,
            "n": fact.n,
            "quantity": float(item.quantity),
            "amount": item.amount,
        }
        for fact in made
        for item in fact.sold
    ]
    if rows:
        insert(connection, sold, rows)
        names = {(fact.merchant_id, item.item): item.name for fact in made for item in fact.sold if item.name}
        values = [{"merchant_id": m, "item": i, "name": name} for (m, i), name in sorted(names.items())]
        statement = _insert(connection, items)
        where = items.c.name != statement.excluded.name
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["merchant_id", "item"], set_={"name": statement.excluded.name}, where=where
            ),
            values,
        )


def _add(connection: sa.Connection, moved: Sums) -> None:
    """Rows in the order of their keys: two workers that meet do not wait for each other in a circle."""
    names = ("merchant_id", "shop", "currency", "dim", "day", "value")
    rows = [
        dict(zip(names, key, strict=True)) | {name: values.get(name, 0) for name in MEASURES}
        for key, values in sorted(moved.items())
        if any(values.values())
    ]
    for row in rows:
        row["quantity"] = float(row["quantity"])
    add(connection, sums, names, rows)


def _insert(connection: sa.Connection, table: sa.Table) -> Any:
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)


# ---- again


def begin_again(connection: sa.Connection, merchant: str) -> None:
    """Count all of a merchant's receipts anew, when a shop's day, zone or place changed: some_again()."""
    connection.execute(sa.delete(figuring).where(figuring.c.merchant_id == merchant))
    connection.execute(sa.insert(figuring).values(merchant_id=merchant, after_job=""))


def some_again(store: Store) -> int:
    """Count one piece of what is to be counted anew -> how many jobs it was."""
    with store.read() as connection:
        if connection.execute(sa.select(figuring.c.merchant_id).limit(1)).first() is None:
            return 0
    with store.write() as connection:
        query = sa.select(figuring).order_by(figuring.c.merchant_id).limit(1)
        row = connection.execute(query.with_for_update(skip_locked=True)).first()
        if row is None:
            return 0
        found = connection.execute(
            sa.select(jobs.c.id)
            .where(
                jobs.c.merchant_id == row.merchant_id,
                jobs.c.id > row.after_job,
                jobs.c.state.notin_(("stored", "erased")),
            )
            .order_by(jobs.c.id)
            .limit(AT_ONCE)
        ).scalars()
        ids = list(found)
        mine = figuring.c.merchant_id == row.merchant_id
        if ids:
            _apply(connection, [(row.merchant_id, job) for job in ids])
            connection.execute(sa.update(figuring).where(mine).values(after_job=ids[-1]))
        else:
            connection.execute(sa.delete(figuring).where(mine))
        return len(ids) or 1
