"""The life of an order in the database: forward only, never printed without proof, never lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud import orders, overdue, reports, views
from cloud.store import schema
from cloud.store.database import Store
from config.cloud import Orders
from wire.messages import OrderContent, OrderItem, OrderState, PrintOrder, Proof, Report, decode, new, now_ms

M, BOX = "cafe", "cafe-front-1"
RULES = Orders()
S = OrderState


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    one = fresh_store(tmp_path)
    yield one
    one.close()


def fresh_store(folder: Path) -> Store:
    store = Store("sqlite:///unused", folder / "cloud.db")
    with store.write() as connection:
        connection.execute(sa.insert(schema.merchants).values(id=M, name="Cafe", created_at=1))
        connection.execute(sa.insert(schema.boxes).values(id=BOX, merchant_id=M, password_hash="-", created_at=1))
    return store


def submit(store: Store, kind: str = "dine_in", **more: str) -> str:
    content = OrderContent(number="", kind=kind, items=[OrderItem("Soup")])
    with store.write() as connection:
        return orders.submit(connection, M, orders.Submission(content, "api", **more), "test", RULES)[0]


def report(
    store: Store,
    order: str,
    state: OrderState,
    proof: Proof = Proof.NONE,
    box: str = BOX,
    attempt: int = 1,
    cancelled: bool = False,
) -> bool:
    with store.write() as connection:
        message = new(Report, order=order, state=state, proof=proof, attempt=attempt, cancelled=cancelled)
        return reports.reported(connection, M, box, message)


def state(store: Store, order: str) -> str:
    with store.read() as connection:
        view = views.order(connection, M, order)
    assert view is not None
    return view.state


def code(store: Store, order: str) -> str:
    with store.read() as connection:
        view = views.order(connection, M, order)
    assert view is not None
    return view.reason_code


def told(store: Store) -> list[str]:
    with store.read() as connection:
        return told_in(connection)


def told_in(connection: sa.Connection) -> list[str]:
    query = sa.select(schema.outbox.c.what).where(schema.outbox.c.done_at.is_(None))
    return [row.what for row in connection.execute(query.order_by(schema.outbox.c.id))]


def test_red_code_prints_at_once_black_code_waits_for_a_person(store: Store) -> None:
    assert state(store, submit(store)) == "queued"
    assert told(store) == ["print"]
    waiting = submit(store, "takeaway")
    assert state(store, waiting) == "review"
    assert told(store) == ["print", "command"]  # the box announces that somebody is to decide
    with store.write() as connection:
        orders.accept(connection, M, waiting, "user anna", RULES)
        orders.accept(connection, M, waiting, "user anna", RULES)  # a second tap does no harm
    assert state(store, waiting) == "queued"
    assert told(store) == ["print", "command", "print"]


def test_a_channel_may_be_accepted_by_itself(store: Store) -> None:
    with store.write() as connection:
        connection.execute(sa.insert(schema.channels).values(merchant_id=M, channel="api", auto_accept=True))
    assert state(store, submit(store, "delivery")) == "queued"


def test_rejected_stays_rejected_and_nothing_is_printed(store: Store) -> None:
    order = submit(store, "takeaway")
    with store.write() as connection:
        orders.reject(connection, M, order, "user anna", "sold out")
    with store.write() as connection, pytest.raises(orders.WrongState):
        orders.accept(connection, M, order, "user anna", RULES)
    assert (state(store, order), told(store)) == ("rejected", ["command", "command"])  # announced, hushed


@pytest.mark.covers("A51")
def test_the_same_order_is_the_same_and_another_body_is_refused(store: Store) -> None:
    first = submit(store, external_id="X1")
    assert submit(store, external_id="X1") == first
    with pytest.raises(orders.OtherBody):
        submit(store, "takeaway", external_id="X1")
    keyed = submit(store, key="k")
    assert submit(store, key="k") == keyed != first
    with pytest.raises(orders.OtherBody):
        submit(store, "delivery", key="k")


def test_printed_needs_a_proof(store: Store) -> None:
    order = submit(store)
    assert report(store, order, S.PRINTED, Proof.L0)
    assert state(store, order) == "unconfirmed"
    assert report(store, order, S.PRINTED, Proof.L1)  # the late proof lands
    assert state(store, order) == "printed"


def test_a_late_proof_lands_even_after_a_person_closed_it_or_a_newer_attempt_began(store: Store) -> None:
    order = submit(store)
    report(store, order, S.UNCONFIRMED)
    with store.write() as connection:
        orders.close(connection, M, order, "user anna", "it lay on the counter")
    assert state(store, order) == "closed"
    report(store, order, S.PRINTED, Proof.L2)
    assert state(store, order) == "printed"
    other = submit(store)
    report(store, other, S.FAILED, attempt=1)
    report(store, other, S.PRINTING, attempt=2)
    assert state(store, other) == "printing"
    report(store, other, S.PRINTED, Proof.L1, attempt=1)
    assert state(store, other) == "printed"


def test_another_box_cannot_report_on_it(store: Store) -> None:
    order = submit(store)
    assert not report(store, order, S.PRINTED, Proof.L3, box="other-shop-1")
    assert state(store, order) == "queued"


def test_cancel_before_the_box_has_it_and_after(store: Store) -> None:
    early, late, missed = submit(store), submit(store), submit(store)
    with store.write() as connection:
        orders.cancel(connection, M, early, "key", "changed their mind", RULES)
    assert state(store, early) == "cancelled"
    for order in (late, missed):
        report(store, order, S.RECEIVED)
        with store.write() as connection:
            orders.cancel(connection, M, order, "key", "changed their mind", RULES)
            orders.cancel(connection, M, order, "key", "again", RULES)
        assert state(store, order) == "cancelling"
    report(store, late, S.PRINTING, attempt=1)  # not news enough: the box still has to say how it ends
    assert state(store, late) == "cancelling"
    report(store, late, S.CANCELLED)
    assert state(store, late) == "cancelled"
    report(store, missed, S.PRINTED, Proof.L1)  # said before the cancel came to it: that is still on its way
    assert state(store, missed) == "cancelling" and "cancel" in told(store)
    report(store, missed, S.PRINTED, Proof.L1, cancelled=True)
    assert (state(store, missed), code(store, missed)) == ("printed", "stopped") and "cancel" not in told(store)
    assert told(store) == []
    with store.write() as connection:
        orders.cancel(connection, M, missed, "key", "a second tap does no harm", RULES)
    assert told(store) == []


def test_what_is_on_paper_is_cancelled_by_a_slip_that_says_stop_for_a_day(store: Store) -> None:
    order, old = submit(store), submit(store)
    for one in (order, old):
        report(store, one, S.PRINTED, Proof.L2)
    with store.write() as connection:
        changed = schema.orders.c.changed_at - orders.STOP_MS
        connection.execute(sa.update(schema.orders).where(schema.orders.c.id == old).values(changed_at=changed))
    with store.write() as connection, pytest.raises(orders.WrongState):
        orders.cancel(connection, M, old, "key", "eaten long ago", RULES)
    with store.write() as connection:
        orders.cancel(connection, M, order, "platform", "the customer called", RULES)
    assert (state(store, order), told(store)) == ("cancelling", ["cancel"])
    assert not report(store, order, S.PRINTED, Proof.L2)  # an old message once more: the box has not heard of it
    assert (state(store, order), told(store)) == ("cancelling", ["cancel"])
    assert report(store, order, S.PRINTED, Proof.L2, cancelled=True)
    assert (state(store, order), code(store, order), told(store)) == ("printed", "stopped", [])
    with store.read() as connection:
        view = views.order(connection, M, order)
    assert view is not None and "cancelled after it was printed" in view.says
    with store.write() as connection:
        orders.reprint(connection, M, order, "ann", "they want it after all", RULES)
    assert (state(store, order), code(store, order)) == ("reprinting", "")


def test_a_kitchen_that_was_not_told_to_stop_is_an_alarm_and_the_paper_stays_true(store: Store) -> None:
    order = submit(store)
    report(store, order, S.PRINTED, Proof.L1)
    with store.write() as connection:
        orders.cancel(connection, M, order, "ann", "no fish", RULES)
        connection.execute(sa.update(schema.orders).values(expires_at=1))
        overdue.expire(connection, RULES)
    assert (state(store, order), code(store, order)) == ("printed", "stopped")
    assert alarm_kinds(store) == ["order_stop"]
    report(store, order, S.PRINTED, Proof.L1, cancelled=True)  # the box is back
    assert alarm_kinds(store) == []


def alarm_kinds(store: Store) -> list[str]:
    with store.read() as connection:
        return [alarm["kind"] for alarm in views.standing_alarms(connection, M)]


def test_a_cancel_that_the_box_never_answers_is_told_as_unknown(store: Store) -> None:
    order = submit(store)
    with store.write() as connection:
        orders.sent(connection, M, order, "main")
        orders.cancel(connection, M, order, "key", "changed their mind", RULES)
        connection.execute(sa.update(schema.orders).values(expires_at=1))
        overdue.expire(connection, RULES)
    assert state(store, order) == "unconfirmed"
    report(store, order, S.CANCELLED)
    assert state(store, order) == "cancelled"


def test_time_runs_out(store: Store) -> None:
    waiting, queued, at_box = submit(store, "takeaway"), submit(store), submit(store)
    report(store, at_box, S.RECEIVED)
    with store.write() as connection:
        connection.execute(sa.update(schema.orders).values(expires_at=1, accepted_at=1))
        here = schema.orders.c.id == at_box
        connection.execute(sa.update(schema.orders).where(here).values(expires_at=now_ms() - 1000))
        overdue.expire(connection, RULES)
    assert [state(store, o) for o in (waiting, queued, at_box)] == ["expired", "expired", "received"]
    with store.read() as connection:
        kinds = {a["object"]: a["kind"] for a in views.standing_alarms(connection, M)}
    assert kinds == {waiting: "order_expired", queued: "order_expired", at_box: "order_waiting"}
    report(store, queued, S.PRINTED, Proof.L1)  # it had arrived after all: the truth lands, the alarm ends
    assert state(store, queued) == "printed"
    with store.read() as connection:
        assert queued not in {a["object"] for a in views.standing_alarms(connection, M)}
    with store.write() as connection:
        connection.execute(sa.update(schema.orders).where(here).values(expires_at=1))
        overdue.expire(connection, RULES)
    assert state(store, at_box) == "unconfirmed"  # its box said nothing for minutes: nobody knows the paper


def test_a_box_that_comes_back_asks_before_it_prints_what_is_old(store: Store) -> None:
    fresh, old = submit(store), submit(store)
    for order in (fresh, old):
        report(store, order, S.RECEIVED)
    with store.write() as connection:
        connection.execute(sa.update(schema.orders).where(schema.orders.c.id == old).values(accepted_at=1))
        reports.held(connection, M, BOX, [fresh, old, "never-heard-of"], RULES)
        query = sa.select(schema.outbox.c.payload).where(schema.outbox.c.what == "go").order_by(schema.outbox.c.id)
        answers = [decode("orders", row.payload) for row in connection.execute(query)]
    assert {a.order: a.go for a in answers} == {fresh: True, old: False, "never-heard-of": False}


def test_what_the_box_is_told_is_what_was_ordered(store: Store) -> None:
    order = submit(store)
    with store.read() as connection:
        payload = connection.execute(sa.select(schema.outbox.c.payload)).scalar_one()
    message = decode("orders", payload)
    assert isinstance(message, PrintOrder)
    assert (message.order, message.part, message.copy_number, message.attempt) == (order, "main", 1, 1)
    assert message.content.items == [OrderItem("Soup")]
    assert message.content.number == "001"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    one = fresh_store(tmp_path_factory.mktemp("orders"))
    yield one
    one.close()


told_states = st.tuples(st.sampled_from(sorted(OrderState)), st.sampled_from(list(Proof)), st.integers(1, 3))


@pytest.mark.covers("F34")
@settings(max_examples=60, deadline=None)
@given(sequence=st.lists(told_states, max_size=12))
def test_whatever_a_box_says_in_whatever_order(shared: Store, sequence: list[tuple[OrderState, Proof, int]]) -> None:
    order = submit(shared)
    proven = False
    for what, proof, attempt in sequence:
        report(shared, order, what, proof, attempt=attempt)
        proven = proven or (what is S.PRINTED and proof >= Proof.L1)
        assert (state(shared, order) == "printed") == proven  # printed if, and only if, it was proven; for ever
        changed = report(shared, order, what, proof, attempt=attempt)
        assert not changed  # twice is once
    with shared.read() as connection:
        view = views.order(connection, M, order)
    assert view is not None
    assert isinstance(view.history, list)
    assert view.history[-1].state == view.state
