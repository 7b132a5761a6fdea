"""cloud/moves.py, and orders in several parts: what boxes report -> where a slip is printed, and how it is headed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from cloud import orders, overdue, reports, rules, views
from cloud.rules import PartRule, Place, Routing
from cloud.store import schema
from cloud.store.database import Store
from tests.cloud.test_orders import BOX, RULES, M, S, fresh_store, state
from wire.messages import CancelOrder, OrderContent, OrderItem, OrderState, PrintOrder, Proof, Report, decode, new

OTHER = "shop-other-2"
ITEMS = [OrderItem("Soup", category="kitchen"), OrderItem("Beer", category="bar")]
ROUTING = Routing(
    parts=[
        PartRule("kitchen", categories=["kitchen"], place=Place(BOX, "hot"), copies=2, instead=[Place(OTHER, "cold")]),
        PartRule("bar", "Bar", categories=["bar"], place=Place(OTHER, "cold"), instead=[Place(BOX, "hot")]),
    ]
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    one = fresh_store(tmp_path)
    with one.write() as connection:
        connection.execute(
            sa.insert(schema.boxes).values(id=OTHER, merchant_id=M, password_hash="-", created_at=2, online=True)
        )
        connection.execute(sa.update(schema.boxes).where(schema.boxes.c.id == BOX).values(online=True))
        rules.save(connection, M, ROUTING, "test")
    yield one
    one.close()


def submit(store: Store) -> str:
    with store.write() as connection:
        content = OrderContent("", "dine_in", list(ITEMS))
        return orders.submit(connection, M, orders.Submission(content, "api"), "test", RULES)[0]


def says(store: Store, order: str, what: OrderState, part: str = "kitchen", **more: object) -> bool:
    fields = {"box": BOX, "copy_number": 1, "attempt": 1, "proof": Proof.NONE} | more
    box = str(fields.pop("box"))
    with store.write() as connection:
        return reports.reported(connection, M, box, new(Report, order=order, state=what, part=part, **fields))


def messages(store: Store, box: str) -> list[object]:
    """What is still to be told to a box."""
    query = sa.select(schema.outbox.c.payload).where(schema.outbox.c.box == box, schema.outbox.c.done_at.is_(None))
    with store.read() as connection:
        rows = connection.execute(query.order_by(schema.outbox.c.id)).scalars().all()
    return [decode("orders", payload) for payload in rows]


def later(store: Store, seconds: int = 100) -> None:
    """The slips have waited so long, and been asked back so long ago."""
    with store.write() as connection:
        t = schema.slips.c
        connection.execute(sa.update(schema.slips).values(changed_at=t.changed_at - seconds * 1000))
        connection.execute(
            sa.update(schema.slips)
            .where(t.moving_at.is_not(None))
            .values(moving_at=t.moving_at - seconds * 1000)
        )  # fmt: skip
        overdue.expire(connection, RULES)


def slip(store: Store, order: str, part: str = "kitchen", copy_number: int = 1) -> dict[str, object]:
    with store.read() as connection:
        t = schema.slips.c
        query = sa.select(schema.slips).where(t.order_id == order, t.part == part, t.copy_number == copy_number)
        return dict(connection.execute(query).one()._mapping)


def sent(store: Store, order: str) -> None:
    with store.write() as connection:
        for part in ("kitchen", "kitchen/2", "bar"):
            orders.sent(connection, M, order, part)


def test_an_order_goes_to_its_printers_in_parts_and_copies(store: Store) -> None:
    submit(store)
    here = sorted((m for m in messages(store, BOX) if isinstance(m, PrintOrder)), key=lambda m: m.copy_number)
    there = [m for m in messages(store, OTHER) if isinstance(m, PrintOrder)]
    assert [(m.part, m.copy_number, m.copies, m.printer) for m in here] == [
        ("kitchen", 1, 2, "hot"), ("kitchen", 2, 2, "hot"),
    ]  # fmt: skip
    assert [(m.part, m.label, m.printer) for m in there] == [("bar", "Bar", "cold")]
    assert [[i.name for i in m.content.items] for m in (*here, *there)] == [["Soup"], ["Soup"], ["Beer"]]


def test_it_is_printed_when_all_its_slips_are_and_bad_when_any_is(store: Store) -> None:
    order = submit(store)
    for part, number, box in (("kitchen", 1, BOX), ("kitchen", 2, BOX)):
        says(store, order, S.PRINTED, part, copy_number=number, proof=Proof.L2, box=box)
        assert state(store, order) != "printed"
    says(store, order, S.UNCONFIRMED, "bar", box=OTHER)
    assert state(store, order) == "unconfirmed"
    says(store, order, S.PRINTED, "bar", proof=Proof.L1, box=OTHER)
    with store.read() as connection:
        view = views.order(connection, M, order)
    assert view is not None and (view.state, view.proof) == ("printed", "L1")  # no surer than its weakest slip
    assert isinstance(view.history, list) and {h.part for h in view.history} >= {"kitchen", "bar"}


def test_what_never_left_moves_unmarked(store: Store) -> None:
    order = submit(store)
    later(store)
    moved = slip(store, order)
    assert (moved["box"], moved["printer"], moved["copy"], moved["attempt"]) == (OTHER, "cold", 0, 2)
    assert not [m for m in messages(store, BOX) if isinstance(m, PrintOrder) and m.part == "kitchen"]
    says(store, order, S.PRINTED, attempt=2, proof=Proof.L1, box=OTHER)
    assert slip(store, order)["state"] == "printed"


@pytest.mark.covers("F48")
def test_what_a_box_has_moves_only_when_it_was_given_back(store: Store) -> None:
    order = submit(store)
    sent(store, order)
    says(store, order, S.RECEIVED)
    later(store)
    assert slip(store, order)["box"] == BOX
    (asked,) = [m for m in messages(store, BOX) if isinstance(m, CancelOrder) and m.copy_number == 1]
    assert (asked.part, asked.attempt) == ("kitchen", 1)
    says(store, order, S.CANCELLED, reason="moves")
    moved = slip(store, order)
    assert (moved["box"], moved["copy"], moved["attempt"], moved["state"]) == (OTHER, 0, 2, "queued")
    assert state(store, order) not in ("cancelled", "cancelling")
    says(store, order, S.PRINTED, attempt=2, proof=Proof.L1, box=OTHER)
    assert slip(store, order)["state"] == "printed"


def test_too_late_to_give_back_it_stays(store: Store) -> None:
    order = submit(store)
    sent(store, order)
    later(store)
    says(store, order, S.PRINTING)
    later(store)
    assert slip(store, order)["box"] == BOX and slip(store, order)["moving"] == ""
    says(store, order, S.PRINTED, proof=Proof.L1)
    assert slip(store, order)["state"] == "printed"


def test_a_box_that_cannot_be_asked_is_printed_around_under_a_mark_and_its_late_word_counts(store: Store) -> None:
    order = submit(store)
    sent(store, order)
    with store.write() as connection:
        connection.execute(sa.update(schema.boxes).where(schema.boxes.c.id == BOX).values(online=False))
    later(store)  # asked
    later(store)  # no answer
    moved = slip(store, order)
    assert (moved["box"], moved["was_box"], moved["copy"]) == (OTHER, BOX, 1)
    (message,) = [m for m in messages(store, OTHER) if isinstance(m, PrintOrder) and m.copy and m.copy_number == 1]
    assert (message.copy, message.attempt) == (1, 2)
    assert says(store, order, S.PRINTED, proof=Proof.L2, box=BOX)  # it had printed it all the while
    assert slip(store, order)["state"] == "printed"
    assert any(isinstance(m, CancelOrder) and m.part == "kitchen" for m in messages(store, OTHER))


def test_nothing_moves_to_a_box_that_is_away_or_after_a_cancel(store: Store) -> None:
    order = submit(store)
    sent(store, order)
    says(store, order, S.RECEIVED)
    with store.write() as connection:
        connection.execute(sa.update(schema.boxes).where(schema.boxes.c.id == OTHER).values(online=False))
        connection.execute(sa.update(schema.slips).where(schema.slips.c.part == "bar").values(places="[]"))
    later(store)
    assert slip(store, order)["moving"] == ""
    with store.write() as connection:
        connection.execute(sa.update(schema.boxes).values(online=True))
    later(store)
    with store.write() as connection:
        orders.cancel(connection, M, order, "ann", "customer", RULES)
    says(store, order, S.CANCELLED)
    says(store, order, S.CANCELLED, copy_number=2)
    says(store, order, S.CANCELLED, "bar", box=OTHER)
    assert state(store, order) == "cancelled"
    assert {slip(store, order, p, n)["box"] for p, n in (("kitchen", 1), ("kitchen", 2))} == {BOX}


def test_a_cancel_that_came_late_for_one_part_says_printed(store: Store) -> None:
    order = submit(store)
    sent(store, order)
    says(store, order, S.PRINTED, "bar", proof=Proof.L1, box=OTHER)
    with store.write() as connection:
        orders.cancel(connection, M, order, "ann", "customer", RULES)
    says(store, order, S.CANCELLED)
    assert state(store, order) == "cancelling"
    says(store, order, S.CANCELLED, copy_number=2)
    assert state(store, order) == "cancelling"  # the bar has it on paper, and has not heard of it
    says(store, order, S.PRINTED, "bar", proof=Proof.L1, box=OTHER, cancelled=True)
    assert state(store, order) == "printed"  # its box prints STOP PREPARING


def test_a_reprint_is_headed_copy_where_paper_may_exist(store: Store) -> None:
    order = submit(store)
    for part, number, box in (("kitchen", 1, BOX), ("kitchen", 2, BOX), ("bar", 1, OTHER)):
        says(store, order, S.PRINTED, part, copy_number=number, proof=Proof.L2, box=box)
    with store.write() as connection:
        assert orders.reprint(connection, M, order, "ann", "lost it", RULES, "bar") == 1
    assert state(store, order) == "reprinting"
    (again,) = [m for m in messages(store, OTHER) if isinstance(m, PrintOrder)]
    assert (again.part, again.attempt, again.copy) == ("bar", 2, 1)
    assert not says(store, order, S.PRINTED, "bar", proof=Proof.L2, box=OTHER)  # of the first attempt: no news
    says(store, order, S.PRINTED, "bar", attempt=2, copy=1, proof=Proof.L1, box=OTHER)
    assert state(store, order) == "printed"
    with store.write() as connection:
        orders.reprint(connection, M, order, "ann", "", RULES, "bar")
    assert [m.copy for m in messages(store, OTHER) if isinstance(m, PrintOrder)] == [2]


def test_what_expired_on_its_way_may_be_printed_after_all_without_a_mark(store: Store) -> None:
    order = submit(store)
    with store.write() as connection:
        connection.execute(sa.update(schema.orders).values(expires_at=1))
        connection.execute(sa.update(schema.slips).values(places="[]"))
        overdue.expire(connection, RULES)
    assert state(store, order) == "expired"
    with store.write() as connection:
        orders.reprint(connection, M, order, "ann", "they still wait", RULES)
    assert {m.copy for m in messages(store, BOX) if isinstance(m, PrintOrder)} == {0}


def test_unconfirmed_after_failed_is_news(store: Store) -> None:
    """No byte of the first try; of the second, nobody knows: that is what people have to hear."""
    order = submit(store)
    says(store, order, S.FAILED, tries=1)
    assert says(store, order, S.UNCONFIRMED, tries=2)
    assert not says(store, order, S.FAILED, tries=1)
    assert slip(store, order)["state"] == "unconfirmed"
