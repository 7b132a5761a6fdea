"""The ways a shop reaches people: an address for each, with {to} where the person's number, address or id belongs.

A message becomes a row for each way that person and shop have: the first is `due`, the others are `spare` and come in
turn (cloud/notices.py). Functions of a connection that is in a transaction; nothing here commits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from cloud import webhooks
from cloud.ids import ordered
from cloud.notifier_door import check
from cloud.store.counter import notices, senders
from wire.messages import now_ms


@dataclass(frozen=True, slots=True)
class Sender:
    way: str
    url: str
    secret: str


def senders_of(connection: sa.Connection, merchant: str) -> dict[str, Sender]:
    rows = connection.execute(sa.select(senders).where(senders.c.merchant_id == merchant))
    return {row.way: Sender(row.way, row.url, row.secret) for row in rows}


def set_sender(connection: sa.Connection, merchant: str, way: str, url: str, allow_private: bool = False) -> None:
    """An empty `url` takes the way out. Raises notifier_door.BadSender, webhooks.Unsafe."""
    if url and way == "webhook":
        webhooks.check_url(url, allow_private)
    elif url:
        check(way, url)
    mine = (senders.c.merchant_id == merchant, senders.c.way == way)
    old = connection.execute(sa.select(senders.c.secret).where(*mine)).scalar()
    connection.execute(sa.delete(senders).where(*mine))
    if url:
        secret = (old or webhooks.new_secret()) if way == "webhook" else ""
        connection.execute(
            sa.insert(senders).values(merchant_id=merchant, way=way, url=url, secret=secret, changed_at=now_ms())
        )


def write(
    connection: sa.Connection,
    merchant: str,
    about: str,
    state: str,
    wanted: Mapping[str, str],
    title: str,
    body: str,
    *,
    missed: bool,
) -> bool:
    """One message. -> whether there is anybody to tell.

    about    the order, or a name of its own; with `state` and the way it is written once
    wanted   way -> where they are by it, the best way first; empty: they have it not
    missed   a way that the shop has not set up is written down as failed
    """
    have, at, made, told = senders_of(connection, merchant), now_ms(), False, False
    for way, address in wanted.items():
        if not address or _exists(connection, merchant, about, state, way):
            continue
        missing = "" if way in have else f"the shop has not set up {way}"
        if missing and (not missed or way == "webhook"):  # nobody left a webhook
            continue
        made = True
        spare = told and way != "webhook"
        told = told or not (missing or way == "webhook")
        connection.execute(
            sa.insert(notices).values(
                merchant_id=merchant,
                id=ordered(),
                order_id=about,
                state_told=state,
                way=way,
                address=address,
                title=title,
                body=body,
                state="failed" if missing else "spare" if spare else "due",
                problem=missing,
                created_at=at,
                next_at=at,
            )
        )
    return made


def _exists(connection: sa.Connection, merchant: str, about: str, state: str, way: str) -> bool:
    """A notice that failed for want of a sender is made anew; one that was sent never is."""
    mine = (
        notices.c.merchant_id == merchant,
        notices.c.order_id == about,
        notices.c.state_told == state,
        notices.c.way == way,
    )
    connection.execute(sa.delete(notices).where(*mine, notices.c.state == "failed"))
    return connection.execute(sa.select(notices.c.id).where(*mine)).first() is not None
