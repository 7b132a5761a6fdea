"""What a slip looks like before it is printed: rendered by the same code, for the same printer, as the box does it.

of_order(connection, merchant, order_id, part) -> Preview | None     what will be, or was, printed
sample(style, columns) -> PNG                                        a made-up order, for the page of settings
png(preview) -> PNG                                                  computing: call it outside the event loop
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from cloud import rules
from cloud.routing import split
from cloud.rules import Routing
from cloud.steps import slips_of
from cloud.store.schema import boxes, orders
from config.load import ConfigError
from config.models import find_model, load_model
from receipt.slip_writer import Paper, paper_of
from wire.messages import OrderContent, OrderItem, SlipStyle, Status
from wire.paper import slip_bytes, slip_png

SAMPLE = OrderContent(
    number="042",
    kind="dine_in",
    items=[
        OrderItem("Flat white", 2, 340, ["oat milk"], "extra hot", allergens=["milk"]),
        OrderItem("Carrot cake", 1, 450, allergens=["nuts", "gluten"]),
    ],
    table="12",
    currency="EUR",
    total=1130,
    placed_at="12:03",
    note="two forks, please",
    link="https://example.com/o/sample",
)


@dataclass(frozen=True, slots=True)
class Preview:
    raw: bytes
    paper: Paper


def png(preview: Preview) -> bytes:
    return slip_png(preview.raw, preview.paper)


def sample(style: SlipStyle, columns: int) -> bytes:
    paper = Paper(columns)
    return slip_png(slip_bytes(SAMPLE, style, paper), paper)


def of_order(connection: sa.Connection, merchant: str, order_id: str, part: str = "") -> Preview | None:
    """Of the slip that there is, else of the one that accepting would make. None: there is no such order or part."""
    row = connection.execute(
        sa.select(orders).where(orders.c.merchant_id == merchant, orders.c.id == order_id)
    ).first()  # fmt: skip
    if row is None:
        return None
    style = rules.load(connection, merchant, SlipStyle, row.shop_id)
    found = next((s for s in slips_of(connection, merchant, order_id) if part in ("", s.part)), None)
    if found is None:
        content = msgspec.json.decode(row.content, type=OrderContent)
        parts = split(content, rules.load(connection, merchant, Routing, row.shop_id))
        new = next((p for p in parts if part in ("", p.part)), None)
        if new is None:
            return None
        paper = paper_on(connection, merchant, new.place.box or row.box, new.place.printer)
        _link(new.content, row)
        raw = slip_bytes(new.content, style, paper, part=new.part, label=new.label, copies=new.copies)
        return Preview(raw, paper)
    content = msgspec.json.decode(found.content or row.content, type=OrderContent)
    _link(content, row)
    paper = paper_on(connection, merchant, found.box, found.printer)
    raw = slip_bytes(
        content, style, paper, part=found.part, label=found.label, copy_number=found.copy_number, copies=found.copies,
        mark="copy" if found.copy else "", copy=found.copy,
    )  # fmt: skip
    return Preview(raw, paper)


def paper_on(connection: sa.Connection, merchant: str, box: str, printer: str) -> Paper:
    """What the box said of its printer; nothing known: what fits on most."""
    text = connection.execute(
        sa.select(boxes.c.status).where(boxes.c.merchant_id == merchant, boxes.c.id == box)
    ).scalar()  # fmt: skip
    if not text:
        return Paper()
    status = msgspec.json.decode(text, type=Status)
    known = next((p for p in status.printers if printer in ("", p.name)), None)
    return _paper(known.model) if known else Paper()


@functools.lru_cache(maxsize=256)
def _paper(model: str) -> Paper:
    try:
        found = find_model(model) if model else None
        return paper_of(found[1] if found else load_model(model)) if model else Paper()
    except (ConfigError, OSError):
        return Paper()


def _link(content: OrderContent, row: sa.Row[Any]) -> None:
    content.link = content.link or row.external_id or row.id
