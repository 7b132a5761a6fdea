"""Printing: which part of an order comes out of which printer, in how many copies, and who stands in."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from cloud import menu, routing, rules
from cloud.auth import Who
from cloud.console.desk import Desk
from cloud.console.shop_rules import Chosen, Form, chosen, in_order, pages, place_of, printers_of
from cloud.previews import SAMPLE
from cloud.rules import KINDS, PartRule, Place, Routing
from cloud.strings import Strings
from wire.messages import OrderItem

HOME = "/setup/printing"
INSTEAD = 2  # printers that may stand in, on the page


def routes(desk: Desk) -> list[Any]:
    """`do` of its forms: part | up | down | remove | general."""
    return pages(desk, HOME, "printing.html", _page, _changed)


def _page(connection: sa.Connection, who: Who, asked: dict[str, str], t: Strings) -> dict[str, Any]:
    shop = chosen(connection, who.merchant, asked.get("shop", ""))
    how = rules.load(connection, who.merchant, Routing, shop.id)
    n = asked.get("part", "")
    number = place_of(n, how.parts)
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


def _changed(connection: sa.Connection, who: Who, form: Form, shop: Chosen) -> Routing:
    old = rules.load(connection, who.merchant, Routing, shop.id)
    if form.text("do") == "general":
        instead = [_place(text) for text in form.all("instead")]
        return msgspec.structs.replace(old, move_after_s=form.number("move_after_s") or 15, instead=instead)
    return msgspec.structs.replace(old, parts=in_order(old.parts, form, "part", lambda: _part(form)))


def _part(form: Form) -> PartRule:
    return PartRule(
        form.text("part", 32).lower(),
        label=form.text("label", 100),
        categories=form.all("categories"),
        kinds=form.all("kinds"),
        place=_place(form.text("place", 100)),
        copies=form.number("copies") or 1,
        instead=[_place(text) for text in form.all("instead")],
    )
