"""What is shown of orders, receipts and boxes: read from the database, always of one merchant."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from cloud import faults, words
from cloud.api.shapes import (
    BoxOut,
    EventOut,
    HistoryOut,
    JournalOut,
    OrderOut,
    PrinterOut,
    ReadOut,
    ReceiptOut,
    SlipOut,
    iso,
    iso_sure,
)
from cloud.holes import watermark
from cloud.ids import first_id
from cloud.store.figures import facts
from cloud.store.schema import alarms, boxes, epochs, events, history, holes, jobs, orders, papers, receipts, slips
from cloud.strings import FIRST, strings
from wire.messages import Status

HEAD = [c for c in jobs.columns if c.name not in ("lines",)]


def order(connection: sa.Connection, merchant: str, order_id: str) -> OrderOut | None:
    """With slips and history."""
    row = connection.execute(sa.select(orders).where(orders.c.merchant_id == merchant, orders.c.id == order_id)).first()
    if row is None:
        return None
    out = _order(row)
    out.slips = [
        SlipOut(
            r.part, r.copy_number, r.attempt, r.state, r.proof, r.reason, r.printer, r.box, r.copies, r.copy, r.label
        )
        for r in connection.execute(
            sa.select(slips)
            .where(slips.c.merchant_id == merchant, slips.c.order_id == order_id)
            .order_by(slips.c.part, slips.c.copy_number)
        )
    ]
    out.history = [
        HistoryOut(iso_sure(r.at), r.state, r.who, r.why, r.proof, r.part)
        for r in connection.execute(
            sa.select(history)
            .where(history.c.merchant_id == merchant, history.c.order_id == order_id)
            .order_by(history.c.n)
        )
    ]
    return out


def order_page(
    connection: sa.Connection, merchant: str, limit: int, before: str | None = None, states: list[str] | None = None
) -> tuple[list[OrderOut], str | None]:
    """The newest first -> (orders, where to go on)."""
    query = sa.select(orders).where(orders.c.merchant_id == merchant).order_by(orders.c.id.desc()).limit(limit + 1)
    if before:
        query = query.where(orders.c.id < before)
    if states:
        query = query.where(orders.c.state.in_(states))
    rows = connection.execute(query).all()
    return [_order(row) for row in rows[:limit]], rows[limit - 1].id if len(rows) > limit else None


def _order(row: Any) -> OrderOut:
    return OrderOut(
        id=row.id,
        number=row.number,
        channel=row.channel,
        external_id=row.external_id,
        kind=row.kind,
        state=row.state,
        proof=row.proof,
        reason=row.reason,
        says=words.order(strings(FIRST), row.state, row.proof, row.reason, row.reason_code),
        box=row.box,
        printer=row.printer,
        created_at=iso_sure(row.created_at),
        changed_at=iso_sure(row.changed_at),
        expires_at=iso(row.expires_at),
        content=msgspec.json.decode(row.content),
        reason_code=row.reason_code,
        ready_at=iso(row.ready_at),
    )


def receipt(connection: sa.Connection, merchant: str, job_id: str, full: bool = True) -> ReceiptOut | None:
    found = _jobs(connection, merchant, [jobs.c.id == job_id], 1, text=True, full=full)
    return found[0] if found else None


def raw(connection: sa.Connection, merchant: str, job_id: str) -> bytes | None:
    """The masked bytes; None where there are none."""
    value = connection.execute(
        sa.select(papers.c.raw).where(papers.c.merchant_id == merchant, papers.c.job_id == job_id)
    ).scalar()
    return None if value is None else bytes(value)


def receipt_page(
    connection: sa.Connection,
    merchant: str,
    limit: int,
    *,
    before: str | None = None,
    box: str | None = None,
    number: str | None = None,
    kind: str | None = None,
    text: str | None = None,
    since_ms: int | None = None,
    until_ms: int | None = None,
    total: int | None = None,
    with_text: bool = False,
) -> tuple[list[ReceiptOut], str | None]:
    """The newest first -> (receipts, where to go on). `since_ms`, `until_ms`: when they came to us."""
    where: list[sa.ColumnElement[bool]] = []
    if before:
        where.append(jobs.c.id < before)
    if box:
        where.append(jobs.c.box == box)
    if since_ms is not None:
        where.append(jobs.c.received_at >= since_ms)
    if until_ms is not None:
        where.append(jobs.c.received_at < until_ms)
    if text:
        plain = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        where.append(jobs.c.lines.ilike(f"%{plain}%", escape="\\"))
    of_receipt: list[sa.ColumnElement[bool]] = []
    if number:
        of_receipt.append(receipts.c.number == number)
    if kind:
        of_receipt.append(receipts.c.kind == kind)
    if total is not None:
        of_receipt.append(receipts.c.total == total)
    if of_receipt:
        where.append(jobs.c.id.in_(sa.select(receipts.c.job_id).where(receipts.c.merchant_id == merchant, *of_receipt)))
    found = _jobs(connection, merchant, where, limit + 1, text=with_text, full=False)
    return found[:limit], found[limit - 1].id if len(found) > limit else None


def _jobs(
    connection: sa.Connection,
    merchant: str,
    where: list[sa.ColumnElement[bool]],
    limit: int,
    *,
    text: bool,
    full: bool,
) -> list[ReceiptOut]:
    columns = [*HEAD, jobs.c.lines] if text else HEAD
    rows = connection.execute(
        sa.select(*columns).where(jobs.c.merchant_id == merchant, *where).order_by(jobs.c.id.desc()).limit(limit)
    ).all()
    read: dict[str, list[ReadOut]] = {row.id: [] for row in rows}
    if rows:
        counts = sa.and_(*(receipts.c[name] == facts.c[name] for name in ("merchant_id", "job_id", "n")))
        for r in connection.execute(
            sa.select(receipts, facts.c.same_as, facts.c.counted)
            .outerjoin(facts, counts)
            .where(receipts.c.merchant_id == merchant, receipts.c.job_id.in_(list(read)))
            .order_by(receipts.c.job_id, receipts.c.n)
        ):
            one = ReadOut(r.kind, r.number, r.issued_at, r.currency, r.total, r.shop, msgspec.json.decode(r.items))
            fields = msgspec.json.decode(r.fields)
            one.same_as, one.repeated_by, one.counted = fields.get("same_as"), r.same_as or None, bool(r.counted)
            if full:
                one.fields = fields
            read[r.job_id].append(one)
    out = []
    for row in rows:
        value = ReceiptOut(
            id=row.id,
            box=row.box,
            epoch=row.epoch,
            seq=row.seq,
            sha256=bytes(row.sha256).hex(),
            size=row.size,
            boundary=row.boundary,
            delivered=row.delivered,
            pos=row.pos,
            printer=row.printer,
            started_at=iso_sure(row.started_ms),
            clock=row.trust,
            received_at=iso_sure(row.received_at),
            state="read" if row.state == "again" else row.state,
            raster_only=bool(row.raster_only),
            rules_version=row.rules_version,
            receipts=read[row.id],
            continues=row.continues,
            was=row.was,
        )
        if text:
            value.text = row.lines or ""
        out.append(value)
    return out


def box_list(connection: sa.Connection, merchant: str, box: str | None = None, journals: bool = True) -> list[BoxOut]:
    query = sa.select(boxes).where(boxes.c.merchant_id == merchant, boxes.c.revoked_at.is_(None))
    if box is not None:
        query = query.where(boxes.c.id == box)
    since, english = faults.of(connection, merchant), strings(FIRST)
    out = []
    for row in connection.execute(query.order_by(boxes.c.id)):
        status = msgspec.json.decode(row.status, type=Status) if row.status else None
        printers = []
        for state in status.printers if status else []:
            word, is_ready = words.printer(state)
            at = since.get((row.id, state.name))
            says = english(f"states.printer.{word}")
            printers.append(PrinterOut(state.name, says, is_ready, msgspec.to_builtins(state), word, iso(at)))
        out.append(
            BoxOut(
                id=row.id,
                online=row.online,
                says=words.box(english, row.online),
                seen_at=iso(row.status_at),
                version=status.version if status else "",
                backlog=status.backlog if status else 0,
                printers=printers,
                alerts=status.alerts if status else [],
            )
        )
    if journals:
        for value in out:
            value.journals = _journals(connection, merchant, value.id)
    return out


def _journals(connection: sa.Connection, merchant: str, box: str) -> list[JournalOut]:
    missing: dict[str, list[tuple[int, int]]] = {}
    for r in connection.execute(
        sa.select(holes)
        .where(holes.c.merchant_id == merchant, holes.c.box == box)
        .order_by(holes.c.epoch, holes.c.first)
        .limit(1000)
    ):
        missing.setdefault(r.epoch, []).append((r.first, r.last))
    return [
        JournalOut(r.epoch, watermark(r.highest, missing.get(r.epoch, [])), r.highest, missing.get(r.epoch, []))
        for r in connection.execute(
            sa.select(epochs).where(epochs.c.merchant_id == merchant, epochs.c.box == box).order_by(epochs.c.first_at)
        )
    ]


def event_page(connection: sa.Connection, merchant: str, after: int, limit: int) -> list[EventOut]:
    return [
        EventOut(r.n, iso_sure(r.at), r.kind, r.object, msgspec.json.decode(r.data))
        for r in connection.execute(
            sa.select(events)
            .where(events.c.merchant_id == merchant, events.c.n > after)
            .order_by(events.c.n)
            .limit(limit)
        )
    ]


def newest_event(connection: sa.Connection, merchant: str) -> int:
    return connection.execute(sa.select(sa.func.max(events.c.n)).where(events.c.merchant_id == merchant)).scalar() or 0


def standing_alarms(connection: sa.Connection, merchant: str) -> list[dict[str, Any]]:
    return [
        {"kind": r.kind, "object": r.object, "text": r.text, "since": iso_sure(r.first_at), "count": r.count}
        for r in connection.execute(
            sa.select(alarms)
            .where(alarms.c.merchant_id == merchant, alarms.c.cleared_at.is_(None))
            .order_by(alarms.c.last_at.desc())
            .limit(50)
        )
    ]


def received_since(connection: sa.Connection, merchant: str, ms: int) -> int:
    """How many jobs came since then: a short walk along the primary key."""
    first = first_id(ms)
    return connection.execute(
        sa.select(sa.func.count()).select_from(jobs).where(jobs.c.merchant_id == merchant, jobs.c.id >= first)
    ).scalar_one()
