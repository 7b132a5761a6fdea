"""How long what is on receipts is kept: the deployment says the most, a merchant may say less; and forgetting the rest.

Two spans. After `raw_days` the bytes of the paper go, and what the box read in them; what was read stays, to be
searched and shown as text. After `receipts_days` all that is on the receipt goes, and whatever names a person in the
figures; keys and hashes stay, so that no receipt is ever stored again, and sums stay as they are.

Each call forgets a bounded piece in one transaction, and remembers how far it came: jobs' ids grow with time, so each
is walked past once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from cloud import audit
from cloud.ids import first_id
from cloud.store.figures import facts
from cloud.store.keeping import keeping
from cloud.store.schema import conflicts, jobs, merchants, papers, receipts, set_aside
from config.cloud import LEAST_RECEIPTS_DAYS, Keep

AT_ONCE = 1000
DAY_MS = 86_400_000
PERSON = ("phone", "member", "card", "customer_id", "last_four")  # of facts: what says who it was


class TooLong(Exception):
    """This merchant cannot keep receipts that long, or that shortly; the text says what is allowed."""


@dataclass(frozen=True, slots=True)
class Spans:
    """In days; 0: for ever."""

    receipts: int
    raw: int


def of(connection: sa.Connection, merchant: str, most: Keep) -> Spans:
    """What holds for this merchant."""
    columns = (keeping.c.receipts_days, keeping.c.raw_days)
    row = connection.execute(sa.select(*columns).where(keeping.c.merchant_id == merchant)).first()
    return _spans(row, most)


def shorten(
    connection: sa.Connection, merchant: str, who: str, most: Keep, receipts_days: int | None, raw_days: int | None
) -> Spans:
    """What the merchant wants from now on; None or 0: as long as the deployment keeps them. Raises TooLong.

    What was forgotten already does not come back."""
    for value, limit, least, what in (
        (receipts_days, most.receipts_days, LEAST_RECEIPTS_DAYS, "receipts"),
        (raw_days, most.raw_days, 1, "papers"),
    ):
        if value and not least <= value <= (limit or 36_500):
            raise TooLong(f"{what} are kept {least} to {limit or 36_500} days here, not {value}")
    values = {"receipts_days": receipts_days or None, "raw_days": raw_days or None}
    if not connection.execute(sa.update(keeping).where(keeping.c.merchant_id == merchant).values(values)).rowcount:
        connection.execute(sa.insert(keeping).values(merchant_id=merchant, **values))
    says = ", ".join(f"{name} {value or '-'}" for name, value in values.items())
    audit.add(connection, merchant, who, "keep.change", merchant, says)
    return of(connection, merchant, most)


def forget(connection: sa.Connection, most: Keep, at_ms: int) -> int:
    """Forget some of what is too old at `at_ms` -> how many jobs were looked at; 0: all is done."""
    query = sa.select(merchants.c.id, keeping).outerjoin(keeping, keeping.c.merchant_id == merchants.c.id)
    count = 0
    for row in connection.execute(query.order_by(merchants.c.id)).all():
        spans = _spans(row, most)
        for days, name, work in ((spans.raw, "raw_to", _raw), (spans.receipts, "receipts_to", _everything)):
            if not days:
                continue
            before, after = first_id(at_ms - days * DAY_MS), getattr(row, name) or ""
            old = sa.select(jobs.c.id).where(jobs.c.merchant_id == row.id, jobs.c.id > after, jobs.c.id < before)
            ids = list(connection.execute(old.order_by(jobs.c.id).limit(AT_ONCE)).scalars())
            for start in range(0, len(ids), 500):
                work(connection, row.id, ids[start : start + 500])
            if ids:
                _came_to(connection, row.id, name, ids[-1])
                count += len(ids)
        if spans.receipts:
            oldest = at_ms - spans.receipts * DAY_MS
            for table, moment in ((conflicts, conflicts.c.received_at), (set_aside, set_aside.c.at)):
                connection.execute(sa.delete(table).where(table.c.merchant_id == row.id, moment < oldest))
    if most.receipts_days:  # what nobody's box sent
        nobodys = (set_aside.c.merchant_id.is_(None), set_aside.c.at < at_ms - most.receipts_days * DAY_MS)
        connection.execute(sa.delete(set_aside).where(*nobodys))
    return count


def _spans(row: Any, most: Keep) -> Spans:
    def least(deployment: int, merchant: int | None) -> int:
        return min((days for days in (deployment, merchant) if days), default=0)

    if row is None:
        return Spans(most.receipts_days, most.raw_days)
    return Spans(least(most.receipts_days, row.receipts_days), least(most.raw_days, row.raw_days))


def _came_to(connection: sa.Connection, merchant: str, name: str, job: str) -> None:
    done = connection.execute(sa.update(keeping).where(keeping.c.merchant_id == merchant).values({name: job}))
    if not done.rowcount:
        connection.execute(sa.insert(keeping).values({"merchant_id": merchant, name: job}))


def _raw(connection: sa.Connection, merchant: str, ids: list[str]) -> None:
    connection.execute(sa.delete(papers).where(papers.c.merchant_id == merchant, papers.c.job_id.in_(ids)))
    waits = (jobs.c.merchant_id == merchant, jobs.c.id.in_(ids), jobs.c.state == "again")
    connection.execute(sa.update(jobs).where(*waits).values(state="read"))  # there is nothing to read again


def _everything(connection: sa.Connection, merchant: str, ids: list[str]) -> None:
    for table in (papers, receipts):
        connection.execute(sa.delete(table).where(table.c.merchant_id == merchant, table.c.job_id.in_(ids)))
    mine = (jobs.c.merchant_id == merchant, jobs.c.id.in_(ids))
    connection.execute(sa.update(jobs).where(*mine).values(state="erased", lines=None))
    theirs = (facts.c.merchant_id == merchant, facts.c.job_id.in_(ids))
    connection.execute(sa.update(facts).where(*theirs).values(dict.fromkeys(PERSON, "")))
