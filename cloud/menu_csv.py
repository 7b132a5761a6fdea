"""A menu as a table for a spreadsheet, and back. Pure.

Each row is a category, an item of the category above it, a choice of the item above it, or an option of the choice
above it. Names have a column for each language; prices are written as people write them: 3.40.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any

from cloud.hours import BadHours, parse
from cloud.menu import ALLERGENS, Category, Group, Item, Menu, Names, Option
from receipt.model import minor_digits

MOST_ROWS = 5000
MOST_PRICE = 10_000_000_00
KITCHEN = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
YES = ("yes", "y", "1", "true", "x")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run it (A17): written with a ' in front


class BadRow(Exception):
    """A row that cannot be read: which, and why."""


def columns(languages: tuple[str, ...]) -> list[str]:
    names = [f"name:{lang}" for lang in languages] + [f"about:{lang}" for lang in languages]
    more = ["code", "kitchen", "hours", "allergens", "least", "most", "sold_out", "hidden"]
    return ["row", *names[: len(languages)], "price", *names[len(languages) :], *more]


def write(menu: Menu, languages: tuple[str, ...], currency: str) -> str:
    out = io.StringIO()
    rows = csv.DictWriter(out, columns(languages), restval="", lineterminator="\r\n")
    rows.writeheader()

    def row(kind: str, names: Names, **more: Any) -> None:
        said = {f"name:{lang}": names.get(lang, "") for lang in languages}
        rows.writerow({name: _safe(str(value)) for name, value in {"row": kind, **said, **more}.items()})

    for category in menu.categories:
        row("category", category.names, kitchen=category.kitchen, hours=category.hours)
        for item in category.items:
            row(
                "item",
                item.names,
                price=written(item.price, currency),
                code=item.code,
                allergens=" ".join(item.allergens),
                sold_out="yes" if item.sold_out else "",
                hidden="yes" if item.hidden else "",
                **{f"about:{lang}": item.about.get(lang, "") for lang in languages},
            )
            for group in item.groups:
                row("choice", group.names, least=group.least, most=group.most)
                for option in group.options:
                    gone = "yes" if option.sold_out else ""
                    row("option", option.names, price=written(option.price, currency), sold_out=gone)
    return out.getvalue()


def as_csv(rows: list[list[str]]) -> str:
    """Rows of whatever spreadsheet as the text that read() takes."""
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()


def read(text: str, languages: tuple[str, ...], currency: str, old: Menu) -> Menu:
    """What was in `old` under the same names keeps its ids. Raises BadRow."""
    table = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    have = {name.strip().lower() for name in table.fieldnames or ()}
    if not {"row", f"name:{languages[0]}"} <= have:
        raise BadRow(f"The first line must name the columns: {', '.join(columns(languages)[:4])} …")
    categories: list[Category] = []
    try:
        for number, cells in enumerate(table, 2):
            if number > MOST_ROWS:
                raise BadRow(f"More than {MOST_ROWS} rows.")
            plain = {str(k or "").strip().lower(): _plain(v if isinstance(v, str) else "") for k, v in cells.items()}
            if any(plain.values()):
                try:
                    _take(plain, languages, currency, categories)
                except BadRow as error:
                    raise BadRow(f"Row {number}: {error}") from None
    except csv.Error as error:
        raise BadRow(f"This is no CSV: {error}") from None
    return keep_ids(Menu(tuple(categories)), old, languages[0])


def _take(cells: dict[str, str], languages: tuple[str, ...], currency: str, into: list[Category]) -> None:
    kind = cells.get("row", "").lower()
    names = {lang: cells[f"name:{lang}"] for lang in languages if cells.get(f"name:{lang}")}
    if not names:
        raise BadRow("it has no name.")
    if any(len(name) > 100 for name in names.values()):
        raise BadRow("a name is longer than 100 characters.")
    if kind == "category":
        kitchen, hours = cells.get("kitchen", "").lower(), cells.get("hours", "")
        into.append(Category("", names, checked_kitchen(kitchen), checked_hours(hours), ()))
        return
    if not into:
        raise BadRow("the first row must be a category.")
    over = into[-1]
    if kind == "item":
        item = Item(
            "",
            cells.get("code", "")[:20],
            names,
            {lang: cells[f"about:{lang}"][:300] for lang in languages if cells.get(f"about:{lang}")},
            price(cells.get("price", ""), currency),
            checked_allergens(cells.get("allergens", "")),
            cells.get("sold_out", "").lower() in YES,
            cells.get("hidden", "").lower() in YES,
            (),
            over.kitchen,
            over.hours,
        )
        into[-1] = replace(over, items=(*over.items, item))
        return
    if not over.items:
        raise BadRow(f"a {kind!r} needs an item above it.")
    last = over.items[-1]
    if kind == "choice":
        group = Group("", names, number(cells.get("least", ""), 0), number(cells.get("most", ""), 1), ())
        if group.least > group.most or group.most < 1:
            raise BadRow("least is more than most.")
        groups = (*last.groups, group)
    elif kind == "option":
        if not last.groups:
            raise BadRow("an option needs a choice above it.")
        cost = price(cells.get("price", "") or "0", currency)
        option = Option("", names, cost, cells.get("sold_out", "").lower() in YES)
        group = last.groups[-1]
        groups = (*last.groups[:-1], replace(group, options=(*group.options, option)))
    else:
        raise BadRow(f"{kind!r} is none of category, item, choice, option.")
    into[-1] = replace(over, items=(*over.items[:-1], replace(last, groups=groups)))


def keep_ids(new: Menu, old: Menu, language: str) -> Menu:
    """Things with the same name at the same place are the same things."""

    def name(thing: Any) -> str:
        return thing.names.get(language) or next(iter(thing.names.values()), "")

    def match(mine: tuple[Any, ...], theirs: tuple[Any, ...], deeper: Callable[[Any, Any], Any]) -> tuple[Any, ...]:
        known = {name(thing): thing for thing in theirs}
        return tuple(deeper(thing, known.pop(name(thing), None)) for thing in mine)

    def option(mine: Option, same: Option | None) -> Option:
        return replace(mine, id=same.id) if same else mine

    def group(mine: Group, same: Group | None) -> Group:
        return replace(mine, id=same.id, options=match(mine.options, same.options, option)) if same else mine

    def item(mine: Item, same: Item | None) -> Item:
        return replace(mine, id=same.id, groups=match(mine.groups, same.groups, group)) if same else mine

    def category(mine: Category, same: Category | None) -> Category:
        return replace(mine, id=same.id, items=match(mine.items, same.items, item)) if same else mine

    return Menu(match(new.categories, old.categories, category))


# ---- what is written in fields, here and in the editor


def price(text: str, currency: str) -> int:
    """As people write it -> minor units. Raises BadRow.

    >>> price("3.40", "EUR"), price("3,4", "EUR"), price("500", "JPY")
    (340, 340, 500)
    """
    digits = minor_digits(currency)
    try:
        value = Decimal(text.strip().replace(",", ".")) * 10**digits
    except InvalidOperation:
        raise BadRow(f"{text!r} is no price like 3.40.") from None
    if not value.is_finite() or value != value.to_integral_value():
        raise BadRow(f"{text!r} has more than {digits} decimals.")
    if not 0 <= value <= MOST_PRICE:
        raise BadRow(f"{text!r} is no price that we can take.")
    return int(value)


def written(amount: int, currency: str) -> str:
    digits = minor_digits(currency)
    return f"{amount / 10**digits:.{digits}f}" if digits else str(amount)


def number(text: str, otherwise: int) -> int:
    if not text.strip():
        return otherwise
    if not (text.strip().isascii() and text.strip().isdigit()) or int(text) > 30:
        raise BadRow(f"{text!r} is no number from 0 to 30.")
    return int(text)


def checked_kitchen(text: str) -> str:
    if text and not KITCHEN.fullmatch(text):
        raise BadRow(f"{text!r}: a kitchen is a word like kitchen or bar.")
    return text


def checked_hours(text: str) -> str:
    try:
        parse(text)
    except BadHours as error:
        raise BadRow(f"{error}.") from None
    return text


def checked_allergens(text: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(re.findall(r"[a-z]+", text.lower())))
    if unknown := [word for word in found if word not in ALLERGENS]:
        raise BadRow(f"{unknown[0]!r} is none of: {', '.join(ALLERGENS)}.")
    return found


def _safe(text: str) -> str:
    return "'" + text if text.startswith(FORMULA) else text


def _plain(text: str) -> str:
    text = text.strip()
    text = text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text
    return "".join(c for c in text if c.isprintable())
