"""Telling customers what became of their orders: by SMS, e-mail, WeChat, or the shop's own webhook.

A notice is a row for each state and way, made once however often this looks; it is tried after RETRY_S, then `failed`.
A customer is told by one way, the first of WeChat, SMS and e-mail that they and the shop have; the others are `spare`,
and come in turn when the one before has failed twice. When nothing reached a customer whose order was not taken, an
alarm says so, until their page showed it.
"""

from __future__ import annotations

import http.client
import json
import logging
import ssl
import threading
import time
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from cloud import contacts, events, fronts, guests, staff, strings, webhooks
from cloud.events import Bell
from cloud.fronts import Front
from cloud.notifier_door import Notifier, Unsent, filled
from cloud.review import REASONS
from cloud.senders import write
from cloud.steps import STOPPED
from cloud.store.counter import guest_orders, notices, senders
from cloud.store.database import Store
from cloud.store.schema import orders
from config.cloud import CloudConfig
from wire.messages import OrderContent, OrderState, now_ms

log = logging.getLogger("cloud.notices")
S = OrderState
RETRY_S = (5, 30, 120, 600)
LEASE_MS = 60_000
DAY_MS = 86_400_000
TIDY_S = 600.0
TAKEN = (S.ACCEPTED, S.QUEUED, S.SENT, S.RECEIVED, S.PRINTING, S.PRINTED)
NOT_TAKEN = (S.REJECTED, S.EXPIRED, S.CANCELLED)
STOPPED_LATE = sa.and_(orders.c.state == S.PRINTED, orders.c.reason_code == STOPPED)  # cancelled when it was printed
ALARM = "notice"


class Notices:
    """`run()` is a thread's work, until `stopping` is set."""

    def __init__(self, store: Store, config: CloudConfig, bell: Bell, stopping: threading.Event) -> None:
        self._store, self._config, self._bell, self._stopping = store, config, bell, stopping
        self._notifier = Notifier(config.webhooks.allow_private)
        self._tls = ssl.create_default_context()

    def run(self) -> None:
        tidied = 0.0
        try:
            with self._bell.thread_ear() as ear:
                while not self._stopping.is_set():
                    ear.clear()
                    try:
                        self.spread()
                        while not self._stopping.is_set() and (due := self.due()):
                            for row in due:
                                self.deliver(row)
                        if time.monotonic() - tidied > TIDY_S:
                            tidied = time.monotonic()
                            with self._store.write() as connection:
                                contacts.tidy(connection, now_ms())
                    except sa.exc.SQLAlchemyError as error:
                        log.error("notices wait for the store: %s", str(error).splitlines()[0])
                    self._stopping.wait(0.2)
                    ear.wait(1)
        finally:
            self._notifier.stop()

    # ---- which are to be made

    def spread(self) -> int:
        """Orders that changed -> notices to make. -> how many orders."""
        query = (
            sa.select(guest_orders.c.merchant_id, guest_orders.c.order_id)
            .select_from(guest_orders.join(orders, guests.SAME))
            .where(
                guest_orders.c.created_at > now_ms() - DAY_MS,
                sa.or_(
                    sa.and_(STOPPED_LATE, guest_orders.c.told != S.CANCELLED),
                    sa.and_(orders.c.state.in_(NOT_TAKEN), guest_orders.c.told != orders.c.state),
                    sa.and_(orders.c.state.in_(TAKEN), ~STOPPED_LATE, guest_orders.c.told == ""),
                ),
            )
            .limit(200)
        )
        with self._store.read() as connection:
            found = connection.execute(query).all()
            shops = staff.due(connection)
        for row in found:
            with self._store.write() as connection:
                self._spread_one(connection, row.merchant_id, row.order_id)
        for merchant in shops:
            with self._store.write() as connection:
                staff.tell(connection, merchant, self._config.base)
        if found or shops:
            self._bell.ring()
        return len(found) + len(shops)

    def _spread_one(self, connection: sa.Connection, merchant: str, order_id: str) -> None:
        row = connection.execute(
            sa.select(
                guest_orders,
                orders.c.state,
                orders.c.number,
                orders.c.reason,
                orders.c.reason_code,
                orders.c.ready_at,
                orders.c.content,
            )
            .select_from(guest_orders.join(orders, guests.SAME))
            .where(guest_orders.c.merchant_id == merchant, guest_orders.c.order_id == order_id)
            .with_for_update(of=guest_orders)
        ).one()
        front = fronts.ensure(connection, merchant)
        stopped = row.state == S.PRINTED and row.reason_code == STOPPED
        state = S.CANCELLED if stopped else S.ACCEPTED if row.state in TAKEN else OrderState(row.state)
        connection.execute(
            sa.update(guest_orders)
            .where(guest_orders.c.merchant_id == merchant, guest_orders.c.order_id == order_id)
            .values(told=state)
        )
        wanted = {"wechat": row.wechat, "sms": row.phone, "email": row.email, "webhook": front.order_link(order_id)}
        if row.table_id and state is S.ACCEPTED:
            return  # they sit there: the kitchen's paper is their answer
        title, body = text(front, row, state, self._config.base)
        missed = state in NOT_TAKEN
        if write(connection, merchant, order_id, state, wanted, title, body, missed=missed) and missed:
            _look(connection, merchant, order_id, state)

    # ---- making them

    def due(self) -> list[Any]:
        at = now_ms()
        query = (
            sa.select(notices, senders.c.url, senders.c.secret)
            .join(senders, sa.and_(senders.c.merchant_id == notices.c.merchant_id, senders.c.way == notices.c.way))
            .where(sa.text("notices.state = 'due'"), notices.c.next_at <= at)
            .order_by(notices.c.next_at)
            .limit(20)
        )
        with self._store.read() as connection:
            if connection.execute(query.limit(1)).first() is None:
                return []
        with self._store.write() as connection:
            found = list(connection.execute(query.with_for_update(skip_locked=True, of=notices)).all())
            for row in found:
                connection.execute(sa.update(notices).where(*_key(row)).values(next_at=at + LEASE_MS))
        return found

    def deliver(self, row: Any) -> None:
        problem = ""
        try:
            self.send(row)
        except Unsent as error:
            problem = str(error)[:300] or "it did not go out"
        at = now_ms()
        with self._store.write() as connection:
            if not problem:
                done = {"state": "sent", "sent_at": at, "problem": ""}
                connection.execute(sa.update(notices).where(*_key(row)).values(tries=row.tries + 1, **done))
                if row.way != "webhook":
                    connection.execute(sa.delete(notices).where(*_others(row)))
                if row.state_told == staff.STATE:
                    events.clear_alarm(connection, row.merchant_id, staff.ALARM, "")
                else:
                    events.clear_alarm(connection, row.merchant_id, ALARM, row.order_id)
            else:
                log.warning("notice=%s way=%s try=%d failed: %s", row.id, row.way, row.tries + 1, problem)
                dead = row.tries >= len(RETRY_S)
                later = {} if dead else {"next_at": at + RETRY_S[row.tries] * 1000}
                values = {"state": "failed" if dead else "due", "problem": problem, "tries": row.tries + 1, **later}
                connection.execute(sa.update(notices).where(*_key(row)).values(**values))
                if row.tries >= 1 and row.way != "webhook":  # the next way, while this one is tried on
                    first = sa.select(sa.func.min(notices.c.id)).where(*_others(row)).scalar_subquery()
                    mine = (notices.c.merchant_id == row.merchant_id, notices.c.id == first)
                    connection.execute(sa.update(notices).where(*mine).values(state="due", next_at=at))
                if row.state_told == staff.STATE and row.tries >= 1:  # one hiccup is no news
                    staff.failed(connection, row, problem)
                elif row.state_told in NOT_TAKEN and row.tries >= 1:
                    _look(connection, row.merchant_id, row.order_id, row.state_told)
        self._bell.ring()

    def send(self, row: Any) -> None:
        """Raises Unsent."""
        if row.way != "webhook":
            self._notifier.send(filled(row.url, row.address), row.title, row.body)
            return
        at, settings = int(time.time()), self._config.webhooks
        fields = ("title", "body", "state_told", "order_id", "address")
        body = json.dumps({name: getattr(row, name) for name in fields}, ensure_ascii=False).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Tillwire",
            "Connection": "close",
            "webhook-id": row.id,
            "webhook-timestamp": str(at),
            "webhook-signature": webhooks.sign(row.secret, row.id, at, body),
        }
        try:
            target = webhooks.resolve(row.url, settings.allow_private)
            status = webhooks.post(target, body, headers, settings.timeout_s, self._tls)
        except (webhooks.Unsafe, OSError, http.client.HTTPException, UnicodeError) as error:
            raise Unsent(str(error) or type(error).__name__) from error
        if not 200 <= status < 300:
            raise Unsent(f"it answered {status}")


def text(front: Front, row: Any, state: OrderState, base: str) -> tuple[str, str]:
    """-> (title, body) in the customer's language. Values are put in, never read as a template (A9)."""
    t = strings.strings(row.language if row.language in strings.languages() else strings.FIRST)
    code, reason = row.reason_code, row.reason
    if f"order.reason.is_{code}" in t and reason in ("", REASONS.get(code)):
        reason = t(f"order.reason.is_{code}")
    ready = datetime.fromtimestamp(row.ready_at / 1000, front.zone).strftime("%H:%M") if row.ready_at else ""
    values = {
        "shop": front.name,
        "number": row.number,
        "reason": reason if reason.endswith((".", "。", "!", "?")) or not reason else f"{reason}.",
        "ready": ready,
        "link": f"{base}/o/{front.order_link(row.order_id)}",
    }
    name = "accepted_ready" if state is S.ACCEPTED and ready else str(state)
    title = " ".join(t("order.notice.title", **values).split())[:120]
    return title, t(f"order.notice.{name}", **values)[:600]


def _look(connection: sa.Connection, merchant: str, order_id: str, state: str) -> None:
    """Raise the alarm when an order was not taken, and nothing says that its customer knows."""
    row = connection.execute(
        sa.select(guest_orders.c.seen_at, orders.c.number, orders.c.content)
        .select_from(guest_orders.join(orders, guests.SAME))
        .where(guest_orders.c.merchant_id == merchant, guest_orders.c.order_id == order_id)
    ).one()
    made = connection.execute(
        sa.select(notices.c.way, notices.c.state, notices.c.problem, notices.c.tries).where(
            notices.c.merchant_id == merchant, notices.c.order_id == order_id, notices.c.state_told == state
        )
    ).all()
    fine = any(n.state == "sent" or (n.state == "due" and n.tries == 0) for n in made)
    if row.seen_at is not None or fine or not made:
        return
    who = msgspec.json.decode(row.content, type=OrderContent).customer
    what = "; ".join(f"{n.way}: {n.problem}" for n in made)
    about = f"Order {row.number} is {state}, and {who or 'its customer'} could not be told ({what})."
    events.raise_alarm(connection, merchant, ALARM, order_id, about[:500])


def _key(row: Any) -> list[sa.ColumnElement[bool]]:
    return [notices.c.merchant_id == row.merchant_id, notices.c.id == row.id]


def _others(row: Any) -> list[sa.ColumnElement[bool]]:
    """The ways of the same notice that were not needed yet."""
    same = [notices.c.merchant_id == row.merchant_id, notices.c.order_id == row.order_id]
    return [*same, notices.c.state_told == row.state_told, notices.c.state == "spare"]
