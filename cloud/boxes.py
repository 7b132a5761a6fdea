"""The table of boxes: whose they are, what their passwords are, what they are told."""

from __future__ import annotations

import threading
import time
from typing import Any

import sqlalchemy as sa

from cloud import audit
from cloud.store.database import Store
from cloud.store.schema import boxes, epochs, outbox
from wire.messages import Command, encode, new, now_ms

LONG_MS = 7 * 86_400_000
LONG = ("new_epoch", "update", "sound")  # commands that wait for a box so long: an update is done at night


class Owners:
    """Box id -> merchant id, kept in memory for a second: identity is asked for each message."""

    KEEP_S = 1.0

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turn = threading.Lock()
        self._known: dict[str, tuple[str | None, float]] = {}

    def of(self, asked: set[str]) -> dict[str, str]:
        """Without those that are unknown or revoked. One question to the database for all that are to be looked up."""
        now = time.monotonic()
        with self._turn:
            due = [box for box in asked if box not in self._known or now - self._known[box][1] >= self.KEEP_S]
            if len(self._known) + len(due) > 100_000:
                self._known.clear()
                due = list(asked)
            if due:
                with self._store.read() as connection:
                    query = sa.select(boxes.c.id, boxes.c.merchant_id).where(boxes.c.revoked_at.is_(None))
                    found = {row.id: row.merchant_id for row in connection.execute(query.where(boxes.c.id.in_(due)))}
                self._known |= {box: (found.get(box), now) for box in due}
            return {box: owner for box in asked if (owner := self._known[box][0]) is not None}


def passwords(store: Store) -> dict[str, str]:
    """Box id -> bcrypt hash, of all that may connect. Nothing else: NATS would take it for the password itself."""
    with store.read() as connection:
        rows = connection.execute(sa.select(boxes.c.id, boxes.c.password_hash).where(boxes.c.revoked_at.is_(None)))
        return {row.id: row.password_hash for row in rows if row.password_hash.startswith("$2")}


def revoke(connection: sa.Connection, merchant: str, box: str, who: str) -> bool:
    """It may not connect any more, and what it sends is set aside. False: the merchant has no such box."""
    mine = (boxes.c.merchant_id == merchant, boxes.c.id == box)
    revoked = sa.func.coalesce(boxes.c.revoked_at, now_ms())
    if not connection.execute(sa.update(boxes).where(*mine).values(revoked_at=revoked, online=False)).rowcount:
        return False
    audit.add(connection, merchant, who, "box.revoke", box)
    return True


def command(
    connection: sa.Connection,
    merchant: str,
    box: str,
    name: str,
    args: dict[str, Any] | None = None,
    about: str | None = None,
) -> str:
    """Queue a command for a box -> its id, that the result will name. `about`: what it is to be found by."""
    message = new(Command, name=name, args=args or {})
    at = now_ms()
    connection.execute(
        sa.insert(outbox).values(
            merchant_id=merchant,
            id=message.id,
            box=box,
            leaf="commands",
            what="command",
            part=about,
            payload=encode(message),
            created_at=at,
            next_at=at,
            expires_at=at + LONG_MS if name in LONG else at + 3_600_000,
        )
    )
    return message.id


def give_up(connection: sa.Connection, merchant: str, command_id: str) -> None:
    """A command that nobody wants any more is not sent again."""
    mine = (outbox.c.merchant_id == merchant, outbox.c.id == command_id)
    connection.execute(sa.update(outbox).where(*mine).values(done_at=now_ms()))


def renew_epoch(connection: sa.Connection, merchant: str, box: str, epoch: str) -> None:
    """Tell a box to leave this epoch; once, for the same epoch."""
    row = connection.execute(sa.select(epochs.c.renewed_at).where(epochs.c.box == box, epochs.c.epoch == epoch)).first()
    if row is None or row.renewed_at is not None:
        return
    command(connection, merchant, box, "new_epoch", {"epoch": epoch})
    connection.execute(
        sa.update(epochs).where(epochs.c.box == box, epochs.c.epoch == epoch).values(renewed_at=now_ms())
    )
