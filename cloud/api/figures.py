"""/v1/analytics and /v1/customers: the console's figures and customers, for programs."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
from litestar import Controller, Request, delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct

from cloud import analytics, audit, crm
from cloud.api.access import who_of
from cloud.api.problem import Problem, not_found
from cloud.api.shapes import Short, check_text
from cloud.console.period import Period, period
from cloud.context import Cloud
from cloud.store.figures import customers

Ask = Request[Any, Any, Any]
Day = Annotated[str | None, QueryParameter(description="YYYY-MM-DD, the shop's business day.")]
ENGLISH = {
    "customers.wrong.email": "email is not an e-mail address.",
    "customers.wrong.phone": "phone is not a phone number.",
    "customers.wrong.member": "A part of the member number or card is hidden.",
    "customers.wrong.birthday": "birthday is not a date like 1990-12-03.",
    "customers.wrong.empty": "A name, external_id, e-mail, member, card or phone is needed.",
}


class FigureRow(Struct):
    """What receipts sum up to. `amount` is sales less refunds and voids, in minor units of the answer's currency."""

    name: str
    receipts: int
    amount: int
    quantity: float
    covers: int
    tips: int
    discounts: int
    refunds: int
    refunded: int
    voids: int
    voided: int


class FiguresOut(Struct):
    figure: str
    currency: str
    currencies: list[str]  # others have figures of their own: ask with currency=
    first: str
    last: str
    rows: list[FigureRow]
    total: FigureRow


class CustomerIn(Struct):
    name: Short = ""
    external_id: Short = ""
    email: Annotated[str, Meta(max_length=250)] = ""
    birthday: Annotated[str, Meta(max_length=10, description="YYYY-MM-DD or MM-DD")] = ""
    note: Annotated[str, Meta(max_length=500)] = ""
    member: Annotated[str, Meta(max_length=60)] = ""
    card: Annotated[str, Meta(max_length=40, description="What the loyalty card's code says.")] = ""
    phone: Annotated[str, Meta(max_length=40)] = ""
    consent: bool | None = None
    fields: dict[str, Annotated[str, Meta(max_length=500)]] = {}


class CustomerKey(Struct):
    """What links receipts and orders to a customer."""

    kind: str
    value: str


class CustomerOut(Struct):
    id: str
    name: str
    external_id: str
    email: str
    birthday: str
    note: str
    consent: bool
    fields: dict[str, str]
    keys: list[CustomerKey]


class CustomersOut(Struct):
    customers: list[CustomerOut]
    next: str | None


FIGURES = ("day", "hour", "weekday", "item", "category", "table", "cashier", "payment", "shop")


class Analytics(Controller):
    path = "/analytics"
    tags = ("analytics",)

    @get("/{figure:str}", opt={"scope": "receipts:read"}, sync_to_thread=True, summary="Sales by day, hour, item, …")
    def figure(
        self,
        figure: FromPath[str],
        request: Ask,
        cloud: Cloud,
        first: Day = None,
        last: Day = None,
        shop: Annotated[str | None, QueryParameter(description="A shop's id; - is the first. None: all.")] = None,
        currency: Annotated[str | None, QueryParameter(description="None: the one most receipts name.")] = None,
    ) -> FiguresOut:
        """figure: day, hour, weekday, item, category, table, cashier, payment, shop."""
        if figure not in FIGURES:
            raise not_found()
        asked = {"from": first or "", "to": last or "", "shop": shop or ""}
        if currency is not None:
            asked["currency"] = currency
        with cloud.store.read() as connection:
            p = period(connection, who_of(request).merchant, asked)
            if p.problem:
                raise Problem(422, "bad-days", "first and last are days like 2026-11-22, first not after last.")
            if currency is not None and p.span.currency != currency.replace("-", ""):
                raise Problem(422, "bad-currency", f"No receipt of these days is in {currency[:10]}.")
            rows = [_row(name, value) for name, value in _rows(connection, p, figure)]
            total = _row("total", analytics.totals(connection, p.span))
        span = p.span
        return FiguresOut(
            figure, span.currency, p.currencies, span.first.isoformat(), span.last.isoformat(), rows, total
        )


def _rows(connection: sa.Connection, p: Period, figure: str) -> list[tuple[str, analytics.Sums]]:
    if figure in ("day", "weekday"):
        days = analytics.by_day(connection, p.span)
        if figure == "day":
            return [(day.isoformat(), value) for day, value in days.items()]
        return [(str(n), value) for n, value in enumerate(analytics.by_weekday(days))]
    if figure == "item":
        return [(dish.name, dish.sums) for dish in analytics.dishes(connection, p.span)]
    if figure == "category":
        return analytics.by_category(analytics.dishes(connection, p.span))
    if figure == "shop":
        return analytics.by_shop(connection, p.span)
    found = analytics.by_value(connection, p.span, figure)
    return sorted(found) if figure == "hour" else found


def _row(name: str, value: analytics.Sums) -> FigureRow:
    return FigureRow(
        name,
        value.receipts,
        value.amount,
        value.quantity,
        value.covers,
        value.tips,
        value.discounts,
        value.refunds,
        value.refunded,
        value.voids,
        value.voided,
    )


class CustomersApi(Controller):
    path = "/customers"
    tags = ("customers",)

    @get("/", opt={"scope": "receipts:read"}, sync_to_thread=True, summary="Customers")
    def list(
        self,
        request: Ask,
        cloud: Cloud,
        after: FromQuery[str] = "",
        limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    ) -> CustomersOut:
        merchant = who_of(request).merchant
        mine = (customers.c.merchant_id == merchant, customers.c.id > after)
        with cloud.store.read() as connection:
            ids = connection.execute(sa.select(customers.c.id).where(*mine).order_by(customers.c.id).limit(limit + 1))
            found = list(ids.scalars())
            out = [_customer(connection, merchant, one) for one in found[:limit]]
        return CustomersOut(out, found[limit - 1] if len(found) > limit else None)

    @post("/", opt={"scope": "orders:write"}, status_code=200, sync_to_thread=True, summary="Add or change one")
    def keep(self, data: JSONBody[CustomerIn], request: Ask, cloud: Cloud) -> CustomerOut:
        """The one with the same external_id, member, card or phone is changed; empty values change nothing."""
        if errors := check_text(data):
            raise Problem(422, "bad-text", "Control characters are not accepted.", errors=errors)
        who = who_of(request)
        with cloud.store.read() as connection:
            country = crm.country_of(connection, who.merchant)
        try:
            one = crm.checked(crm.Customer(**{f: getattr(data, f) for f in data.__struct_fields__}), country)
        except crm.BadCustomer as error:
            raise Problem(422, "bad-customer", ENGLISH[error.key]) from None
        with cloud.store.write() as connection:
            key, _ = crm.keep(connection, who.merchant, one, "api")
            audit.add(connection, who.merchant, who.name, "customer.keep", key)
            return _customer(connection, who.merchant, key)

    @get("/{customer_id:str}", opt={"scope": "receipts:read"}, sync_to_thread=True)
    def one(self, customer_id: FromPath[str], request: Ask, cloud: Cloud) -> CustomerOut:
        with cloud.store.read() as connection:
            return _customer(connection, who_of(request).merchant, customer_id)

    @delete("/{customer_id:str}", opt={"scope": "orders:write"}, status_code=204, sync_to_thread=True)
    def erase(self, customer_id: FromPath[str], request: Ask, cloud: Cloud) -> None:
        """The person is forgotten; receipts stay, and no longer name them."""
        who = who_of(request)
        with cloud.store.write() as connection:
            if not crm.erase(connection, who.merchant, customer_id, who.name):
                raise not_found()


def _customer(connection: sa.Connection, merchant: str, customer: str) -> CustomerOut:
    found = crm.of(connection, merchant, customer)
    if found is None:
        raise not_found()
    r, keys = found
    fields, linked = msgspec.json.decode(r.fields), [CustomerKey(*key) for key in keys]
    return CustomerOut(r.id, r.name, r.external_id, r.email, r.birthday, r.note, r.consent, fields, linked)
