"""What a person asks of a box from the console, and what the box answered: kept, so that the page can show both."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from cloud import audit
from cloud import boxes as box_table
from cloud.auth import Who
from cloud.store.fleet import asked
from cloud.store.schema import boxes
from wire.messages import Result, now_ms

MAY = {  # command -> the scope or role that it needs
    "test_slip": "orders:write",
    "play_sound": "orders:write",
    "identify": "orders:write",
    "send_logs": "owner",
    "update": "owner",
}
MOST_TEXT = 100_000
PATIENCE_MS = 3_600_000  # cloud/boxes.py: an unanswered command is not sent any more after that


def ask(connection: sa.Connection, who: Who, box: str, name: str, args: dict[str, Any]) -> str | None:
    """-> the command's id; None: the merchant has no such box."""
    mine = (boxes.c.merchant_id == who.merchant, boxes.c.id == box, boxes.c.revoked_at.is_(None))
    if connection.execute(sa.select(boxes.c.id).where(*mine)).first() is None:
        return None
    key = box_table.command(connection, who.merchant, box, name, args)
    connection.execute(
        sa.insert(asked).values(
            merchant_id=who.merchant, id=key, box=box, name=name, who=who.name, at=now_ms(), text="", data="{}"
        )
    )
    audit.add(connection, who.merchant, who.name, f"box.{name}", box)
    return key


def answered(connection: sa.Connection, merchant: str, box: str, result: Result) -> None:
    """A box's answer; one to what no person asked is not kept here."""
    data = msgspec.json.encode(result.data).decode()
    connection.execute(
        sa.update(asked)
        .where(asked.c.merchant_id == merchant, asked.c.id == result.command, asked.c.box == box)
        .values(
            answered_at=now_ms(),
            ok=result.ok,
            text=result.text[:2000],
            data=data if len(data) <= MOST_TEXT else "{}",
        )
    )


def heard(connection: sa.Connection, who: Who, box: str, command: str, yes: bool) -> bool:
    """Whether a person heard the sound: no box can know. False: there is no such command."""
    mine = (asked.c.merchant_id == who.merchant, asked.c.box == box, asked.c.id == command)
    row = connection.execute(sa.select(asked.c.data).where(*mine, asked.c.name == "play_sound", asked.c.ok)).first()
    if row is None:
        return False
    data = msgspec.json.decode(row.data) | {"heard": yes}
    connection.execute(sa.update(asked).where(*mine).values(data=msgspec.json.encode(data).decode()))
    audit.add(connection, who.merchant, who.name, "box.heard", box, "yes" if yes else "no")
    return True


def history(connection: sa.Connection, merchant: str, box: str, most: int = 30) -> list[dict[str, Any]]:
    """The newest first; `data` as it came, `waits`: it may still be answered."""
    rows = connection.execute(
        sa.select(asked)
        .where(asked.c.merchant_id == merchant, asked.c.box == box)
        .order_by(asked.c.id.desc())
        .limit(most)
    )
    now = now_ms()
    return [
        dict(row._mapping)
        | {"data": msgspec.json.decode(row.data), "waits": row.answered_at is None and now - row.at < PATIENCE_MS}
        for row in rows
    ]
