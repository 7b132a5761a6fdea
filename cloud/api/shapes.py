"""What goes in and out of /v1, as msgspec structs: they validate what comes, and make the OpenAPI document.

Money is integer minor units of `currency` (ISO 4217). Times are RFC 3339 in UTC, unless the name says `issued_at`: that
is the shop's own clock as the paper has it. Text from outside may hold no control characters: an order is data,
never commands for a printer.
"""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from cloud.api.problem import Problem

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Short = Annotated[str, Meta(max_length=100)]
Long = Annotated[str, Meta(max_length=500)]
Id = Annotated[str, Meta(min_length=1, max_length=100, description="The platform's own id of the order.")]
Money = Annotated[int, Meta(ge=0, le=10_000_000_000, description="Minor units, e.g. cents.")]
FORBIDDEN = {"Cc", "Cs", "Zl", "Zp"}
BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")  # they change what a text seems


class ItemIn(Struct):
    name: Name
    quantity: Annotated[int, Meta(ge=1, le=999)] = 1
    unit_price: Money | None = None
    options: Annotated[list[Short], Meta(max_length=30)] = []
    note: Long = ""
    category: Annotated[str, Meta(max_length=60, description="Decides which printer: GET /v1/shop/routing.")] = ""
    allergens: Annotated[list[Annotated[str, Meta(max_length=40)]], Meta(max_length=20)] = []


class OrderIn(Struct):
    """An order to print."""

    kind: Literal["dine_in", "takeaway", "delivery"]
    items: Annotated[list[ItemIn], Meta(min_length=1, max_length=200)]
    external_id: Id | None = None
    channel: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$", description="Where it comes from.")] = "api"
    number: Annotated[str, Meta(max_length=20, description="Short, for people. Empty: given by us.")] = ""
    table: Annotated[str, Meta(max_length=20)] = ""
    customer: Short = ""
    note: Long = ""
    currency: Annotated[str, Meta(pattern=r"^([A-Z]{3})?$")] = ""
    total: Money | None = None
    placed_at: Annotated[str, Meta(max_length=40, description="As it is to be printed.")] = ""
    due_at: Annotated[str, Meta(max_length=40, description="As it is to be printed.")] = ""
    shop: Short = ""
    phone: Annotated[str, Meta(max_length=30, description="Only its last three digits are kept and printed.")] = ""
    address: Annotated[str, Meta(max_length=200)] = ""
    distance: Annotated[str, Meta(max_length=20, description="A band, for example 1-2 km.")] = ""
    link: Annotated[str, Meta(max_length=200, description="What the slip's QR code says. Empty: the order's id.")] = ""
    shop_id: Annotated[
        str, Meta(pattern=r"^[a-z0-9-]{0,64}$", description="Whose rules hold. Empty: the only shop.")
    ] = ""
    box: Annotated[str, Meta(max_length=36, description="Which box prints it. Empty: as the routing says.")] = ""
    printer: Annotated[str, Meta(max_length=32, description="Which printer of the box. Empty: its first.")] = ""


class ReasonIn(Struct):
    reason: Annotated[str, Meta(min_length=1, max_length=200, description="Shown to people.")]


class HistoryOut(Struct):
    at: str
    state: str
    who: str
    why: str
    proof: str
    part: str


class SlipOut(Struct):
    part: str
    copy_number: int
    attempt: int
    state: str
    proof: str
    reason: str
    printer: str
    box: str
    copies: int
    copy: int  # n: it is headed COPY n
    label: str


class OrderOut(Struct):
    """An order, what became of it, and how we know."""

    id: str
    number: str
    channel: str
    external_id: str | None
    kind: str
    state: str
    proof: str
    reason: str
    says: str  # the state in a sentence, for people
    box: str
    printer: str
    created_at: str
    changed_at: str
    expires_at: str | None
    content: dict[str, Any]
    reason_code: str  # of a rejected one
    ready_at: str | None  # as promised when it was accepted
    slips: list[SlipOut] | UnsetType = UNSET
    history: list[HistoryOut] | UnsetType = UNSET


class OrdersOut(Struct):
    orders: list[OrderOut]
    next: str | None


class ReadOut(Struct):
    """One receipt that was read on the paper of a job."""

    kind: str
    number: str | None
    issued_at: str | None
    currency: str | None
    total: int | None
    shop: str | None
    items: list[dict[str, Any]]
    fields: dict[str, Any] | UnsetType = UNSET
    same_as: str | None = None  # of a copy: the number of the receipt that it says again, else its date and time
    repeated_by: str | None = None  # it was printed in part; the id of the receipt with which the till tried again
    counted: bool = False  # figures stand on it: a sale, refund or void with a total, and none that is there twice


class ReceiptOut(Struct):
    """One job that a POS printed, and the receipts that were read in it. `delivered` says whether all of it came to the
    printer: all, part or none."""

    id: str
    box: str
    epoch: str
    seq: int
    sha256: str
    size: int
    boundary: str
    delivered: str
    pos: str
    printer: str
    started_at: str
    clock: str  # how far started_at is to be believed: ntp, rtc, cloud, none
    received_at: str
    state: str
    raster_only: bool
    rules_version: str | None
    receipts: list[ReadOut]
    text: str | UnsetType = UNSET
    continues: int | None = None
    was: str | None = None


class ReceiptsOut(Struct):
    receipts: list[ReceiptOut]
    next: str | None


class PrinterOut(Struct):
    name: str
    says: str
    ready: bool
    status: dict[str, Any]
    state: str = ""  # ready | connected | paper_low | paper_out | cover_open | error | offline | gone
    since: str | None = None


class JournalOut(Struct):
    """How far a journal of a box has come: all up to `watermark` is here, and what is missing up to `highest`."""

    epoch: str
    watermark: int
    highest: int
    missing: list[tuple[int, int]]


class BoxOut(Struct):
    id: str
    online: bool | None
    says: str
    seen_at: str | None
    version: str
    backlog: int
    printers: list[PrinterOut]
    alerts: list[str]
    journals: list[JournalOut] | UnsetType = UNSET


class BoxesOut(Struct):
    boxes: list[BoxOut]


class EventOut(Struct):
    n: int
    at: str
    kind: str
    object: str
    data: dict[str, Any]


class EventsOut(Struct):
    """Ask again with after=`last`."""

    events: list[EventOut]
    last: int


class WebhookIn(Struct):
    url: Annotated[str, Meta(min_length=1, max_length=500, description="https://…")]
    kinds: Annotated[list[str], Meta(max_length=20, description="Event kinds; none: all.")] = []


class WebhookOut(Struct):
    id: str
    url: str
    kinds: list[str]
    created_at: str
    failing_since: str | None
    problem: str
    disabled_at: str | None
    secret: str | UnsetType = UNSET  # only in the answer that makes it


class WebhooksOut(Struct):
    webhooks: list[WebhookOut]


class DeliveryOut(Struct):
    event: int
    state: str  # due | done | dead
    tries: int
    status: int | None
    problem: str
    next_at: str


class DeliveriesOut(Struct):
    deliveries: list[DeliveryOut]


def iso(ms: int | None) -> str | None:
    """ms since 1970 -> RFC 3339 with ms."""
    if ms is None:
        return None
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return None


def iso_sure(ms: int) -> str:
    return iso(ms) or "1970-01-01T00:00:00.000Z"


def from_iso(text: str | None, field: str) -> int | None:
    if not text:
        return None
    try:
        when = datetime.fromisoformat(text)
        return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise Problem(422, "bad-time", f"{field} is not a time like 2026-11-22T09:30:00Z.") from None


def check_text(value: Any, path: str = "") -> list[dict[str, str]]:
    """Every text in a decoded body -> those that hold what a printer or a reader could take for something else."""
    if isinstance(value, str):
        bad = next((c for c in value if unicodedata.category(c) in FORBIDDEN or c in BIDI), None)
        return [{"field": path, "problem": f"holds the control character U+{ord(bad):04X}"}] if bad else []
    if isinstance(value, list):
        return [e for n, v in enumerate(value) for e in check_text(v, f"{path}[{n}]")]
    if isinstance(value, Struct):
        names = value.__struct_fields__
        return [e for n in names for e in check_text(getattr(value, n), f"{path}.{n}" if path else n)]
    return []
