"""The menu in the console: what is sold out, at one tap; items, choices and categories; the table for a spreadsheet."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio.to_thread
import sqlalchemy as sa
from litestar import Response, get, post
from litestar.datastructures import UploadFile
from litestar.params import FromPath

from cloud import audit, fronts, menu, menu_csv, menu_edit, rules, spreadsheets
from cloud.api.problem import Problem, not_found
from cloud.console.access import back, read, written
from cloud.console.desk import HIDDEN, Ask, Desk
from cloud.fronts import Front
from cloud.menu import ALLERGENS, Category, Group, Item, Menu, Names, Option, said
from cloud.menu_csv import BadRow
from cloud.strings import said as said_again

HOME = "/setup/menu"
SPARE = 2  # empty lines for options to come
MOST_FILE = 200_000


def routes(desk: Desk) -> list[Any]:
    desk.templates.filters.update(said=said, written=menu_csv.written)

    @get(HOME, **HIDDEN)
    async def listed(request: Ask) -> Response[str]:
        who = await desk.reader(request, "orders:read")
        front, found = await read(desk, lambda c: (fronts.of(c, who.merchant), menu.load(c, who.merchant)))
        may = "orders:write" in who.scopes
        return desk.page(request, who, "menu.html", front=front, menu=found, may=may)

    @get(HOME + "/table.csv", **HIDDEN)
    async def export(request: Ask) -> Response[bytes]:
        who = await desk.reader(request, "orders:read")
        front, found = await read(desk, lambda c: (fronts.of(c, who.merchant), menu.load(c, who.merchant)))
        languages, currency = (front.languages, front.currency) if front else (("en",), "EUR")
        text = "\ufeff" + menu_csv.write(found, languages, currency)
        name = {"Content-Disposition": 'attachment; filename="menu.csv"'}
        return Response(text.encode(), media_type="text/csv; charset=utf-8", headers=name)

    @post(HOME + "/table", status_code=303, **HIDDEN)
    async def load(request: Ask) -> Response[Any]:
        who = await desk.acting(request, "orders:write")
        file = (await request.form()).get("file")
        data = await file.read() if isinstance(file, UploadFile) else str(file or "").encode()
        if len(data) > MOST_FILE:
            raise Problem(413, "too-large", f"The table has more than {MOST_FILE} bytes.")
        try:
            text = menu_csv.as_csv(await anyio.to_thread.run_sync(spreadsheets.rows, data))
        except spreadsheets.BadFile as error:
            raise Problem(422, "bad-menu", said_again(error.key)) from None

        def work(connection: sa.Connection) -> None:
            front = fronts.ensure(connection, who.merchant)
            new = _fine(
                lambda: menu_csv.read(text, front.languages, front.currency, menu.load(connection, who.merchant))
            )
            menu_edit.replace_all(connection, who.merchant, new)
            audit.add(connection, who.merchant, who.name, "menu.load", "all", f"{len(data)} bytes")

        await written(desk, work)
        return back(HOME)

    @post(HOME + "/categories", status_code=303, **HIDDEN)
    async def add_category(request: Ask) -> Response[Any]:
        who = await desk.acting(request, "orders:write")
        form = await _form(request)

        def work(connection: sa.Connection) -> None:
            front = fronts.ensure(connection, who.merchant)
            menu_edit.save_category(connection, who.merchant, _category(form, front, ""))

        await written(desk, work)
        return back(HOME)

    @post(HOME + "/categories/{category_id:str}", status_code=303, **HIDDEN)
    async def save_category(category_id: FromPath[str], request: Ask) -> Response[Any]:
        who = await desk.acting(request, "orders:write")
        form = await _form(request)

        def work(connection: sa.Connection) -> None:
            known, front = menu.load(connection, who.merchant), fronts.ensure(connection, who.merchant)
            if not any(category.id == category_id for category in known.categories):
                raise not_found()
            if form.get("do") == "remove":
                menu_edit.remove_category(connection, who.merchant, category_id)
            elif form.get("do") in ("up", "down"):
                menu_edit.move(connection, who.merchant, known, category_id, -1 if form["do"] == "up" else 1)
            else:
                menu_edit.save_category(connection, who.merchant, _category(form, front, category_id))

        await written(desk, work)
        return back(HOME)

    @get(HOME + "/items/{item_id:str}", **HIDDEN)
    async def item(item_id: FromPath[str], request: Ask) -> Response[str]:
        """`new`: an empty one for ?category=ID."""
        who = await desk.reader(request, "orders:write")
        front, known = await read(desk, lambda c: (fronts.of(c, who.merchant), menu.load(c, who.merchant)))
        if front is None:
            raise not_found()
        return _editor(request, who, front, known, item_id, request.query_params.get("category", ""))

    def _editor(request: Ask, who: Any, front: Front, known: Menu, item_id: str, wanted: str) -> Response[str]:
        over = next((c for c in known.categories if c.id == wanted or any(i.id == item_id for i in c.items)), None)
        found = known.item(item_id)
        if over is None or (found is None and item_id != "new"):
            raise not_found()
        blank = Item("", "", {}, {}, 0, (), False, False, (), "", "")
        return desk.page(
            request,
            who,
            "menu_item.html",
            front=front,
            item=found or blank,
            category=over,
            categories=known.categories,
            allergens=ALLERGENS,
            spare=SPARE,
        )

    @post(HOME + "/items/{item_id:str}", status_code=303, **HIDDEN)
    async def save_item(item_id: FromPath[str], request: Ask) -> Response[Any]:
        who = await desk.acting(request, "orders:write")
        form = await _form(request)

        def work(connection: sa.Connection) -> None:
            known, front = menu.load(connection, who.merchant), fronts.ensure(connection, who.merchant)
            old = known.item(item_id)
            if old is None and item_id != "new":
                raise not_found()
            act = form.get("do", "")
            if act == "remove" and old is not None:
                menu_edit.remove_item(connection, who.merchant, old.id)
            elif act in ("up", "down") and old is not None:
                menu_edit.move(connection, who.merchant, known, old.id, -1 if act == "up" else 1)
            else:
                category_id = form.get("category", "")
                if not any(category.id == category_id for category in known.categories):
                    raise not_found()
                made = _fine(lambda: _item(form, front, old))
                menu_edit.save_item(connection, who.merchant, category_id, made)
            audit.add(connection, who.merchant, who.name, "menu.item", item_id, act)

        await written(desk, work)
        return back(HOME)

    @post(HOME + "/items/{item_id:str}/sold-out", status_code=303, **HIDDEN)
    async def sold_out(item_id: FromPath[str], request: Ask) -> Response[Any]:
        who = await desk.acting(request, "orders:write")
        gone = (await _form(request)).get("gone") == "yes"
        if not await written(desk, lambda c: menu_edit.sold_out(c, who.merchant, item_id, gone)):
            raise not_found()
        return back(f"{HOME}#i-{item_id}")

    return [listed, export, load, add_category, save_category, item, save_item, sold_out]


async def _form(request: Ask) -> dict[str, str]:
    """Fields, stripped; of several with one name all, by spaces. Control characters and what is too long: 422."""
    form, found = await request.form(), {}
    for name in form:
        text = " ".join(str(value).strip() for value in form.getall(name))
        if len(text) > 500 or not text.isprintable():
            raise Problem(422, "bad-text", f"{name[:40]}: at most 500 characters, none of them a control character.")
        found[name] = text
    return found


def _fine(work: Any) -> Any:
    try:
        return work()
    except BadRow as error:
        text = str(error)
        raise Problem(422, "bad-menu", text[:1].upper() + text[1:]) from None


def _names(form: dict[str, str], front: Front, start: str, most: int = 100) -> Names:
    found = {lang: form.get(f"{start}:{lang}", "")[:most] for lang in front.languages}
    return {lang: text for lang, text in found.items() if text}


def _category(form: dict[str, str], front: Front, category_id: str) -> Category:
    names = _names(form, front, "name")
    if not names:
        raise Problem(422, "bad-menu", "Give the category a name.")
    try:
        kitchen = menu_csv.checked_kitchen(form.get("kitchen", "").lower())
        return Category(category_id, names, kitchen, menu_csv.checked_hours(form.get("hours", "")), ())
    except BadRow as error:
        raise Problem(422, "bad-menu", str(error)) from None


def _item(form: dict[str, str], front: Front, old: Item | None) -> Item:
    names = _names(form, front, "name")
    if not names:
        raise BadRow("Give the item a name.")
    blank = Item("", "", {}, {}, 0, (), False, False, (), "", "")
    return replace(
        old or blank,
        code=form.get("code", "")[:20],
        names=names,
        about=_names(form, front, "about", 300),
        price=menu_csv.price(form.get("price", ""), front.currency),
        allergens=menu_csv.checked_allergens(form.get("allergens", "")),
        sold_out=form.get("sold_out") == "yes",
        hidden=form.get("hidden") == "yes",
        groups=tuple(_groups(form, front, old)),
    )


def _groups(form: dict[str, str], front: Front, old: Item | None) -> list[Group]:
    """Choices whose names were left empty are gone; ids that the item had stay."""
    mine = {group.id for group in old.groups} if old else set()
    options = {option.id for group in old.groups for option in group.options} if old else set()
    found = []
    for n in range(20):
        start = f"g{n}"
        names = _names(form, front, f"{start}-name")
        if not names:
            continue
        chosen = []
        for m in range(40):
            row = f"{start}-o{m}"
            says = _names(form, front, f"{row}-name")
            if says:
                cost = menu_csv.price(form.get(f"{row}-price") or "0", front.currency)
                known = form.get(f"{row}-id", "")
                chosen.append(Option(known if known in options else "", says, cost, form.get(f"{row}-gone") == "yes"))
        least = menu_csv.number(form.get(f"{start}-least", ""), 0)
        most = menu_csv.number(form.get(f"{start}-most", ""), 1)
        if not chosen or least > most or most < 1 or least > len(chosen):
            raise BadRow(f"{said(names)}: give it options, and least and most that fit them.")
        known = form.get(f"{start}-id", "")
        found.append(Group(known if known in mine else "", names, least, most, tuple(chosen)))
    return found


def zone_for_rules(connection: sa.Connection, merchant: str, zone: str, who: str) -> None:
    """The shop's time zone stands in one place for people: its front. The rules of review follow."""
    review = rules.load(connection, merchant, rules.Review)
    if review.zone != zone:
        review.zone = zone
        rules.save(connection, merchant, review, who)
