"""Dates of digits alone: the order that a printer's paper has shown, and the day on which it was printed, decide."""

from __future__ import annotations

import pytest

import receipt
from receipt.habits import Habits
from receipt.paper import Profile


def paper(date: str) -> bytes:
    return f"\x1b@SHOP\nDate: {date} 10:00\nTea 2.00\nTOTAL 2.00\nCash 2.00\n".encode()


def after(*dates: str) -> Habits:
    habits = Habits()
    for date in dates:
        habits.learn(receipt.read(paper(date)).receipts)
    return habits


@pytest.mark.parametrize(
    ("shown", "order", "date"),
    [
        (("13/02/2026", "25/02/2026", "28/02/2026"), "day_first", "2026-04-03"),
        (("02/13/2026", "02/25/2026", "02/28/2026"), "month_first", "2026-03-04"),
        (("02/13/2026", "02/25/2026"), None, "2026-04-03"),  # too few
        (("02/13/2026", "25/02/2026", "02/28/2026"), None, "2026-04-03"),  # two tills behind one printer
        (("01/02/2026", "02/03/2026", "03/04/2026", "04/05/2026"), None, "2026-04-03"),  # nothing certain in them
        (("3 Feb 2026", "4 Mar 2026", "5 Apr 2026"), None, "2026-04-03"),  # a month's name shows no order of numbers
    ],
)
def test_dates_that_allow_one_order_decide_those_that_allow_two(
    shown: tuple[str, ...], order: str | None, date: str
) -> None:
    habit = after(*shown).date_order
    assert habit == order
    (found,) = receipt.read(paper("03/04/2026"), Profile(date_order=habit)).receipts
    assert found.date == date
    assert (found.findings["date"].confidence >= 0.9) is (order is not None)


@pytest.mark.parametrize(
    ("day", "date", "sure"),
    [
        ("2026-03-04", "2026-03-04", True),
        ("2026-04-03", "2026-04-03", True),
        ("2026-04-02", "2026-04-03", True),  # the box counts in UTC
        ("2026-07-01", "2026-04-03", False),  # printed again, months later: it says nothing
    ],
)
def test_the_day_of_printing_decides(day: str, date: str, sure: bool) -> None:
    (found,) = receipt.read(paper("03/04/2026"), Profile(day=day)).receipts
    assert found.date == date and (found.findings["date"].confidence >= 0.9) is sure


def test_what_was_read_by_habit_is_no_evidence() -> None:
    habits = after("02/13/2026", "02/25/2026", "02/28/2026")
    for _ in range(50):
        habits.learn(receipt.read(paper("03/04/2026"), Profile(date_order=habits.date_order)).receipts)
    assert habits.date_order == "month_first"
    habits = Habits()
    habits.learn(receipt.read(paper("03/04/2026"), Profile(date_order="month_first")).receipts * 9)
    assert habits.date_order is None
