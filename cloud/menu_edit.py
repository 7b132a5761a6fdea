"""Changes to a menu: one item, one category, or all of it. Functions of a connection in a transaction."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from cloud import events
from cloud.ids import ordered
from cloud.menu import Category, Item, Menu, Names
from cloud.store.counter import menu_categories, menu_groups, menu_items, menu_options

MOST_ITEMS = 1000


def save_category(connection: sa.Connection, merchant: str, category: Category, position: int | None = None) -> str:
    """-> its id; an empty id makes a new one, at the end."""
    values: dict[str, object] = {
        "names": _json(category.names),
        "kitchen": category.kitchen,
        "hours": category.hours,
    }
    if position is not None:
        values["position"] = position
    if category.id and _update(connection, menu_categories, merchant, category.id, values):
        return category.id
    values.setdefault("position", _next(connection, menu_categories, merchant))
    made = category.id or ordered()
    connection.execute(sa.insert(menu_categories).values(merchant_id=merchant, id=made, **values))
    return made


def save_item(
    connection: sa.Connection, merchant: str, category_id: str, item: Item, position: int | None = None
) -> str:
    """-> its id. Its choices become exactly those of `item`; ids that are given stay."""
    values = {
        "category_id": category_id,
        "code": item.code,
        "names": _json(item.names),
        "about": _json(item.about),
        "price": item.price,
        "allergens": " ".join(item.allergens),
        "sold_out": item.sold_out,
        "hidden": item.hidden,
    }
    if position is not None:
        values["position"] = position
    if not (item.id and _update(connection, menu_items, merchant, item.id, values)):
        values.setdefault("position", _next(connection, menu_items, merchant))
        values["id"] = item.id or ordered()
        connection.execute(sa.insert(menu_items).values(merchant_id=merchant, **values))
    item_id = str(values.get("id", item.id))
    _drop_choices(connection, merchant, [item_id])
    for at, group in enumerate(item.groups):
        group_id = group.id or ordered()
        connection.execute(
            sa.insert(menu_groups).values(
                merchant_id=merchant,
                id=group_id,
                item_id=item_id,
                position=at,
                names=_json(group.names),
                least=group.least,
                most=group.most,
            )
        )
        for n, option in enumerate(group.options):
            connection.execute(
                sa.insert(menu_options).values(
                    merchant_id=merchant,
                    id=option.id or ordered(),
                    group_id=group_id,
                    position=n,
                    names=_json(option.names),
                    price=option.price,
                    sold_out=option.sold_out,
                )
            )
    return item_id


def sold_out(connection: sa.Connection, merchant: str, item_id: str, gone: bool) -> bool:
    """-> whether there is such an item."""
    done = _update(connection, menu_items, merchant, item_id, {"sold_out": gone})
    if done:
        events.add(connection, merchant, "menu.changed", item_id, {"sold_out": gone})
    return done


def remove_item(connection: sa.Connection, merchant: str, item_id: str) -> bool:
    _drop_choices(connection, merchant, [item_id])
    return _delete(connection, menu_items, merchant, item_id)


def remove_category(connection: sa.Connection, merchant: str, category_id: str) -> bool:
    """With what is in it."""
    inside = connection.execute(
        sa.select(menu_items.c.id).where(menu_items.c.merchant_id == merchant, menu_items.c.category_id == category_id)
    ).scalars()
    for item_id in list(inside):
        remove_item(connection, merchant, item_id)
    return _delete(connection, menu_categories, merchant, category_id)


def move(connection: sa.Connection, merchant: str, menu: Menu, thing: str, steps: int) -> None:
    """A category among its kind, or an item within its category, `steps` further down (up: negative)."""
    rows = [category.id for category in menu.categories]
    table = menu_categories
    if thing not in rows:
        table = menu_items
        rows = next(([i.id for i in c.items] for c in menu.categories if any(i.id == thing for i in c.items)), [])
    if thing not in rows:
        return
    at = rows.index(thing)
    rows.insert(max(0, min(len(rows) - 1, at + steps)), rows.pop(at))
    for position, row in enumerate(rows):
        _update(connection, table, merchant, row, {"position": position})


def replace_all(connection: sa.Connection, merchant: str, menu: Menu) -> None:
    """The whole menu becomes this one. Ids that are given stay, so that baskets on the way keep their meaning."""
    for table in (menu_options, menu_groups, menu_items, menu_categories):
        connection.execute(sa.delete(table).where(table.c.merchant_id == merchant))
    for at, category in enumerate(menu.categories):
        category_id = save_category(connection, merchant, category, at)
        for n, item in enumerate(category.items):
            save_item(connection, merchant, category_id, item, n)
    events.add(connection, merchant, "menu.changed", "all", {"items": sum(1 for _ in menu.items())})


def _drop_choices(connection: sa.Connection, merchant: str, items: list[str]) -> None:
    groups = sa.select(menu_groups.c.id).where(menu_groups.c.merchant_id == merchant, menu_groups.c.item_id.in_(items))
    connection.execute(
        sa.delete(menu_options).where(menu_options.c.merchant_id == merchant, menu_options.c.group_id.in_(groups))
    )
    connection.execute(
        sa.delete(menu_groups).where(menu_groups.c.merchant_id == merchant, menu_groups.c.item_id.in_(items))
    )


def _next(connection: sa.Connection, table: sa.Table, merchant: str) -> int:
    last = connection.execute(sa.select(sa.func.max(table.c.position)).where(table.c.merchant_id == merchant)).scalar()
    return 0 if last is None else int(last) + 1


def _update(connection: sa.Connection, table: sa.Table, merchant: str, row_id: str, values: dict[str, object]) -> bool:
    mine = (table.c.merchant_id == merchant, table.c.id == row_id)
    return bool(connection.execute(sa.update(table).where(*mine).values(**values)).rowcount)


def _delete(connection: sa.Connection, table: sa.Table, merchant: str, row_id: str) -> bool:
    mine = (table.c.merchant_id == merchant, table.c.id == row_id)
    return bool(connection.execute(sa.delete(table).where(*mine)).rowcount)


def _json(names: Names) -> str:
    return msgspec.json.encode(names).decode()
