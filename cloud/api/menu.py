"""The menu and the shop's front, for platforms: read as JSON, replaced as the table that the console exports too."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, Request, Response, get, put
from litestar.params import JSONBody
from msgspec import Meta, Struct

from cloud import fronts, menu_csv, menu_edit
from cloud import menu as menus
from cloud.api.access import who_of
from cloud.api.problem import Problem
from cloud.api.shapes import check_text
from cloud.context import Cloud
from cloud.fronts import Front
from cloud.hours import BadHours, parse

Ask = Request[Any, Any, Any]
Language = Annotated[str, Meta(pattern="^[a-z]{2,3}$")]
NameIn = Annotated[str, Meta(min_length=1, max_length=20)]


class OptionOut(Struct):
    id: str
    names: dict[str, str]
    price: int
    sold_out: bool


class GroupOut(Struct):
    """At least `least`, at most `most` of the options go with the item."""

    id: str
    names: dict[str, str]
    least: int
    most: int
    options: list[OptionOut]


class MenuItemOut(Struct):
    id: str
    code: str
    names: dict[str, str]
    about: dict[str, str]
    price: int
    allergens: list[str]
    sold_out: bool
    hidden: bool
    choices: list[GroupOut]


class CategoryOut(Struct):
    id: str
    names: dict[str, str]
    kitchen: str
    hours: str
    items: list[MenuItemOut]


class MenuOut(Struct):
    """Prices are minor units of `currency`; names have one text for each language."""

    currency: str
    languages: list[str]
    categories: list[CategoryOut]


class FrontIn(Struct):
    """How the shop shows itself. What is left out stays as it is."""

    name: Annotated[str, Meta(min_length=1, max_length=60)] | None = None
    slug: Annotated[str, Meta(max_length=60)] | None = None
    currency: str | None = None
    timezone: Annotated[str, Meta(max_length=60)] | None = None
    languages: Annotated[list[Language], Meta(min_length=1, max_length=6)] | None = None
    hours: Annotated[str, Meta(max_length=300, description="Mon-Fri 11:00-22:00; Sat,Sun 10:00-01:00")] | None = None
    dine_in: bool | None = None
    takeaway: bool | None = None
    delivery: bool | None = None


class FrontOut(Struct):
    name: str
    slug: str
    url: str  # of the black code
    currency: str
    timezone: str
    languages: list[str]
    hours: str
    open: bool
    dine_in: bool
    takeaway: bool
    delivery: bool


class TableOut(Struct):
    id: str
    name: str
    url: str  # of the red code
    generation: int


class TablesIn(Struct):
    """Tables that are not there yet are added."""

    names: Annotated[list[NameIn], Meta(min_length=1, max_length=200)]


class TablesOut(Struct):
    tables: list[TableOut]


class Menus(Controller):
    tags = ("menu",)

    @get("/menu", opt={"scope": "orders:read"}, sync_to_thread=True, summary="The menu")
    def read(self, request: Ask, cloud: Cloud) -> MenuOut:
        merchant = who_of(request).merchant
        return _menu(cloud, merchant)

    @put("/menu", opt={"scope": "orders:write"}, summary="Replace the menu")
    async def replace(self, request: Ask, cloud: Cloud) -> Response[MenuOut]:
        """The body is the table (text/csv) that the console exports. Things with the same names keep their ids."""
        import anyio.to_thread

        body = await request.body()
        return await anyio.to_thread.run_sync(self._replace, request, cloud, body)

    def _replace(self, request: Ask, cloud: Cloud, body: bytes) -> Response[MenuOut]:
        merchant = who_of(request).merchant
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError:
            raise Problem(422, "bad-menu", "The table is not in UTF-8.") from None
        with cloud.store.write() as connection:
            front = fronts.ensure(connection, merchant)
            try:
                new = menu_csv.read(text, front.languages, front.currency, menus.load(connection, merchant))
            except menu_csv.BadRow as error:
                raise Problem(422, "bad-menu", str(error)) from None
            menu_edit.replace_all(connection, merchant, new)
        cloud.bell.ring()
        return Response(_menu(cloud, merchant))

    @get("/front", opt={"scope": "orders:read"}, sync_to_thread=True, summary="How the shop shows itself")
    def front(self, request: Ask, cloud: Cloud) -> FrontOut:
        with cloud.store.write() as connection:
            return _front(cloud, fronts.ensure(connection, who_of(request).merchant))

    @put("/front", opt={"scope": "orders:write"}, sync_to_thread=True, summary="Change it")
    def set_front(self, data: JSONBody[FrontIn], request: Ask, cloud: Cloud) -> FrontOut:
        if errors := check_text(data):
            raise Problem(422, "bad-text", "Control characters are not accepted.", errors=errors)
        values = {name: value for name in data.__struct_fields__ if (value := getattr(data, name)) is not None}
        if "languages" in values:
            values["languages"] = " ".join(dict.fromkeys(values["languages"]))
        try:
            parse(values.get("hours", ""))
        except BadHours as error:
            raise Problem(422, "bad-hours", f"{error}.") from None
        with cloud.store.write() as connection:
            wrong = fronts.change(connection, who_of(request).merchant, values)
            if wrong:
                errors = [{"field": name, "problem": "cannot be so, or is taken"} for name in wrong]
                raise Problem(422, "bad-front", f"This cannot be: {', '.join(wrong)}.", errors=errors)
            return _front(cloud, fronts.ensure(connection, who_of(request).merchant))

    @get("/tables", opt={"scope": "orders:write"}, sync_to_thread=True, summary="Tables, with what their codes say")
    def tables(self, request: Ask, cloud: Cloud) -> TablesOut:
        """With orders:write: whoever knows a table's address may order there."""
        with cloud.store.read() as connection:
            return _tables(cloud, fronts.of(connection, who_of(request).merchant), connection)

    @put("/tables", opt={"scope": "orders:write"}, sync_to_thread=True, summary="Add tables")
    def add_tables(self, data: JSONBody[TablesIn], request: Ask, cloud: Cloud) -> TablesOut:
        if errors := check_text(data):
            raise Problem(422, "bad-text", "Control characters are not accepted.", errors=errors)
        merchant = who_of(request).merchant
        with cloud.store.write() as connection:
            front = fronts.ensure(connection, merchant)
            fronts.add_tables(connection, merchant, data.names)
            return _tables(cloud, front, connection)


def _menu(cloud: Cloud, merchant: str) -> MenuOut:
    with cloud.store.read() as connection:
        front, found = fronts.of(connection, merchant), menus.load(connection, merchant)
    languages = list(front.languages) if front else []
    return MenuOut(front.currency if front else "", languages, [_category(c) for c in found.categories])


def _front(cloud: Cloud, front: Front) -> FrontOut:
    return FrontOut(
        front.name,
        front.slug,
        f"{cloud.config.base}/s/{front.slug}",
        front.currency,
        front.zone.key,
        list(front.languages),
        front.hours,
        front.open_now(),
        front.dine_in,
        front.takeaway,
        front.delivery,
    )


def _tables(cloud: Cloud, front: Front | None, connection: Any) -> TablesOut:
    found = fronts.tables(connection, front.merchant) if front else []
    rows = []
    for table in found:
        assert front is not None
        address = f"{cloud.config.base}/t/{fronts.printed_token(front, table)}"
        rows.append(TableOut(table.id, table.name, address, table.generation))
    return TablesOut(rows)


def _category(category: menus.Category) -> CategoryOut:
    items = []
    for item in category.items:
        choices = [
            GroupOut(g.id, g.names, g.least, g.most, [OptionOut(o.id, o.names, o.price, o.sold_out) for o in g.options])
            for g in item.groups
        ]
        items.append(
            MenuItemOut(
                item.id,
                item.code,
                item.names,
                item.about,
                item.price,
                list(item.allergens),
                item.sold_out,
                item.hidden,
                choices,
            )
        )
    return CategoryOut(category.id, category.names, category.kitchen, category.hours, items)
