"""Find receipts: by what is on them, and by what they count. Newest first, a page at a time; always of one merchant.

What has an index (number, amount, member, card, table, item, customer, day) is found at once in any number of receipts.
Text is looked for in the papers themselves, newest first, for at most LOOK_S; the answer says how far back that came,
and from where to look on.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, fields
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa
import sqlalchemy.ext.compiler

from cloud import corrections, phones
from cloud.facts import Places, as_kept, fold
from cloud.store.figures import facts, items, sold
from cloud.store.schema import jobs

LOOK_S = 0.2
PAPERS_AT_A_LOOK = 2000
AT_A_LOOK = 20_000  # receipts, by their fields
LOOKED_AT = 100_000  # for a count that no index helps
MOST_COUNTED = 10_000
SELDOM = 1000  # receipts with an item
LAST_DAY = "9999-12-29"
ONE_OF = ("shop", "box", "kind", "payment", "cashier", "table", "number", "last_four", "customer", "currency")
INDEXED = {"number", "member", "last_four", "table", "customer", "amount", "check"}
ITEMS = {"item", "also", "category"}  # an index leads to them where they are bought seldom
COLUMN = {"table": "table_name", "customer": "customer_id"}
HAS: dict[str, sa.ColumnElement[bool]] = {
    "tip": facts.c.tip != 0,
    "discount": facts.c.discount != 0,
    "covers": facts.c.covers > 0,
    "back": facts.c.kind.in_(("refund", "void")),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look for; empty: all. Days are the shop's business days, times its clock."""

    q: str = ""  # anything: a number, an amount, a member, a card's last four, an item, words on the paper
    first: str = ""  # YYYY-MM-DD
    last: str = ""
    weekday: str = ""  # 0 = Monday
    hour: str = ""
    begins: str = ""  # HH:MM
    ends: str = ""
    shop: str | None = None  # "" is the first shop
    box: str = ""
    kind: str = ""
    payment: str | None = None
    cashier: str | None = None
    table: str | None = None
    number: str = ""
    member: str = ""
    last_four: str = ""
    item: str = ""
    also: str = ""  # an item that stands on it too
    category: str | None = None  # of one of its items; "": of one that has none
    has: str = ""  # one of HAS
    customer: str = ""
    currency: str | None = None
    amount: str = ""
    least: str = ""
    most: str = ""
    check: bool = False  # only what a person should look at
    counted: bool = False  # only what figures stand on
    papers: bool = False  # look into the papers, even where something is found by its field

    def fields(self) -> dict[str, str]:
        """What was asked, for a link."""
        out = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if value is True:
                out[f.name] = "1"
            elif value is not None and value is not False and (value != "" or f.default is None):
                out[f.name] = str(value)
        return out


@dataclass(frozen=True, slots=True)
class Found:
    rows: list[Any]  # of `facts`, with the item names' job text left out
    next: str  # where to go on; "": there is no more
    back_to: str = ""  # papers were looked through down to this time, and there are more


class Impossible(Exception):
    """A filter that cannot hold a value; `field` names it."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


def find(connection: sa.Connection, merchant: str, wanted: Wanted, limit: int = 50, after: str = "") -> Found:
    """Raises Impossible."""
    where, often = conditions(connection, merchant, wanted)
    ways = _ways(connection, merchant, wanted.q, wanted.currency or "") if wanted.q and not wanted.papers else []
    if ways:
        rows = _page(connection, [*where, sa.or_(*ways)], limit, after) if len(ways) == 1 else []
        if len(ways) > 1:
            each = [_page(connection, [*where, way], limit, after) for way in ways]
            rows = sorted({_key(row): row for some in each for row in some}.items(), reverse=True)
            rows = [row for _, row in rows][: limit + 1]
        if rows or after:
            return _cut(rows, limit)
    over = _over(merchant, wanted)
    if wanted.q:
        return _looked_through(connection, over, [*where, _says(wanted.q)], PAPERS_AT_A_LOOK, limit, after)
    if _by_index(wanted, often):
        return _cut(_page(connection, where, limit, after), limit)
    return _looked_through(connection, over, where, AT_A_LOOK, limit, after)


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are, and currency -> sum of what counts of them; `more`: there are more than were looked at."""

    receipts: int = 0
    worth: dict[str, int] = field(default_factory=dict)
    more: bool = False


def counted(connection: sa.Connection, merchant: str, wanted: Wanted) -> Count:
    """Not for words on the paper."""
    where, often = conditions(connection, merchant, wanted)
    ways = _ways(connection, merchant, wanted.q, wanted.currency or "") if wanted.q else [sa.true()]
    if not ways:
        return Count()
    c, more = facts.c, False
    if not wanted.q and not _by_index(wanted, often):
        most = AT_A_LOOK if often else LOOKED_AT
        far = sa.select(c["at"]).where(*_over(merchant, wanted)).order_by(c["at"].desc()).offset(most).limit(1)
        if (last := connection.execute(far).scalar()) is not None:
            where.append(c["at"] > last)
            more = True
    each = [_some(sa.select(c.job_id, c.n, c.currency, c.total, c.counted).where(*where, way)) for way in ways]
    some = each[0].subquery() if len(each) == 1 else sa.union(*(sa.select(one.subquery()) for one in each)).subquery()
    worth = sa.func.sum(sa.case((some.c.counted, some.c.total), else_=0))
    rows = connection.execute(sa.select(some.c.currency, sa.func.count(), worth).group_by(some.c.currency)).all()
    count = sum(row[1] for row in rows)
    return Count(count, {row[0]: int(row[2] or 0) for row in rows if row[2]}, more or count >= MOST_COUNTED)


def _by_index(wanted: Wanted, often: bool) -> bool:
    """Whether an index leads to what is wanted, or nothing but days is. `often`: see conditions()."""
    asked = wanted.fields().keys()
    return bool(asked & INDEXED) or (bool(asked & ITEMS) and not often) or not asked - {"first", "last"}


def _over(merchant: str, wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    """The receipts of these days. A business day lies within two of the calendar: the index on `at` is used for it."""
    at = facts.c["at"]
    where: list[sa.ColumnElement[bool]] = [facts.c.merchant_id == merchant]
    if wanted.first:
        where.append(at >= wanted.first)
    if wanted.last:
        end = date.fromisoformat(wanted.last) + timedelta(days=2) if wanted.last < LAST_DAY else date.max
        where.append(at < end.isoformat())
    return where


def _some(query: sa.Select[Any]) -> sa.Select[Any]:
    """The newest, at most MOST_COUNTED: in the order of the index, so that no more are looked at."""
    return query.order_by(facts.c["at"].desc()).limit(MOST_COUNTED)


def conditions(connection: sa.Connection, merchant: str, wanted: Wanted) -> tuple[list[sa.ColumnElement[bool]], bool]:
    """Without `q`; and whether it is about items that are all bought often, so that no index leads to them.
    Raises Impossible."""
    c, names = facts.c, _names(connection, merchant, wanted)
    often = bool(names)
    where = _over(merchant, wanted)
    for name in ONE_OF:
        value = getattr(wanted, name)
        if value is not None and (value or name in ("shop", "payment", "cashier", "table", "currency")):
            where.append(c[COLUMN.get(name, name)] == value)
    day = sa.func.substr(c.day, 1, 10)  # not by the index on day: its order is not the page's
    if wanted.first:
        where.append(day >= wanted.first)
    if wanted.last:
        where.append(day <= wanted.last)
    if wanted.member:
        where.append(c.member == as_kept(wanted.member))
    if wanted.hour:
        where.append(c.hour == _whole(wanted.hour, "hour"))
    if wanted.weekday:
        where.append(_weekday() == str((_whole(wanted.weekday, "weekday") + 1) % 7))
    if wanted.begins:
        where.append(sa.func.substr(c["at"], 12, 5) >= wanted.begins)
    if wanted.ends:
        where.append(sa.func.substr(c["at"], 12, 5) <= wanted.ends)
    for name, compare in (("amount", "eq"), ("least", "ge"), ("most", "le")):
        text = getattr(wanted, name)
        if text:
            try:
                value = corrections.minor(text, wanted.currency)
            except ValueError:
                raise Impossible(name) from None
            where.append({"eq": c.total == value, "ge": c.total >= value, "le": c.total <= value}[compare])
    for one_of in names:
        on_it, many = _with_one_of(connection, merchant, one_of, wanted)
        where.append(on_it)
        often = often and many
    if wanted.has:
        if wanted.has not in HAS:
            raise Impossible("has")
        where.append(HAS[wanted.has])
    if wanted.check:
        where.append(c.to_check)
    if wanted.counted:
        where.append(c.counted)
    return where, often


def _names(connection: sa.Connection, merchant: str, wanted: Wanted) -> list[list[str]]:
    """Lists of items, of each of which one is on the receipt."""
    out = [[fold(item)] for item in (wanted.item, wanted.also) if item]
    if wanted.category is not None:
        these = sa.select(items.c.item).where(items.c.merchant_id == merchant, items.c.category == wanted.category)
        out.append(list(connection.execute(these).scalars()))
    return out


def _with_one_of(
    connection: sa.Connection, merchant: str, names: list[str], wanted: Wanted
) -> tuple[sa.ColumnElement[bool], bool]:
    """Of what is bought seldom, the receipts are looked up; of what is bought often (True), enough are among the
    newest."""
    one_of = sold.c.item == names[0] if len(names) == 1 else sold.c.item.in_(sorted(names))
    mine = [sold.c.merchant_id == merchant, one_of]
    mine += [sold.c.day >= wanted.first] if wanted.first else []
    mine += [sold.c.day <= wanted.last] if wanted.last else []
    some = connection.execute(sa.select(sold.c.job_id).where(*mine).limit(SELDOM + 1)).scalars().all()
    if len(some) <= SELDOM:
        seldom: sa.ColumnElement[bool] = facts.c.job_id.in_(sorted(set(some)))
        return seldom, False
    often: sa.ColumnElement[bool] = sa.exists().where(
        *mine[:2],
        sold.c.day == facts.c.day,
        sold.c.job_id == facts.c.job_id,
        sold.c.n == facts.c.n,
    )
    return often, True


def _weekday() -> sa.ColumnElement[str]:
    """0 = Sunday, as text: SQLite's strftime and PostgreSQL's dow agree on that."""
    return _Weekday(facts.c.day)


class _Weekday(sa.sql.functions.GenericFunction[str]):
    type = sa.Text()
    inherit_cache = True
    name = "weekday_of"


@sa.ext.compiler.compiles(_Weekday, "sqlite")
def _sqlite_weekday(element: Any, compiler: Any, **kw: Any) -> str:
    return f"strftime('%w', {compiler.process(element.clauses, **kw)})"


@sa.ext.compiler.compiles(_Weekday, "postgresql")
def _postgresql_weekday(element: Any, compiler: Any, **kw: Any) -> str:
    return f"extract(dow from ({compiler.process(element.clauses, **kw)})::date)::text"


def _ways(connection: sa.Connection, merchant: str, q: str, currency: str) -> list[sa.ColumnElement[bool]]:
    """The fields that `q` may be the whole value of; each has an index."""
    c, text = facts.c, q.strip()
    ways: list[sa.ColumnElement[bool]] = []
    plain = text.removeprefix("#").removeprefix("No. ").strip()
    if plain and " " not in plain:
        ways.append(c.number == plain)
    if as_kept(plain):
        ways.append(c.member == as_kept(plain))
    if len(plain) == 4 and plain.isdecimal():
        ways.append(c.last_four == plain)
    if any(sign in text for sign in ".,€$£¥") and sum(x.isdecimal() for x in text) >= 2 and len(text) < 20:
        try:
            ways.append(c.total == corrections.minor(text, currency or None))
        except ValueError:
            pass
    if phones.folded(text):
        countries = {shop.dials_from for shop in Places(connection, [merchant]).all(merchant)}
        ways.append(c.phone.in_(sorted({phones.folded(text, country) for country in countries})))
    return ways


def _says(q: str) -> sa.ColumnElement[bool]:
    """Words on the paper."""
    pattern = "%" + q.strip().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    paper = sa.select(jobs.c.lines).where(jobs.c.merchant_id == facts.c.merchant_id, jobs.c.id == facts.c.job_id)
    return paper.scalar_subquery().ilike(pattern, escape="\\")


def _looked_through(
    connection: sa.Connection, over: list[Any], where: list[Any], piece: int, limit: int, after: str
) -> Found:
    """What no index finds: `piece` receipts of `over` at a time, newest first, for at most LOOK_S."""
    end, cursor = time.monotonic() + LOOK_S, after
    rows: list[sa.Row[Any]] = []
    key = (facts.c["at"], facts.c.job_id, facts.c.n)
    while True:
        here = [*over, *_below(cursor)]
        ends = sa.select(*key).where(*here).order_by(*_order()).offset(piece - 1).limit(1)
        last = connection.execute(ends).first()
        these = [sa.tuple_(*key) >= tuple(last), facts.c["at"] >= last.at] if last else []
        query = sa.select(facts).where(*here, *these, *where).order_by(*_order()).limit(limit + 1 - len(rows))
        rows += connection.execute(query).all()
        if len(rows) > limit:
            return _cut(rows[: limit + 1], limit)
        if last is None:
            return Found(rows, "")
        cursor = _cursor(last)
        if time.monotonic() > end:
            return Found(rows, cursor, back_to=last.at)


def _page(connection: sa.Connection, where: list[Any], limit: int, after: str) -> list[Any]:
    return list(
        connection.execute(sa.select(facts).where(*where, *_below(after)).order_by(*_order()).limit(limit + 1)).all()
    )


def _order() -> tuple[Any, ...]:
    return facts.c["at"].desc(), facts.c.job_id.desc(), facts.c.n.desc()


def _key(row: Any) -> tuple[str, str, int]:
    return row.at, row.job_id, row.n


def _cursor(row: Any) -> str:
    return f"{row.at}_{row.job_id}_{row.n}"


def _below(after: str) -> list[sa.ColumnElement[bool]]:
    pieces = after.split("_")
    if len(pieces) != 3 or not pieces[2].isdecimal():
        return []
    c = facts.c
    return [c["at"] <= pieces[0], sa.tuple_(c["at"], c.job_id, c.n) < (pieces[0], pieces[1], int(pieces[2]))]


def _cut(rows: list[Any], limit: int) -> Found:
    return Found(rows[:limit], _cursor(rows[limit - 1]) if len(rows) > limit else "")


def _whole(text: str, field: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 3:
        raise Impossible(field)
    return int(text)
