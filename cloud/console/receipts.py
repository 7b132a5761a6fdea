"""Receipts: search, one as it looked on paper beside what was read, corrections, what to look at, export."""

from __future__ import annotations

import dataclasses
from dataclasses import fields, replace
from datetime import date
from typing import Any

import anyio.to_thread
import msgspec
import sqlalchemy as sa
from litestar import Response, get, post
from litestar.params import FromPath

from cloud import corrections, figures, search, tables, teaching, views
from cloud.api.problem import Problem, not_found
from cloud.auth import Who
from cloud.console.desk import HIDDEN, Ask, Desk
from cloud.console.paper import png_of
from cloud.facts import SURE, Places, parse
from cloud.search import Impossible, Wanted
from cloud.store.figures import corrections as corrections_table
from cloud.store.figures import customers, facts
from cloud.store.rows import among
from cloud.store.schema import jobs, receipts
from cloud.strings import Strings
from receipt.model import Kind, Pay, Receipt

AT_ONCE = 50
MOST_EXPORTED = 20_000
PLAIN = {f.name for f in fields(Wanted)}
MAYBE = ("shop", "payment", "cashier", "table", "currency", "category")  # "-" asks for those without


def routes(desk: Desk) -> list[Any]:
    cloud = desk.cloud
    pages = Receipts(desk)

    @get("/receipts", **HIDDEN)
    async def listed(request: Ask) -> Response[str]:
        who = await desk.reader(request, "receipts:read")
        asked = dict(request.query_params)
        values = await anyio.to_thread.run_sync(pages.found, who, asked)
        return desk.page(request, who, "receipts.html", **values)

    @get("/receipts/export/{kind:str}", **HIDDEN)
    async def export(kind: FromPath[str], request: Ask) -> Response[bytes]:
        who = await desk.reader(request, "receipts:read")
        if kind not in tables.KINDS:
            raise not_found()
        t, asked = desk.language(request), dict(request.query_params)
        return await anyio.to_thread.run_sync(pages.export, who, asked, kind, t)

    @get("/receipts/{receipt_id:str}", **HIDDEN)
    async def receipt(receipt_id: FromPath[str], request: Ask) -> Response[str]:
        who = await desk.reader(request, "receipts:read")
        values = await anyio.to_thread.run_sync(pages.shown, who, receipt_id)
        return desk.page(request, who, "receipt.html", **values)

    @get("/receipts/{receipt_id:str}/picture", **HIDDEN)
    async def picture(receipt_id: FromPath[str], request: Ask) -> Response[bytes]:
        who = await desk.who(request)
        if who is None:
            raise Problem(401, "logged-out", "Log in again.")
        png = await anyio.to_thread.run_sync(pages.drawn, who, receipt_id)
        return Response(png, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})

    @post("/receipts/{receipt_id:str}/correct", status_code=303, **HIDDEN)
    async def correct(receipt_id: FromPath[str], request: Ask) -> Response[Any]:
        who = await desk.acting(request, "orders:write")
        form = await request.form()
        wrong = await anyio.to_thread.run_sync(pages.correct, who, receipt_id, dict(form))
        if wrong:
            values = await anyio.to_thread.run_sync(pages.shown, who, receipt_id)
            return desk.page(request, who, "receipt.html", 422, **{**values, "wrong": wrong})
        cloud.bell.ring()
        return desk.back(request, form, f"/receipts/{receipt_id}")

    return [listed, export, receipt, picture, correct]


class Receipts:
    def __init__(self, desk: Desk) -> None:
        self._cloud = desk.cloud

    def found(self, who: Who, asked: dict[str, str]) -> dict[str, Any]:
        wanted, wrong = wanted_of(asked)
        with self._cloud.store.read() as connection:
            try:
                page = search.find(connection, who.merchant, wanted, AT_ONCE, asked.get("after", "")[:200])
                count = search.Count() if page.back_to else search.counted(connection, who.merchant, wanted)
            except Impossible as error:
                page, count, wrong = search.Found([], ""), search.Count(), error.field
            shops = Places(connection, [who.merchant]).all(who.merchant)
            names = {b.id for b in views.box_list(connection, who.merchant, journals=False)}
            to_check = search.counted(connection, who.merchant, Wanted(check=True)).receipts
            customer = self._customer(connection, who.merchant, wanted.customer)
            previews = _previews(connection, who.merchant, page.rows)
        return {
            "page": page,
            "wanted": wanted,
            "link": wanted.fields(),
            "wrong": wrong,
            "count": count,
            "shops": shops,
            "boxes": sorted(names),
            "to_check": to_check,
            "customer": customer,
            "previews": previews,
            "kinds": [k.value for k in Kind],
            "pays": [p.value for p in Pay],
        }

    def _customer(self, connection: sa.Connection, merchant: str, customer: str) -> str:
        if not customer:
            return ""
        mine = (customers.c.merchant_id == merchant, customers.c.id == customer)
        return connection.execute(sa.select(customers.c.name).where(*mine)).scalar() or ""

    def export(self, who: Who, asked: dict[str, str], kind: str, t: Strings) -> Response[bytes]:
        wanted, _ = wanted_of(asked)
        rows: list[Any] = []
        with self._cloud.store.read() as connection:
            try:
                after = ""
                while len(rows) < MOST_EXPORTED:
                    page = search.find(connection, who.merchant, wanted, 5000, after)
                    rows += page.rows
                    after = page.next
                    if not after:
                        break
            except Impossible as error:
                raise Problem(422, "bad-filter", t("receipts.wrong_filter", field=error.field)) from None
        names: tuple[str, ...] = (
            "at",
            "shop",
            "number",
            "kind",
            "total",
            "currency",
            "payment",
            "last_four",
            "table_name",
            "cashier",
        )
        names += ("member", "covers", "tip", "discount", "counted", "job_id")
        head = [t(f"receipts.column.{name}") for name in names]
        table = tables.Table(t("console.nav.receipts"), head, [_cells(row, names) for row in rows[:MOST_EXPORTED]])
        return tables.answer(table, kind, "receipts")

    def shown(self, who: Who, receipt_id: str) -> dict[str, Any]:
        with self._cloud.store.read() as connection:
            found = views.receipt(connection, who.merchant, receipt_id)
            if found is None:
                raise not_found()
            raw = views.raw(connection, who.merchant, receipt_id)
            mine = (receipts.c.merchant_id == who.merchant, receipts.c.job_id == receipt_id)
            read = [
                parse(row.fields)
                for row in connection.execute(sa.select(receipts.c.fields).where(*mine).order_by(receipts.c.n))
            ] or [Receipt()]
            fixed = corrections.of_jobs(connection, [(who.merchant, receipt_id)])
            c = corrections_table.c
            said = connection.execute(
                sa.select(corrections_table).where(c.merchant_id == who.merchant, c.job_id == receipt_id)
            ).all()
            rows = connection.execute(
                sa.select(facts).where(facts.c.merchant_id == who.merchant, facts.c.job_id == receipt_id)
            ).all()
            names = self._names(connection, who.merchant, rows)
        lines = str(found.text).split("\n")
        parts = [
            Part(n, one, fixed.get((who.merchant, receipt_id, n), {}), lines, next((r for r in rows if r.n == n), None))
            for n, one in enumerate(read)
        ]
        return {
            "receipt": found,
            "drawn": raw is not None,
            "parts": parts,
            "said": said,
            "names": names,
            "may": "orders:write" in who.scopes,
            "wrong": {},
            "kinds": [k.value for k in Kind],
            "pays": [p.value for p in Pay],
            "sure": SURE,
        }

    def _names(self, connection: sa.Connection, merchant: str, rows: Any) -> dict[str, str]:
        wanted = [row.customer_id for row in rows if row.customer_id]
        mine = (customers.c.merchant_id == merchant, customers.c.id.in_(wanted))
        return {row.id: row.name for row in connection.execute(sa.select(customers).where(*mine))} if wanted else {}

    def drawn(self, who: Who, receipt_id: str) -> bytes:
        with self._cloud.store.read() as connection:
            found = views.receipt(connection, who.merchant, receipt_id)
            raw = views.raw(connection, who.merchant, receipt_id)
        if found is None:
            raise not_found()
        return png_of(self._cloud.pictures, raw, str(found.text))

    def correct(self, who: Who, receipt_id: str, form: dict[str, Any]) -> dict[str, str]:
        """What was changed is kept -> {field: what is wrong with it}; nothing is kept where anything is wrong."""
        n = int(form["n"]) if str(form.get("n", "")).isdecimal() and len(str(form["n"])) < 4 else 0
        with self._cloud.store.write() as connection:
            mine = (jobs.c.merchant_id == who.merchant, jobs.c.id == receipt_id)
            job = connection.execute(sa.select(jobs.c.id, jobs.c.box, jobs.c.lines).where(*mine)).first()
            if job is None:
                raise not_found()
            of = (receipts.c.merchant_id == who.merchant, receipts.c.job_id == receipt_id)
            texts = list(connection.execute(sa.select(receipts.c.fields).where(*of).order_by(receipts.c.n)).scalars())
            if n >= max(1, len(texts)):
                raise not_found()
            read = parse(texts[n] if texts else None)
            before = corrections.of_jobs(connection, [(who.merchant, receipt_id)])
            now = corrections.corrected(read, before.get((who.merchant, receipt_id, n), {}))
            new: dict[str, Any] = {}
            wrong: dict[str, str] = {}
            for name in corrections.FIELDS:
                if name not in form:
                    continue
                try:
                    value = corrections.understood(name, str(form[name])[:200], form.get("currency") or now.currency)
                except corrections.BadCorrection as error:
                    wrong[name] = error.key
                    continue
                if value != value_of(now, name):
                    new[name] = value
            if wrong:
                return wrong
            was = {name: value_of(read, name) for name in new}
            corrections.keep(connection, who.merchant, receipt_id, n, new, was, who.name)
            shop = Places(connection, [who.merchant]).shop(who.merchant, job.box)
            teaching.learn(connection, who.merchant, shop.id, read, new, str(job.lines or "").split("\n"))
            figures.apply(connection, [(who.merchant, receipt_id)])
        return {}


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """One receipt of a job, with what a person said of it."""

    n: int
    read: Receipt
    fixes: dict[str, Any]
    lines: list[str]
    fact: Any

    @property
    def now(self) -> Receipt:
        return corrections.corrected(self.read, self.fixes)

    def rows(self) -> list[dict[str, Any]]:
        """Field by field: value, how sure, the line it came from, whether a person said it."""
        out = []
        for name in corrections.FIELDS:
            finding = self.read.findings.get({"payment": "tenders"}.get(name, name))
            line = finding.line if finding is not None else None
            out.append(
                {
                    "name": name,
                    "value": value_of(self.now, name),
                    "money": name in corrections.MONEY,
                    "confidence": finding.confidence if finding is not None else None,
                    "line": line,
                    "text": self.lines[line].strip() if line is not None and 0 <= line < len(self.lines) else "",
                    "fixed": name in self.fixes,
                    "was": value_of(self.read, name),
                }
            )
        return out


def value_of(receipt: Receipt, name: str) -> Any:
    if name == "kind":
        return receipt.kind.value
    if name == "payment":
        return receipt.tenders[0].method.value if receipt.tenders else None
    if name == "time":
        return receipt.time[:5] if receipt.time else None
    return getattr(receipt, name)


def wanted_of(asked: dict[str, str]) -> tuple[Wanted, str]:
    """The query of an address -> what to look for, and the field that could not be understood."""
    values: dict[str, Any] = {}
    wrong = ""
    for name, text in asked.items():
        text = text.strip()[:200].replace("\x00", "")
        if name not in PLAIN or text == "":
            continue
        if name in ("check", "counted", "papers"):
            values[name] = text == "1"
        elif name in ("first", "last"):
            try:
                values[name] = date.fromisoformat(text).isoformat()
            except ValueError:
                wrong = name
        else:
            values[name] = "" if text == "-" and name in MAYBE else text
    wanted = Wanted(**values)
    if wanted.first and wanted.last and wanted.first > wanted.last:
        wanted, wrong = replace(wanted, first="", last=""), "first"
    return wanted, wrong


def _previews(connection: sa.Connection, merchant: str, rows: list[Any]) -> dict[tuple[str, int], str]:
    """The first items of each, in a line."""
    keys = [(merchant, row.job_id) for row in rows]
    if not keys:
        return {}
    query = sa.select(receipts.c.job_id, receipts.c.n, receipts.c["items"])
    out = {}
    for row in connection.execute(query.where(among(connection, (receipts.c.merchant_id, receipts.c.job_id), keys))):
        try:
            names = [str(item.get("name", "")) for item in msgspec.json.decode(row.items)[:4]]
        except (msgspec.MsgspecError, AttributeError):
            names = []
        out[row.job_id, row.n] = ", ".join(name for name in names if name)[:120]
    return out


def _cells(row: Any, names: tuple[str, ...]) -> list[tables.Cell]:
    out: list[tables.Cell] = []
    for name in names:
        value = getattr(row, name)
        if name in ("total", "tip", "discount"):
            value = tables.money(value, row.currency)
        elif name == "counted":
            value = int(value)
        elif name == "at":
            value = value.replace("T", " ")
        out.append(value)
    return out
