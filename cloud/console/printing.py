"""Printing: which part of an order comes out of which printer, in how many copies, and who stands in."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa
from litestar import Response, get, post

from cloud import menu, routing, rules
from cloud.api.problem import not_found
from cloud.auth import Who
from cloud.console.access import back, read, written
from cloud.console.desk import HIDDEN, Ask, Desk
from cloud.console.shop_rules import Form, chosen, form_of, printers_of, save
from cloud.previews import SAMPLE
from cloud.rules import KINDS, PartRule, Place, Routing
from cloud.strings import Strings
from wire.messages import OrderItem

HOME = "/setup/printing"
INSTEAD = 2  # printers that may stand in, on the page


def routes(desk: Desk) -> list[Any]:
    @get(HOME, **HIDDEN)
    async def page(request: Ask) -> Response[str]:
        who = await desk.reader(request, "orders:write")
        t, asked = desk.language(request), dict(request.query_params)
        values = await read(desk, lambda c: _page(c, who, asked, t))
        return desk.page(request, who, "printing.html", **values)

    @post(HOME, status_code=303, **HIDDEN)
    async def change(request: Ask) -> Response[Any]:
        """`do`: part | up | down | remove | general."""
        who = await desk.acting(request, "orders:write")
        form = await form_of(request)

        def work(connection: sa.Connection) -> str:
            shop = chosen(connection, who.merchant, form.text("shop", 64))
            old = rules.load(connection, who.merchant, Routing, shop.id)
            save(connection, who, _changed(old, form), shop.id)
            return HOME + shop.query

        return back(await written(desk, work))

    return [page, change]


def _page(connection: sa.Connection, who: Who, asked: dict[str, str], t: Strings) -> dict[str, Any]:
    shop = chosen(connection, who.merchant, asked.get("shop", ""))
    how = rules.load(connection, who.merchant, Routing, shop.id)
    n = asked.get("part", "")
    number = int(n) if n.isascii() and n.isdecimal() and int(n) < len(how.parts) else None
    stations = {c.kitchen for c in menu.load(connection, who.merchant).categories if c.kitchen}
    named = {name for part in how.parts for name in part.categories if name != "*"}
    known = sorted(stations | named)
    printers = printers_of(connection, who.merchant)
    return {
        "shop": shop,
        "how": how,
        "number": number,
        "part": how.parts[number] if number is not None else PartRule("kitchen" if not how.parts else ""),
        "editing": number is not None or n == "new",
        "printers": printers,
        "places_known": [f"{box}/{printer}" for box, printer, _ in printers],
        "stations": known,
        "kinds": KINDS,
        "instead": INSTEAD,
        "place": place_text,
        "sample": _sample(how, known),
    }


def _sample(how: Routing, stations: list[str]) -> list[routing.Part]:
    """How an order with an item for each station would come out."""
    items = [OrderItem(name, 1, category=name) for name in stations or [""]]
    return routing.split(msgspec.structs.replace(SAMPLE, items=items, kind="takeaway"), how)


def place_text(place: Place) -> str:
    """
    >>> place_text(Place("cafe-1", "bar")), place_text(Place())
    ('cafe-1/bar', '')
    """
    return f"{place.box}/{place.printer}" if place.box or place.printer else ""


def _place(text: str) -> Place:
    box, _, printer = text.partition("/")
    return Place(box, printer)


def _changed(old: Routing, form: Form) -> Routing:
    do, number = form.text("do"), form.number("number")
    instead = [_place(text) for text in form.all("instead")]
    if do == "general":
        return msgspec.structs.replace(old, move_after_s=form.number("move_after_s") or 15, instead=instead)
    parts = list(old.parts)
    if number is not None and number >= len(parts):
        raise not_found()
    if do == "part":
        made = PartRule(
            form.text("part", 32).lower(),
            label=form.text("label", 100),
            categories=form.all("categories"),
            kinds=form.all("kinds"),
            place=_place(form.text("place", 100)),
            copies=form.number("copies") or 1,
            instead=instead,
        )
        parts = [*parts, made] if number is None else [*parts[:number], made, *parts[number + 1 :]]
    elif do == "remove" and number is not None:
        del parts[number]
    elif do in ("up", "down") and number is not None:
        other = number + (1 if do == "down" else -1)
        if 0 <= other < len(parts):
            parts[number], parts[other] = parts[other], parts[number]
    else:
        raise not_found()
    return msgspec.structs.replace(old, parts=parts)
