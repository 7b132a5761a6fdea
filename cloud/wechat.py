"""A customer links their WeChat account to an order: they ask, the shop's push service gives a code, they scan it.

A row of wechat_links is one wish: asked -> shown (the code is on their page) -> linked, or failed, or over. Asking is
their consent, and the page says so; what came of it is kept as long as their other contacts (cloud/contacts.py).
"""

from __future__ import annotations

import logging
import threading
from typing import Any

import sqlalchemy as sa

from cloud.events import Bell
from cloud.notifier_door import Notifier, Unsent
from cloud.store.counter import guest_orders, senders, wechat_links
from cloud.store.database import Store
from cloud.typed import WECHAT
from wire.messages import now_ms

log = logging.getLogger("cloud.wechat")
SCHEME = "wxpusher://"  # the one service that gives codes for one customer each
VALID_S = 900
ASK_MS = 10_000  # WxPusher allows no more
LEASE_MS = 60_000
OPEN = ("asked", "shown")


def offered(connection: sa.Connection, merchant: str) -> bool:
    """Can a customer of this shop link an account?"""
    mine = (senders.c.merchant_id == merchant, senders.c.way == "wechat")
    url = connection.execute(sa.select(senders.c.url).where(*mine)).scalar()
    return url is not None and url.startswith(SCHEME)


def ask(connection: sa.Connection, merchant: str, order_id: str) -> None:
    """The customer wants to be told by WeChat; once more after one that came to nothing."""
    at, mine = now_ms(), _of(merchant, order_id)
    if connection.execute(sa.select(wechat_links.c.state).where(*mine)).scalar() in (*OPEN, "linked"):
        return
    connection.execute(sa.delete(wechat_links).where(*mine))
    connection.execute(
        sa.insert(wechat_links).values(
            merchant_id=merchant, order_id=order_id, state="asked", asked_at=at, next_at=at,
            expires_at=at + VALID_S * 1000,
        )
    )  # fmt: skip


def state(connection: sa.Connection, merchant: str, order_id: str) -> str:
    """asked | shown | linked | failed | over; "" where nobody asked."""
    found = connection.execute(sa.select(wechat_links.c.state).where(*_of(merchant, order_id))).scalar()
    return found or ""


def picture(connection: sa.Connection, merchant: str, order_id: str) -> bytes | None:
    found: bytes | None = connection.execute(
        sa.select(wechat_links.c.picture).where(*_of(merchant, order_id), wechat_links.c.state == "shown")
    ).scalar()
    return found


def carry_over(connection: sa.Connection, merchant: str, old: str, order_id: str) -> None:
    """An order takes the place of another one: who had linked WeChat to that is told of this too."""
    if state(connection, merchant, old) != "linked":
        return
    at = now_ms()
    uid = sa.select(guest_orders.c.wechat).where(*_order(merchant, old)).scalar_subquery()
    connection.execute(sa.update(guest_orders).where(*_order(merchant, order_id)).values(wechat=uid))
    connection.execute(
        sa.insert(wechat_links).values(
            merchant_id=merchant, order_id=order_id, state="linked", asked_at=at, next_at=at, expires_at=at
        )
    )


class Linker:
    """Asks the provider for codes, and who scanned them. `run()` is a thread's work, until `stopping` is set."""

    def __init__(self, store: Store, allow_private: bool, bell: Bell, stopping: threading.Event) -> None:
        self._store, self._bell, self._stopping = store, bell, stopping
        self._notifier = Notifier(allow_private)

    def run(self) -> None:
        try:
            with self._bell.thread_ear() as ear:
                while not self._stopping.is_set():
                    ear.clear()
                    try:
                        for row in self._due():
                            self._step(row)
                    except sa.exc.SQLAlchemyError as error:
                        log.error("WeChat codes wait for the store: %s", str(error).splitlines()[0])
                    self._stopping.wait(0.2)
                    ear.wait(1)
        finally:
            self._notifier.stop()

    def _due(self) -> list[Any]:
        at = now_ms()
        query = (
            sa.select(wechat_links, senders.c.url)
            .join(senders, sa.and_(senders.c.merchant_id == wechat_links.c.merchant_id, senders.c.way == "wechat"))
            .where(wechat_links.c.state.in_(OPEN), wechat_links.c.next_at <= at)
            .order_by(wechat_links.c.next_at)
            .limit(20)
        )
        with self._store.read() as connection:
            if connection.execute(query.limit(1)).first() is None:
                return []
        with self._store.write() as connection:
            found = list(connection.execute(query.with_for_update(skip_locked=True, of=wechat_links)).all())
            for row in found:
                self._set(connection, row, next_at=at + LEASE_MS)
        return found

    def _step(self, row: Any) -> None:
        values: dict[str, Any] = {"next_at": now_ms() + ASK_MS}
        uid = ""
        try:
            if row.expires_at <= now_ms():
                values |= {"state": "over", "picture": None}
            elif row.state == "asked":
                code, image = self._notifier.invite(row.url, row.order_id, VALID_S)
                values |= {"state": "shown", "code": code, "picture": image}
            else:
                uid = self._notifier.scanned(row.code)
                if uid and not WECHAT.fullmatch(uid):
                    raise Unsent("it named somebody by an id that is none")
        except Unsent as error:
            log.warning("wechat order=%s %s failed: %s", row.order_id, row.state, error)
            if row.state == "asked":  # a scan is asked for again
                values |= {"state": "failed", "problem": str(error)}
        with self._store.write() as connection:
            if uid:
                values |= {"state": "linked", "picture": None}
                mine = _order(row.merchant_id, row.order_id)
                connection.execute(sa.update(guest_orders).where(*mine).values(wechat=uid, told=""))
            self._set(connection, row, **values)
        if "state" in values:
            self._bell.ring()

    def _set(self, connection: sa.Connection, row: Any, **values: Any) -> None:
        connection.execute(sa.update(wechat_links).where(*_of(row.merchant_id, row.order_id)).values(**values))


def _of(merchant: str, order_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return wechat_links.c.merchant_id == merchant, wechat_links.c.order_id == order_id


def _order(merchant: str, order_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return guest_orders.c.merchant_id == merchant, guest_orders.c.order_id == order_id
