"""Customers: who they are, segments and cohorts, import with a preview, export, consent and erasure."""

from __future__ import annotations

from typing import Any

import anyio.to_thread
import msgspec
import sqlalchemy as sa
from litestar import Response, get, post
from litestar.params import FromPath

from cloud import audit, crm, crms, imports, segments, spreadsheets, tables
from cloud.api.problem import Problem, not_found
from cloud.auth import Who
from cloud.console.desk import HIDDEN, Ask, Desk
from cloud.console.period import period
from cloud.spreadsheets import Sheet
from cloud.store.figures import customers, uploads
from cloud.strings import Strings
from wire.messages import now_ms, uuid7

SHOWN = 200
DAY_MS = 86_400_000


def routes(desk: Desk) -> list[Any]:
    pages = Customers(desk)

    @get("/customers", **HIDDEN)
    async def listed(request: Ask) -> Response[str]:
        who = await desk.reader(request, "receipts:read")
        values = await anyio.to_thread.run_sync(pages.listed, who, dict(request.query_params))
        return desk.page(request, who, "customers.html", **values)

    @get("/customers/import", **HIDDEN)
    async def form(request: Ask) -> Response[str]:
        who = await desk.reader(request, "orders:write")
        return desk.page(request, who, "customers_import.html", problem="", sheet=None, done=None, upload="")

    @post("/customers/import", status_code=200, request_max_body_size=spreadsheets.MOST_BYTES + 1_000_000, **HIDDEN)
    async def take(request: Ask) -> Response[str]:
        who = await desk.acting(request, "orders:write")
        sent = await request.form()
        file: Any = sent.get("file")
        data = await file.read() if hasattr(file, "read") else b""
        values = await anyio.to_thread.run_sync(pages.take, who, dict(sent), data)
        return desk.page(request, who, "customers_import.html", 422 if values["problem"] else 200, **values)

    @get("/customers/export/{kind:str}", **HIDDEN)
    async def export(kind: FromPath[str], request: Ask) -> Response[bytes]:
        who = await desk.reader(request, "receipts:read")
        if kind not in tables.KINDS:
            raise not_found()
        t, asked = desk.language(request), dict(request.query_params)
        table = await anyio.to_thread.run_sync(pages.export, who, asked, t)
        return tables.answer(table, kind, "customers")

    @get("/customers/{customer_id:str}", **HIDDEN)
    async def one(customer_id: FromPath[str], request: Ask) -> Response[str]:
        who = await desk.reader(request, "receipts:read")
        values = await anyio.to_thread.run_sync(pages.one, who, customer_id)
        return desk.page(request, who, "customer.html", **values)

    @post("/customers/{customer_id:str}/{action:str}", status_code=303, **HIDDEN)
    async def act(customer_id: FromPath[str], action: FromPath[str], request: Ask) -> Response[Any]:
        who = await desk.acting(request, "orders:write")
        sent = dict(await request.form())
        await anyio.to_thread.run_sync(pages.act, who, customer_id, action, sent)
        return desk.back(request, sent, "/customers" if action == "erase" else f"/customers/{customer_id}")

    return [listed, form, take, export, one, act]


class Customers:
    def __init__(self, desk: Desk) -> None:
        self._store = desk.cloud.store

    def _visits(self, connection: sa.Connection, who: Who, asked: dict[str, str]) -> tuple[Any, list[Any]]:
        p = period(connection, who.merchant, {**asked, "range": "365"})
        return p, segments.visits(connection, who.merchant, p.span.currency, p.today)

    def listed(self, who: Who, asked: dict[str, str]) -> dict[str, Any]:
        q, segment = asked.get("q", "").strip()[:100], asked.get("segment", "")
        with self._store.read() as connection:
            p, visits = self._visits(connection, who, asked)
            habits, cohorts = segments.habits(visits, p.today), segments.cohorts(visits, p.today)
            share = segments.matched(connection, who.merchant, visits, p.today)
            born = segments.birthdays(connection, who.merchant, p.today)
            mine = customers.c.merchant_id == who.merchant
            count = connection.execute(sa.select(sa.func.count()).select_from(customers).where(mine)).scalar_one()
            names = None
            if q:
                plain = q.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
                like = sa.or_(
                    *(customers.c[n].ilike(f"%{plain}%", escape="\\") for n in ("name", "email", "external_id"))
                )
                names = connection.execute(sa.select(customers).where(mine, like).limit(SHOWN)).all()
        return {
            "p": p,
            "q": q,
            "segment": segment,
            "sizes": segments.sizes(habits),
            "segments": [name for name in segments.SEGMENTS if name != "none"],
            "habits": _chosen(habits, segment, born)[:SHOWN],
            "birthdays": len(_chosen(habits, "birthday", born)),
            "lapsed": sum(1 for habit in habits if habit.lapsed),
            "names": names,
            "share": share,
            "cohorts": cohorts,
            "count": count,
            "may": "orders:write" in who.scopes,
            "crms": [(kind, found.TITLE) for kind in crms.names() if (found := crms.crm(kind))],
        }

    def export(self, who: Who, asked: dict[str, str], t: Strings) -> tables.Table:
        """A segment. Only those who agreed to be written to carry an address."""
        with self._store.read() as connection:
            p, visits = self._visits(connection, who, asked)
            born = segments.birthdays(connection, who.merchant, p.today)
            chosen = _chosen(segments.habits(visits, p.today), asked.get("segment", ""), born)
            mine = customers.c.merchant_id == who.merchant
            rows = {row.id: row for row in connection.execute(sa.select(customers).where(mine))}
        names = ("name", "external_id", "email", "birthday", "consent", "segment", "visits", "spent", "last")
        out: list[list[tables.Cell]] = []
        for habit in chosen:
            row = rows[habit.customer]
            spent = tables.money(habit.spent, p.span.currency)
            mail = row.email if row.consent else ""
            said = t(f"customers.segment.{habit.segment}")
            last = habit.last.isoformat()
            out.append(
                [row.name, row.external_id, mail, row.birthday, int(row.consent), said, habit.visits, spent, last]
            )
        return tables.Table(t("console.nav.customers"), [t(f"customers.column.{n}") for n in names], out)

    def one(self, who: Who, customer: str) -> dict[str, Any]:
        with self._store.read() as connection:
            found = crm.of(connection, who.merchant, customer)
            if found is None:
                raise not_found()
            row, keys = found
            p, visits = self._visits(connection, who, {})
            habits = segments.habits(visits, p.today)
            return {
                "customer": row,
                "keys": keys,
                "fields": msgspec.json.decode(row.fields),
                "habit": next((habit for habit in habits if habit.customer == customer), None),
                "favourites": segments.favourites(connection, who.merchant, customer),
                "orders": crm.orders_of(connection, who.merchant, keys),
                "p": p,
                "may": "orders:write" in who.scopes,
            }

    def act(self, who: Who, customer: str, action: str, form: dict[str, Any]) -> None:
        with self._store.write() as connection:
            if crm.of(connection, who.merchant, customer) is None:
                raise not_found()
            mine = (customers.c.merchant_id == who.merchant, customers.c.id == customer)
            if action == "erase":
                crm.erase(connection, who.merchant, customer, who.name)
            elif action == "consent":
                agreed = form.get("consent") == "1"
                connection.execute(sa.update(customers).where(*mine).values(consent=agreed, consent_at=now_ms()))
                audit.add(connection, who.merchant, who.name, "customer.consent", customer, str(agreed).lower())
            elif action == "note":
                text = str(form.get("note", ""))[:500]
                connection.execute(sa.update(customers).where(*mine).values(note=text.replace("\x00", "")))
            else:
                raise not_found()

    def take(self, who: Who, form: dict[str, Any], data: bytes) -> dict[str, Any]:
        """A file: its preview. An upload with its columns: the import."""
        upload = str(form.get("upload", ""))[:40]
        out: dict[str, Any] = {"problem": "", "sheet": None, "done": None, "upload": ""}
        if upload:
            data = self._uploaded(who.merchant, upload)
        try:
            sheet = spreadsheets.read(data)
        except spreadsheets.BadFile as error:
            return {**out, "problem": error.key}
        if upload:
            mapping = [str(form.get(f"column{n}", "")) for n in range(len(sheet.head))]
            mapping = [m if m in (*imports.TARGETS, "-") else "" for m in mapping]
            return {**out, "done": self._taken(who, upload, sheet, mapping)}
        at, u = now_ms(), uploads.c
        row = {"merchant_id": who.merchant, "id": uuid7(), "name": "", "data": data, "created_at": at}
        with self._store.write() as connection:
            connection.execute(sa.delete(uploads).where(u.created_at < at - DAY_MS))
            connection.execute(sa.insert(uploads).values(**row))
        guess = imports.guess(sheet.head)
        return {**out, "upload": row["id"], "sheet": sheet, "guess": guess, "targets": imports.TARGETS}

    def _uploaded(self, merchant: str, upload: str) -> bytes:
        mine = (uploads.c.merchant_id == merchant, uploads.c.id == upload)
        with self._store.read() as connection:
            stored = connection.execute(sa.select(uploads.c.data).where(*mine)).scalar()
        if stored is None:
            raise Problem(422, "upload-gone", "The file is gone: choose it again.")
        return bytes(stored)

    def _taken(self, who: Who, upload: str, sheet: Sheet, mapping: list[str]) -> imports.Outcome:
        """Piece by piece; where that ends in the middle, the file is still there, and taking it again does no harm."""
        done, u = imports.Outcome(), uploads.c
        for begin in range(0, len(sheet.rows), imports.AT_ONCE):
            with self._store.write() as connection:
                imports.take(connection, who.merchant, sheet, mapping, done, begin)
        with self._store.write() as connection:
            connection.execute(sa.delete(uploads).where(u.merchant_id == who.merchant, u.id == upload))
            detail = f"{done.new} new, {done.known} known, {len(done.wrong)} wrong"
            audit.add(connection, who.merchant, who.name, "customers.import", "", detail)
        return done


def _chosen(habits: list[Any], segment: str, born: set[str]) -> list[Any]:
    """`born`: whose birthday is near."""
    if segment == "birthday":
        return [habit for habit in habits if habit.customer in born]
    if segment == "lapsed":
        return [habit for habit in habits if habit.lapsed]
    return [habit for habit in habits if not segment or habit.segment == segment]
