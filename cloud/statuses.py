"""What boxes say of themselves: kept, and compared with what we hold of them."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from cloud import boxes as box_table
from cloud import claims, commands, events, faults, journals, sounds
from cloud.store.schema import boxes, epochs, outbox
from wire.messages import Result, Status, decode, now_ms

BOOTS = 6  # boot ids kept for each box
ESCALATED = " (escalated) "  # as agent/alerts.py writes it
REGRESS = 2  # live statuses in a row that count below what we hold, before a box is told to start a new epoch


def status_of(connection: sa.Connection, merchant: str, box: str, status: Status, retained: bool) -> None:
    at = now_ms()
    columns = (boxes.c.online, boxes.c.status, boxes.c.regress, boxes.c.boots)
    old = connection.execute(sa.select(*columns).where(boxes.c.id == box)).one()
    text = events.to_json(status)
    values: dict[str, Any] = {"online": status.online, "status_at": at}
    if status.online or old.status is None:  # a will knows nothing but that the box is gone
        values["status"] = text
    regress = 0
    if status.online and not retained and status.epoch:
        row = connection.execute(
            sa.select(epochs.c.highest).where(epochs.c.box == box, epochs.c.epoch == status.epoch)
        ).first()
        top = row.highest if row else 0
        if status.last_seq < top:
            regress = old.regress + 1
            if regress >= REGRESS:
                what = f"Box {box} counts to {status.last_seq}, where {top} was received: a restored memory card?"
                events.raise_alarm(connection, merchant, "clone", box, what)
                box_table.renew_epoch(connection, merchant, box, status.epoch)
        acked = (status.first_unacked or status.last_seq + 1) - 1
        if acked > top:  # acknowledged once, and not here: this database was restored from a backup
            journals.missing(connection, merchant, box, status.epoch, top, acked, at)
    values["regress"] = regress
    if status.online and not retained and status.boot:
        values["boots"], twice = _boots(old.boots, status.boot)
        if twice:
            what = f"Two boxes speak as {box}: a copied memory card? Claim one of them anew, and it gets its own name."
            events.raise_alarm(connection, merchant, "clone", box, what)
    connection.execute(sa.update(boxes).where(boxes.c.id == box).values(**values))
    if old.online != status.online or _shown(old.status) != _shown(text):
        events.add(connection, merchant, "box.changed", box, {"online": status.online})
        if status.online:
            faults.keep(connection, merchant, box, status, at)
            _escalated(connection, merchant, box, status.alerts)
    if status.online and not retained:
        sounds.bring(connection, merchant, box, status.sounds)
    if status.online and old.online is not True:  # it may have missed what we told it
        connection.execute(
            sa.update(outbox)
            .where(outbox.c.merchant_id == merchant, outbox.c.box == box, outbox.c.done_at.is_(None))
            .values(next_at=at)
        )


def _escalated(connection: sa.Connection, merchant: str, box: str, alerts: list[str]) -> None:
    """Alerts that sounded and that nobody answered: "kind:subject (escalated) text"."""
    found = [text for name, _, text in (alert.partition(ESCALATED) for alert in alerts) if text]
    if found:
        about = f"Box {box} has sounded its alert for ten minutes, and nobody came: {'; '.join(found)}"
        events.raise_alarm(connection, merchant, "box_alert", box, about[:500])
    else:
        events.clear_alarm(connection, merchant, "box_alert", box)


def _boots(seen: str, boot: str) -> tuple[str, bool]:
    """(boot ids in the order of their last coming, whether an older one came back). A kernel makes a new one at each
    start, so one that comes back after another is a second machine.

    >>> _boots("", "a"), _boots("a b", "b"), _boots("a b", "a")
    (('a', False), ('a b', False), ('b a', True))
    """
    boot = "".join(boot[:64].split())
    known = seen.split()
    if known and known[-1] == boot:
        return seen, False
    return " ".join([*(b for b in known if b != boot), boot][-BOOTS:]), boot in known


def _shown(status: str | None) -> Any:
    """The part of a status whose change is news."""
    if not status:
        return None
    value = msgspec.json.decode(status)
    return [value.get("printers"), value.get("alerts"), value.get("version"), value.get("epoch")]


def result_of(connection: sa.Connection, merchant: str, box: str, result: Result) -> None:
    payload = connection.execute(
        sa.update(outbox)
        .where(
            outbox.c.merchant_id == merchant,
            outbox.c.box == box,
            outbox.c.id == result.command,
            outbox.c.done_at.is_(None),
        )
        .values(done_at=now_ms())
        .returning(outbox.c.payload)
    ).scalar()
    if payload is not None:
        ok, text = result.ok, result.text[:2000]
        if ok and decode("commands", payload, "").name == "rotate":
            problem = claims.rotated(connection, merchant, box, result.data)
            ok, text = not problem, problem or text
        commands.answered(connection, merchant, box, result)
        data = {"command": result.command, "ok": ok, "text": text}
        events.add(connection, merchant, "command.done", box, data)
