"""What the pages of a shop's rules have in common: which shop they are about, rows in order, saving, numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from litestar import Response, get, post

from cloud import rules
from cloud.api.problem import Problem, not_found
from cloud.auth import Who
from cloud.console.access import back, read, written
from cloud.console.desk import HIDDEN, Ask, Desk
from cloud.corrections import minor
from cloud.facts import Places, Shop
from cloud.store.schema import boxes, orders
from cloud.strings import Said, Strings, said

NATIVE = ("table", "shop", "api")  # channels of our own: red codes, black codes, programs
MOST_TEXT = 500
T = TypeVar("T")
Shown = Callable[[sa.Connection, Who, dict[str, str], Strings], dict[str, Any]]
Changed = Callable[[sa.Connection, Who, "Form", "Chosen"], rules.Value]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The shop a page is about. Id "" stands for all shops, and for the only one."""

    id: str
    all: list[Shop]

    @property
    def query(self) -> str:
        return f"?shop={self.id or '-'}"

    @property
    def zone(self) -> str:
        """Of its clock; "" where nobody set it."""
        return next((shop.zone for shop in self.all if shop.id == self.id and shop.name), "")

    @property
    def currency(self) -> str:
        return next((shop.currency for shop in self.all if shop.id in (self.id, "") and shop.currency), "EUR")


def chosen(connection: sa.Connection, merchant: str, asked: str) -> Chosen:
    shops = Places(connection, [merchant]).all(merchant)
    wanted = asked.removeprefix("-")
    return Chosen(wanted if any(shop.id == wanted for shop in shops) else "", shops)


def save(connection: sa.Connection, who: Who, value: rules.Value, shop: str) -> None:
    """Raises Problem 422, which names everything that cannot be."""
    try:
        rules.save(connection, who.merchant, value, who.name, shop)
    except rules.BadRule as error:
        raise cannot_be(error.problems) from None


def cannot_be(problems: list[Said]) -> Problem:
    return Problem(422, "bad-rule", said("problems.bad_rule"), errors=[{"field": "", "problem": p} for p in problems])


def pages(desk: Desk, home: str, template: str, shown: Shown, changed: Changed) -> list[Any]:
    """A page of a shop's rules, and its forms. `shown(connection, who, query, t)` -> what the template needs;
    `changed(connection, who, form, shop)` -> the value that is kept. Raises Problem for a form that cannot be."""

    @get(home, **HIDDEN)
    async def page(request: Ask) -> Response[str]:
        who = await desk.reader(request, "orders:write")
        t, asked = desk.language(request), dict(request.query_params)
        values = await read(desk, lambda c: shown(c, who, asked, t))
        return desk.page(request, who, template, **values)

    @post(home, status_code=303, **HIDDEN)
    async def change(request: Ask) -> Response[Any]:
        who = await desk.acting(request, "orders:write")
        form = await form_of(request)

        def work(connection: sa.Connection) -> str:
            shop = chosen(connection, who.merchant, form.text("shop", 64))
            save(connection, who, changed(connection, who, form, shop), shop.id)
            return home + shop.query

        return back(await written(desk, work))

    return [page, change]


def place_of(asked: str, rows: list[T]) -> int | None:
    """The row that an address names; None: none of them."""
    number = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 4 else len(rows)
    return number if number < len(rows) else None


def in_order(rows: list[T], form: Form, name: str, made: Callable[[], T]) -> list[T]:
    """`do` of the form: NAME puts what was `made` in the place of row `number`, or last; up, down and remove move it.
    Raises Problem 404 for what is none of these."""
    do, number = form.text("do"), form.number("number")
    rows = list(rows)
    if number is not None and number >= len(rows):
        raise not_found()
    if do == name:
        return [*rows, made()] if number is None else [*rows[:number], made(), *rows[number + 1 :]]
    if do == "remove" and number is not None:
        del rows[number]
    elif do in ("up", "down") and number is not None:
        other = number + (1 if do == "down" else -1)
        if 0 <= other < len(rows):
            rows[number], rows[other] = rows[other], rows[number]
    else:
        raise not_found()
    return rows


class Form:
    """A form's fields: texts without control characters, numbers where there are some. Raises Problem 422."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def text(self, name: str, most: int = MOST_TEXT) -> str:
        value = str(self._values.get(name, "")).strip()
        if len(value) > most or not value.isprintable():
            raise Problem(422, "bad-text", f"{name}: at most {most} characters, none of them a control character.")
        return value

    def lines(self, name: str) -> list[str]:
        """Of a text area, without the empty ones at the end."""
        value = str(self._values.get(name, ""))[: MOST_TEXT * 20].replace("\r\n", "\n").rstrip()
        found = [line.rstrip() for line in value.split("\n")] if value else []
        if not all(line.isprintable() for line in found):
            raise Problem(422, "bad-text", f"{name}: control characters are not accepted.")
        return found

    def all(self, name: str) -> list[str]:
        """Of check boxes, and of a text with commas."""
        found = [str(value)[:100].strip() for value in self._values.getall(name, [])]
        return list(dict.fromkeys(piece.strip() for value in found for piece in value.split(",") if piece.strip()))

    def number(self, name: str) -> int | None:
        value = self.text(name, 12)
        if value and not (value.isascii() and value.isdecimal()):
            raise Problem(422, "bad-number", f"{name}: {value} is not a whole number.")
        return int(value) if value else None

    def money(self, name: str, currency: str) -> int | None:
        value = self.text(name, 20)
        try:
            return minor(value, currency) if value else None
        except ValueError:
            raise Problem(422, "bad-number", f"{name}: {value} is not an amount like 12.50.") from None

    def has(self, name: str) -> bool:
        return bool(self._values.get(name))


async def form_of(request: Ask) -> Form:
    return Form(await request.form())


def channels_of(connection: sa.Connection, merchant: str) -> list[str]:
    """Where this merchant's orders come from: our own ways first."""
    query = sa.select(orders.c.channel).where(orders.c.merchant_id == merchant).distinct().limit(50)
    return list(dict.fromkeys([*NATIVE, *sorted(connection.execute(query).scalars())]))


def printers_of(connection: sa.Connection, merchant: str) -> list[tuple[str, str, str]]:
    """(box, printer, model) of all that the boxes have told of."""
    import msgspec

    from wire.messages import Status

    found = []
    mine = sa.select(boxes.c.id, boxes.c.status).where(boxes.c.merchant_id == merchant).order_by(boxes.c.id)
    for row in connection.execute(mine):
        status = msgspec.json.decode(row.status, type=Status) if row.status else None
        found += [(row.id, p.name, p.model) for p in status.printers] if status else [(row.id, "", "")]
    return found
