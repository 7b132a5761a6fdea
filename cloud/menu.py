"""A shop's menu as values, and what a choice of it costs. Prices come from here alone, never from a customer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
import sqlalchemy as sa

from cloud.hours import is_open
from cloud.store.counter import menu_categories, menu_groups, menu_items, menu_options

ALLERGENS = (  # the fourteen of EU Regulation 1169/2011, annex II
    "gluten",
    "crustaceans",
    "eggs",
    "fish",
    "peanuts",
    "soy",
    "milk",
    "nuts",
    "celery",
    "mustard",
    "sesame",
    "sulphites",
    "lupin",
    "molluscs",
)
MOST_OF_ONE = 20
MOST_LINES = 40
Names = dict[str, str]


@dataclass(frozen=True, slots=True)
class Option:
    id: str
    names: Names
    price: int
    sold_out: bool


@dataclass(frozen=True, slots=True)
class Group:
    """At least `least`, at most `most` of its options go with an item."""

    id: str
    names: Names
    least: int
    most: int
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Item:
    id: str
    code: str
    names: Names
    about: Names
    price: int
    allergens: tuple[str, ...]
    sold_out: bool
    hidden: bool
    groups: tuple[Group, ...]
    kitchen: str
    hours: str

    def served(self, when: datetime) -> bool:
        return is_open(self.hours, when)


@dataclass(frozen=True, slots=True)
class Category:
    id: str
    names: Names
    kitchen: str
    hours: str
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Menu:
    categories: tuple[Category, ...]

    def items(self) -> Iterator[Item]:
        return (item for category in self.categories for item in category.items)

    def item(self, item_id: str) -> Item | None:
        return next((item for item in self.items() if item.id == item_id), None)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a basket: what was chosen, as it is kept."""

    item: str
    quantity: int = 1
    options: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Priced:
    """A line with what it is today. `trouble`: "", gone | sold_out | not_now | options; such a line costs nothing."""

    line: Line
    item: Item | None
    options: tuple[Option, ...] = ()
    unit: int = 0
    trouble: str = ""

    @property
    def amount(self) -> int:
        return self.unit * self.line.quantity


@dataclass(frozen=True, slots=True)
class Bill:
    lines: tuple[Priced, ...] = field(default=())

    @property
    def total(self) -> int:
        return sum(line.amount for line in self.lines)

    @property
    def count(self) -> int:
        return sum(line.line.quantity for line in self.lines)

    @property
    def trouble(self) -> bool:
        return any(line.trouble for line in self.lines)


def said(names: Names, *languages: str) -> str:
    """A name in the first of these languages that has it, else in any.

    >>> said({"en": "Soup", "zh": "汤"}, "zh"), said({"en": "Soup"}, "zh"), said({}, "zh")
    ('汤', 'Soup', '')
    """
    return next((names[lang] for lang in languages if names.get(lang)), next(iter(names.values()), ""))


def price(menu: Menu, basket: list[Line], when: datetime) -> Bill:
    return Bill(tuple(_priced(menu, line, when) for line in basket))


def _priced(menu: Menu, line: Line, when: datetime) -> Priced:
    item = menu.item(line.item)
    if item is None or item.hidden:
        return Priced(line, None, trouble="gone")
    if item.sold_out:
        return Priced(line, item, trouble="sold_out")
    if not item.served(when):
        return Priced(line, item, trouble="not_now")
    wanted, chosen = set(line.options), []
    for group in item.groups:
        mine = [option for option in group.options if option.id in wanted]
        if not group.least <= len(mine) <= group.most:
            return Priced(line, item, trouble="options")
        if any(option.sold_out for option in mine):
            return Priced(line, item, trouble="option_sold_out")
        chosen += mine
    if len(chosen) != len(wanted):
        return Priced(line, item, trouble="options")
    return Priced(line, item, tuple(chosen), item.price + sum(option.price for option in chosen))


def load(connection: sa.Connection, merchant: str) -> Menu:
    """Four reads, whatever its size."""

    def rows(table: sa.Table) -> sa.CursorResult[sa.Row]:  # type: ignore[type-arg]
        return connection.execute(
            sa.select(table).where(table.c.merchant_id == merchant).order_by(table.c.position, table.c.id)
        )

    options: dict[str, list[Option]] = defaultdict(list)
    for row in rows(menu_options):
        options[row.group_id].append(Option(row.id, _names(row.names), row.price, row.sold_out))
    groups: dict[str, list[Group]] = defaultdict(list)
    for row in rows(menu_groups):
        mine = tuple(options[row.id])
        groups[row.item_id].append(Group(row.id, _names(row.names), row.least, row.most, mine))
    categories = list(rows(menu_categories))
    place = {row.id: row for row in categories}
    items: dict[str, list[Item]] = defaultdict(list)
    for row in rows(menu_items):
        over = place.get(row.category_id)
        if over is not None:
            items[row.category_id].append(
                Item(
                    row.id,
                    row.code,
                    _names(row.names),
                    _names(row.about),
                    row.price,
                    tuple(row.allergens.split()),
                    row.sold_out,
                    row.hidden,
                    tuple(groups[row.id]),
                    over.kitchen,
                    over.hours,
                )
            )
    return Menu(
        tuple(Category(row.id, _names(row.names), row.kitchen, row.hours, tuple(items[row.id])) for row in categories)
    )


def _names(text: str) -> Names:
    return msgspec.json.decode(text, type=Names)
