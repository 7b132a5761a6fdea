"""cloud/rules.py, review.py, routing.py: who decides about an order, and on which slips it is printed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from cloud import review, rules
from cloud.review import Facts, decide
from cloud.routing import split
from cloud.rules import Pace, PartRule, Place, Review, Routing, Rule
from cloud.store import schema
from cloud.store.database import Store
from tests.cloud.test_orders import M, fresh_store
from wire.messages import OrderContent, OrderItem, SlipStyle

SUNDAY_NOON = int(datetime(2026, 11, 22, 12, 0, tzinfo=UTC).timestamp() * 1000)
NORMAL = Pace()


def facts(**changes: object) -> Facts:
    values = {"channel": "app", "kind": "takeaway", "amount": 2500, "load": 3, "at_ms": SUNDAY_NOON}
    return Facts(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    one = fresh_store(tmp_path)
    yield one
    one.close()


def test_tables_print_at_once_and_all_others_wait_for_a_person() -> None:
    assert decide(Review(), NORMAL, facts(kind="dine_in")).action == "accept"
    assert decide(Review(), NORMAL, facts()).action == "ask"
    assert decide(Review(dine_in_reviewed=True), NORMAL, facts(kind="dine_in")).action == "ask"


def test_the_first_rule_that_fits_decides() -> None:
    how = Review(
        rules=[
            Rule("reject", load_from=20, code="too_busy"),
            Rule("accept", channels=["app"], amount_to=5000, prep_min=15),
            Rule("ask"),
            Rule("reject", code="other"),
        ]
    )
    assert decide(how, NORMAL, facts()).prep_min == 15
    assert decide(how, NORMAL, facts(load=20)).code == "too_busy"
    assert decide(how, NORMAL, facts(amount=5001)).action == "ask"
    assert decide(how, NORMAL, facts(amount=None)).action == "ask"  # unknown is not small


@pytest.mark.parametrize(
    ("days", "begins", "ends", "at", "holds"),
    [
        ([], "11:00", "14:00", "2026-11-22T12:00", True),
        ([], "11:00", "14:00", "2026-11-22T14:00", False),
        ([5], "11:00", "14:00", "2026-11-22T12:00", False),  # Saturday's rule, on a Sunday
        ([5], "22:00", "02:00", "2026-11-22T01:30", True),  # Saturday night is Saturday's
        ([6], "22:00", "02:00", "2026-11-22T01:30", False),
        ([6], "", "", "2026-11-22T01:30", True),
    ],
)
def test_hours_are_the_shops_own(days: list[int], begins: str, ends: str, at: str, holds: bool) -> None:
    when = datetime.fromisoformat(at + "+08:00")
    how = Review(rules=[Rule("accept", days=days, begins=begins, ends=ends)], zone="Asia/Shanghai")
    seen = decide(how, NORMAL, facts(at_ms=int(when.timestamp() * 1000)))
    assert (seen.action == "accept") is holds


def test_a_pause_rejects_all_but_tables_until_it_ends() -> None:
    how = Review(rules=[Rule("accept")])
    pause = Pace(mode="paused", until_ms=SUNDAY_NOON + 1, text="back at one")
    assert decide(how, pause, facts()).reason == "back at one"
    assert decide(how, pause, facts(kind="dine_in")).action == "accept"
    assert decide(how, pause, facts(at_ms=SUNDAY_NOON + 1)).action == "accept"
    only = Pace(mode="paused", channels=["ubereats"])
    assert decide(how, only, facts()).action == "accept"
    assert decide(how, only, facts(channel="ubereats")).code == "paused"


def test_a_busy_shop_promises_more_time() -> None:
    how = Review(rules=[Rule("accept", prep_min=20)])
    assert decide(how, Pace(mode="busy", extra_min=15), facts()).prep_min == 35
    assert decide(how, Pace(mode="busy", extra_min=15), facts(kind="dine_in")).prep_min is None


def test_a_platforms_own_deadline_is_kept_with_time_to_spare() -> None:
    assert review.answer_s(Review(), "ubereats", 600) == 660  # it cancels by itself after 11.5 minutes
    assert review.answer_s(Review(), "app", 600) == 600
    assert review.answer_s(Review(answer_s={"ubereats": 120}), "ubereats", 600) == 120


def test_what_is_saved_is_loaded_and_told_and_audited(store: Store) -> None:
    how = Review(rules=[Rule("accept", channels=["app"])], zone="Europe/Berlin")
    with store.write() as connection:
        rules.save(connection, M, how, "ann")
        rules.save(connection, M, Review(prep_min=5), "ann", "harbour")
    with store.read() as connection:
        assert rules.load(connection, M, Review) == how
        assert rules.load(connection, M, Review, "harbour").prep_min == 5
        assert rules.load(connection, M, Review, "another") == how  # a shop without its own has the merchant's
        assert rules.load(connection, "somebody else", Review) == Review()
        kinds = connection.execute(sa.select(schema.audit.c.what)).scalars().all()
    assert kinds.count("rules.review") == 2


def test_every_problem_of_a_rule_is_named(store: Store) -> None:
    wrong: list[tuple[rules.Value, str]] = [
        (Review(zone="Mars/Base"), "time zone"),
        (Review(rules=[Rule("reject", code="nope")]), "rule 1: code"),
        (Review(rules=[Rule("accept", begins="25:00", ends="26:00")]), "09:30"),
        (Review(rules=[Rule("accept", days=[7])]), "Monday"),
        (Review(answer_s={"uber": 5}), "answer_s"),
        (Routing(parts=[PartRule("kitchen"), PartRule("kitchen")]), "twice"),
        (Routing(parts=[PartRule("Kitchen!")]), "small letters"),
        (Routing(parts=[PartRule("bar", copies=9)]), "copies"),
        (Routing(parts=[PartRule("bar", place=Place("x/../y"))]), "no box"),
        (Pace(extra_min=-1), "extra_min"),
        (SlipStyle(header=["x"] * 9), "header"),
        (SlipStyle(logo=b"<svg/>"), "PNG"),
    ]
    with store.write() as connection:
        for value, said in wrong:
            with pytest.raises(rules.BadRule, match=said):
                rules.save(connection, M, value, "ann")


ITEMS = [OrderItem("Soup", category="kitchen"), OrderItem("Beer", category="bar"), OrderItem("Bag")]
ORDER = OrderContent("1", "dine_in", ITEMS, total=900)


def test_items_go_where_their_category_is_printed() -> None:
    routing = Routing(
        parts=[
            PartRule("kitchen", categories=["kitchen", "*"], place=Place("", "hot"), copies=2),
            PartRule("bar", "Bar", categories=["bar"], place=Place("shop42-bar00", "cold")),
            PartRule("front", kinds=["takeaway"]),
        ]
    )
    kitchen, bar = split(ORDER, routing)
    assert [i.name for i in kitchen.content.items] == ["Soup", "Bag"] and kitchen.copies == 2
    assert [i.name for i in bar.content.items] == ["Beer"] and bar.label == "Bar"
    assert kitchen.content.total is None and not kitchen.whole
    takeaway = split(msgspec.structs.replace(ORDER, kind="takeaway"), routing)
    assert takeaway[2].whole and takeaway[2].content.total == 900
    (named,) = split(ORDER, routing, Place("shop42-front", "main"))
    assert named.part == "main" and named.whole


NAMES = st.sampled_from(["", "kitchen", "bar", "cake", "*"])
PARTS = st.lists(
    st.builds(
        PartRule,
        st.sampled_from(["kitchen", "bar", "front"]),
        categories=st.lists(NAMES.filter(bool), max_size=2),
        kinds=st.lists(st.sampled_from(["dine_in", "takeaway"]), max_size=1),
        copies=st.integers(1, 3),
    ),
    max_size=3,
    unique_by=lambda rule: rule.part,
)


@given(parts=PARTS, categories=st.lists(st.sampled_from(["", "kitchen", "bar", "tea"]), min_size=1, max_size=5))
def test_no_item_is_lost_whatever_the_rules_say(parts: list[PartRule], categories: list[str]) -> None:
    items = [OrderItem(str(n), category=c) for n, c in enumerate(categories)]
    found = split(OrderContent("1", "dine_in", items), Routing(parts=parts))
    assert found and all(part.content.items for part in found)
    assert {i.name for part in found for i in part.content.items} == {i.name for i in items}
    assert len({part.part for part in found}) == len(found)
