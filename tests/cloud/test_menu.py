"""The menu: hours as people write them, what a choice costs, and the table for a spreadsheet."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud import menu_csv
from cloud.hours import BadHours, is_open, opens, parse
from cloud.menu import MOST_OF_ONE, Bill, Category, Group, Item, Line, Menu, Option, price, said
from tests.cloud.guest import MENU

SUNDAY = datetime(2026, 11, 22, 10, 30)
LANGUAGES = ("en", "zh")


def sample() -> Menu:
    """The sample's menu, with ids made of the names."""
    plain = menu_csv.read(MENU.read_text(), LANGUAGES, "GBP", Menu(()))

    def name(thing: Category | Item | Group | Option) -> str:
        return thing.names["en"]

    def option(one: Option, above: str) -> Option:
        return Option(f"{above}/{name(one)}", one.names, one.price, one.sold_out)

    def group(one: Group, above: str) -> Group:
        mine = f"{above}/{name(one)}"
        return Group(mine, one.names, one.least, one.most, tuple(option(o, mine) for o in one.options))

    def item(one: Item) -> Item:
        groups = tuple(group(g, name(one)) for g in one.groups)
        more = (one.allergens, one.sold_out, one.hidden, groups, one.kitchen, one.hours)
        return Item(name(one), one.code, one.names, one.about, one.price, *more)

    return Menu(
        tuple(Category(name(c), c.names, c.kitchen, c.hours, tuple(map(item, c.items))) for c in plain.categories)
    )


@pytest.mark.parametrize(
    ("text", "open_now"),
    [
        ("", True),
        ("10:00-11:00", True),
        ("Mon-Fri 08:00-18:00", False),
        ("Mon-Fri 08:00-18:00; Sat,Sun 10:00-16:00", True),
        ("Sat 20:00-11:00", True),  # over midnight
        ("Fri-Mon 09.00–10.45", True),
        ("sunday 10:30-10:31", True),
        ("Sun 10:00-10:30", False),  # the end is not included
    ],
)
def test_hours_are_read_as_people_write_them(text: str, open_now: bool) -> None:
    assert is_open(text, SUNDAY) is open_now


@pytest.mark.parametrize("text", ["9-17", "Mon-Fri", "Funday 10:00-11:00", "25:00-26:00", "10:99-11:00", "open"])
def test_hours_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(BadHours):
        parse(text)


@given(st.integers(0, 7 * 1440 - 1))
def test_a_shop_opens_when_it_says(minute: int) -> None:
    hours, when = "Tue-Fri 11:00-14:30, 18:00-23:00; Sat 18:00-01:30", SUNDAY + timedelta(minutes=minute)
    found = opens(hours, when)
    assert found is not None and found >= when and is_open(hours, found)
    assert (found == when) == is_open(hours, when)
    if found > when:
        assert not is_open(hours, found - timedelta(minutes=1))


def test_what_is_chosen_is_priced_with_its_options() -> None:
    line = Line("Flat white", 2, ("Flat white/Milk/Oat milk", "Flat white/Extras/Vanilla"))
    bill = price(sample(), [line, Line("Carrot cake")], SUNDAY)
    assert [(one.unit, one.amount, one.trouble) for one in bill.lines] == [(450, 900, ""), (450, 450, "")]
    assert (bill.total, bill.count) == (1350, 3)


@pytest.mark.parametrize(
    ("line", "trouble"),
    [
        (Line("Flat white"), "options"),  # a milk must be chosen
        (Line("Flat white", 1, ("Flat white/Milk/Oat milk", "Flat white/Milk/Whole milk")), "options"),
        (Line("Carrot cake", 1, ("Flat white/Milk/Oat milk",)), "options"),  # another item's option
        (Line("Cold sesame noodles"), "sold_out"),
        (Line("Lobster"), "gone"),
    ],
)
def test_what_cannot_be_had_costs_nothing_and_says_why(line: Line, trouble: str) -> None:
    (one,) = price(sample(), [line], SUNDAY).lines
    assert (one.trouble, one.amount) == (trouble, 0)


@pytest.mark.covers("A46")
@given(
    st.lists(
        st.builds(
            Line,
            st.sampled_from([*(i.id for i in sample().items()), "", "x"]),
            st.integers(1, MOST_OF_ONE),
            st.lists(
                st.sampled_from([o.id for i in sample().items() for g in i.groups for o in g.options] + ["x"]),
                max_size=4,
                unique=True,
            ).map(tuple),
        ),
        max_size=8,
    )
)
def test_a_price_is_the_menus_whatever_is_asked(lines: list[Line]) -> None:
    known = sample()
    bill: Bill = price(known, lines, SUNDAY)
    options = {o.id: o.price for i in known.items() for g in i.groups for o in g.options}
    for line, one in zip(lines, bill.lines, strict=True):
        item = known.item(line.item)
        if one.trouble:
            assert one.amount == 0
        else:
            assert item is not None
            assert one.unit == item.price + sum(options[o] for o in line.options)
    assert bill.total == sum(one.amount for one in bill.lines) >= 0


def test_a_menu_comes_back_from_its_table_as_it_was() -> None:
    known = sample()
    again = menu_csv.read(menu_csv.write(known, LANGUAGES, "GBP"), LANGUAGES, "GBP", known)
    assert again == known


@pytest.mark.covers("A17")
def test_a_spreadsheet_runs_nothing_that_a_menu_says() -> None:
    evil = "=cmd|' /C calc'!A0"
    item = Item("i", "@SUM(1)", {"en": evil}, {"en": "+1"}, 100, (), False, False, (), "", "")
    known = Menu((Category("c", {"en": "-1+1"}, "", "", (item,)),))
    text = menu_csv.write(known, ("en",), "EUR")
    cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
    assert not any(cell.startswith(menu_csv.FORMULA) for cell in cells)
    assert menu_csv.read(text, ("en",), "EUR", known) == known


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("item,Soup,4.00\n", "Row 2: the first row must be a category"),
        ("category,Food,\nitem,Soup,cheap\n", "Row 3: 'cheap' is no price"),
        ("category,Food,\nitem,Soup,4.001\n", "more than 2 decimals"),
        ("category,Food,\nitem,Soup,-4\n", "no price that we can take"),
        ("category,Food,\nitem,Soup,1e99\n", "no price that we can take"),
        ("category,Food,\noption,Soup,4\n", "needs an item above it"),
        ("category,,\n", "it has no name"),
        ("dish,Soup,4\n", "Row 2"),
    ],
)
def test_a_wrong_table_says_which_row_and_why(rows: str, says: str) -> None:
    with pytest.raises(menu_csv.BadRow, match=says):
        menu_csv.read("row,name:en,price\n" + rows, ("en",), "EUR", Menu(()))


def test_names_fall_back_to_what_there_is() -> None:
    assert said({"en": "Soup", "zh": "汤"}, "fr", "zh") == "汤"
    assert said({"de": "Suppe"}, "en", "zh") == "Suppe"
