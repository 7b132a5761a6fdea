"""What boxes and the cloud say to each other. Pure: values in, bytes out, and back.

A payload is one format byte, then MessagePack: 1 = plain, 2 = raw deflate (used above 256 bytes, when it gets smaller).
Every message carries `v`, `id` (UUIDv7) and `at` (ms since 1970, the sender's clock, never trusted for order).
Fields that a reader does not know are left out; a version it does not know is a BadMessage.
"""

from __future__ import annotations

import os
import time
import uuid
import zlib
from enum import StrEnum
from typing import Any, Final, TypeVar

import msgspec

from receipt.model import Receipt

VERSION: Final = 1
MAX_MESSAGE: Final = 128 * 1024
MAX_PART: Final = 96 * 1024  # raw bytes of a job in one message; more travel in parts
MAX_INFLATED: Final = 8 * 1024 * 1024
DEFLATE_ABOVE: Final = 256
SAFE_DEFLATED: Final = MAX_INFLATED // 1032  # deflate makes nothing more than 1032 times as large (zlib's FAQ)


class BadMessage(Exception):
    """A message that cannot be used. Set it aside with this reason, count it, go on with the next."""

    def __init__(self, topic: str, problem: str) -> None:
        super().__init__(f"{topic}: {problem}")
        self.topic, self.problem = topic, problem


def uuid7() -> str:
    """A UUIDv7 (RFC 9562): 48 bits of ms, then 74 random bits. Sorts by time."""
    value = (time.time_ns() // 1_000_000 & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 7 << 76
    return str(uuid.UUID(int=value & ~(0x3 << 62) | 2 << 62))


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Boundary(StrEnum):
    """Why a job ended where it did."""

    CUT = "cut"
    QUIET = "quiet"
    CLOSE = "close"
    SIZE = "size"
    PARTIAL = "partial"


class Trust(StrEnum):
    """How far a wall clock is to be believed."""

    NTP = "ntp"
    RTC = "rtc"
    CLOUD = "cloud"
    NONE = "none"


class Message(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="t"):
    """The envelope. `v` is always written, so that a reader can tell what it does not know."""

    v: int
    id: str
    at: int


class Clock(msgspec.Struct, omit_defaults=True):
    """When something happened, by the box's clocks. Order comes from seq, never from here."""

    boot: str  # the kernel's boot id
    mono_ms: int  # since that boot
    wall_ms: int  # since 1970
    trust: Trust = Trust.NONE


class Reading(msgspec.Struct, omit_defaults=True):
    """What the box read on the paper. The cloud reads again from the raw job where it has it."""

    rules_version: str
    lines: list[str] = []
    receipts: list[Receipt] = []
    unknown: int = 0  # bytes that no command explains
    raster_only: bool = False


NO_READING: Final = msgspec.Raw(b"\xc0")  # nil: an empty Raw would not be MessagePack


# ---- up/receipts


class Captured(Message, tag="job"):
    """One captured job. `sha256` is that of the masked form; with `parts` > 1 only the first piece of `raw` is here."""

    epoch: str
    seq: int
    sha256: bytes
    size: int
    boundary: Boundary
    pos: str
    printer: str
    started: Clock
    ended: Clock
    continues: int | None = None
    delivered: str = "all"  # all | part | none
    was: tuple[str, int] | None = None  # the key it had before new_epoch
    reading: msgspec.Raw = NO_READING  # a Reading; decoded apart, so that a bad one never blocks the job
    raw: bytes | None = None  # None: capture.send = "reading"
    parts: int = 1


class Part(Message, tag="part"):
    """The piece `part` (1..parts-1) of a raw job that did not fit into one message."""

    epoch: str
    seq: int
    sha256: bytes
    part: int
    parts: int
    raw: bytes


class Tombstone(Message, tag="tomb"):
    """The seqs first..last will never come."""

    epoch: str
    first: int
    last: int
    reason: str  # corrupt | disk_full | capture_fault | operator


# ---- down/acks


class Ack(msgspec.Struct, omit_defaults=True, array_like=True):
    epoch: str
    seq: int
    sha256: bytes
    result: str  # stored | duplicate


class Want(msgspec.Struct, array_like=True):
    """A hole that the cloud sees: send the jobs first..last again."""

    epoch: str
    first: int
    last: int


class Acks(Message, tag="acks"):
    """What the cloud has committed: jobs by key and hash, tombstones by key and an empty hash, reports by id."""

    acks: list[Ack] = []
    want: list[Want] = []
    ids: list[str] = []  # reports and results


# ---- down/orders, up/reports


class OrderItem(msgspec.Struct, omit_defaults=True):
    name: str
    quantity: int = 1
    unit_price: int | None = None  # minor units
    options: list[str] = []
    note: str = ""
    category: str = ""  # decides which part of the order it belongs to: kitchen, bar ...
    allergens: list[str] = []


class OrderContent(msgspec.Struct, omit_defaults=True):
    """What the paper says. Text only: control characters were refused at the API, and are refused again here."""

    number: str  # short, for people
    kind: str  # dine_in | takeaway | delivery
    items: list[OrderItem]
    channel: str = ""
    table: str = ""
    customer: str = ""
    note: str = ""
    currency: str = ""
    total: int | None = None
    placed_at: str = ""  # local time of the shop, as it is to be printed
    due_at: str = ""
    shop: str = ""
    phone: str = ""  # masked already: the paper lies about in a kitchen
    address: str = ""
    distance: str = ""  # a band ("1-2 km"), never a place
    link: str = ""  # what the QR code on the slip says


class SlipStyle(msgspec.Struct, omit_defaults=True):
    """What a shop wants on all of its slips."""

    header: list[str] = []
    footer: list[str] = []
    logo: bytes = b""  # PNG, one bit a dot, at most 576 dots wide
    prices: bool = True
    qr: bool = True
    language: str = ""  # of its words (receipt/slip_words.py)


class PrintOrder(Message, tag="print"):
    """Print this part of an order. The id of the slip is (order, part, copy_number), never the message's."""

    order: str
    content: OrderContent
    part: str = "main"
    copy_number: int = 1
    copies: int = 1
    printer: str = ""  # empty: the box's first
    attempt: int = 1
    max_age_s: int = 600
    copy: int = 0  # n: an attempt that another box had may be on paper; head it COPY n
    label: str = ""  # what people call the part; empty: its name
    style: SlipStyle | None = None
    instead: list[str] = []  # printers of this box that take it when `printer` cannot


class CancelOrder(Message, tag="cancel"):
    """Do not print it any more. With `part`: only that slip up to that attempt, because another printer takes it."""

    order: str
    reason: str = ""
    part: str = ""
    copy_number: int = 0
    attempt: int = 0


class CloseOrder(Message, tag="close"):
    """A person dealt with what was failed, unconfirmed or held of this order."""

    order: str
    reason: str = ""


class GoOrder(Message, tag="go"):
    """After an outage: may what the box still holds of this order be printed?"""

    order: str
    go: bool


class OrderState(StrEnum):
    """The states of an order, on the box, on the wire, in the database and on the page."""

    SUBMITTED = "submitted"
    REVIEW = "review"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    QUEUED = "queued"
    SENT = "sent"
    RECEIVED = "received"
    PRINTING = "printing"
    PRINTED = "printed"
    FAILED = "failed"
    UNCONFIRMED = "unconfirmed"
    REPRINTING = "reprinting"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    CLOSED = "closed"


class Proof(StrEnum):
    """How surely a slip is on paper. L0: the device took the bytes. L1: the printer answered behind them, and is well.
    L2: its process id came back after printing. L3: its own job service says so."""

    NONE = ""
    L0 = "L0"
    L1 = "L1"
    L2 = "L2"
    L3 = "L3"


class Report(Message, tag="report"):
    """What became of a slip, as far as the box knows."""

    order: str
    state: OrderState
    part: str = "main"
    copy_number: int = 1
    attempt: int = 1
    copy: int = 0  # 0: original; n: it was headed COPY n
    proof: Proof = Proof.NONE
    reason: str = ""
    printer: str = ""
    clock: Clock | None = None
    tries: int = 0  # how often the box began this slip: what is told of a later try is newer
    cancelled: bool = False  # the box knows that it is not wanted any more: the cancel need not be sent again


class Held(Message, tag="held"):
    """After a reconnect: the orders that the box holds and has not printed."""

    orders: list[str]


# ---- up/status, down/commands, up/results


class PrinterState(msgspec.Struct, omit_defaults=True):
    """None where unknown."""

    name: str
    online: bool | None = None
    paper: str | None = None  # ok | near | out
    cover_open: bool | None = None
    error: bool | None = None
    drawer_open: bool | None = None
    connected: bool = False
    model: str = ""


class Status(Message, tag="status"):
    """What the box says of itself, each minute and when something changes; and the will (online = False)."""

    online: bool
    version: str = ""
    boot: str = ""
    epoch: str = ""
    first_unacked: int | None = None
    last_seq: int = 0
    backlog: int = 0
    printers: list[PrinterState] = []
    counters: dict[str, int] = {}
    disk_free: int | None = None
    clock: Clock | None = None
    alerts: list[str] = []
    rules_version: str = ""
    update: str = ""  # how far an update is, for people; empty: none
    sounds: dict[str, str] = {}  # the merchant's own ones that it holds: event -> digest (agent/clips.py)
    links: list[str] = []  # the ways out of the box, for people: "wifi wlan0 up Shop signal 67 %, in use"


class Command(Message, tag="command"):
    name: str  # test_slip | play_sound | sound | identify | reread | send_logs | new_epoch | update
    args: dict[str, Any] = {}


class Result(Message, tag="result"):
    command: str  # the id of the command
    ok: bool
    text: str = ""
    data: dict[str, Any] = {}


BY_LEAF: dict[str, Any] = {
    "receipts": Captured | Part | Tombstone,
    "acks": Acks,
    "orders": PrintOrder | CancelOrder | GoOrder | CloseOrder,
    "reports": Report | Held,
    "status": Status,
    "commands": Command,
    "results": Result,
}

M = TypeVar("M", bound=Message)
_encoder = msgspec.msgpack.Encoder()
_decoders = {leaf: msgspec.msgpack.Decoder(kinds) for leaf, kinds in BY_LEAF.items()}
_reading = msgspec.msgpack.Decoder(Reading)


def new(kind: type[M], /, **fields: Any) -> M:
    """A message with its envelope filled in."""
    envelope: dict[str, Any] = {"v": VERSION, "id": uuid7(), "at": now_ms()}
    return kind(**envelope | fields)


def encode(message: Message) -> bytes:
    """-> the payload to publish."""
    return pack(_encoder.encode(message))


def pack(body: bytes) -> bytes:
    """A message's MessagePack -> the payload to publish; what `unpack` undoes."""
    if len(body) > DEFLATE_ABOVE:
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        packed = packer.compress(body) + packer.flush()
        if len(packed) < len(body):
            return b"\x02" + packed
    return b"\x01" + body


def decode(leaf: str, payload: bytes, topic: str = "") -> Any:
    """A payload of the topic leaf `leaf` -> its message. Raises BadMessage, and nothing else, whatever the bytes."""
    body = unpack(payload, topic or leaf)
    try:
        message = _decoders[leaf].decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise BadMessage(topic or leaf, f"not a message of {leaf}: {error}") from error
    if message.v != VERSION:
        raise BadMessage(topic or leaf, f"version {message.v}, where this program knows {VERSION}")
    return message


def unpack(payload: bytes, topic: str) -> bytes:
    """A payload -> its MessagePack, inflated. Raises BadMessage; never inflates beyond MAX_INFLATED."""
    if not payload or len(payload) > MAX_MESSAGE + 1024:
        raise BadMessage(topic, f"{len(payload)} bytes, where 1 to {MAX_MESSAGE} are allowed")
    if payload[0] == 1:
        return payload[1:]
    if payload[0] == 2:
        try:
            if len(payload) <= SAFE_DEFLATED:
                return zlib.decompress(payload[1:], -15, 3 * len(payload))
            inflater = zlib.decompressobj(-15)
            body = inflater.decompress(payload[1:], MAX_INFLATED)
        except zlib.error as error:
            raise BadMessage(topic, f"deflated body is damaged: {error}") from error
        if inflater.unconsumed_tail or not inflater.eof:
            raise BadMessage(topic, f"deflated body is cut short, or larger than {MAX_INFLATED} bytes")
        return body
    raise BadMessage(topic, f"format byte {payload[0]}, where 1 (plain) and 2 (deflate) are known")


def pack_reading(reading: Reading) -> msgspec.Raw:
    return msgspec.Raw(_encoder.encode(reading))


def unpack_reading(raw: msgspec.Raw, topic: str = "reading") -> Reading | None:
    """-> the reading, None where there is none. Raises BadMessage where it is not one."""
    if bytes(raw) in (b"", b"\xc0"):
        return None
    try:
        return _reading.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise BadMessage(topic, f"not a reading: {error}") from error
