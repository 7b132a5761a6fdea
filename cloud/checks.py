"""What the types of a message do not say. Raises BadMessage, and nothing else."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from wire import topics
from wire.messages import BadMessage, Captured, Held, Part, Report, Result, Status, Tombstone

EPOCH = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
MAX_SEQ = 1 << 53
MAX_PARTS = 128
MAX_STATUS = 65_536
MAX_RUN = 1 << 32
DEEPEST = 32  # levels of what a box answers
MAX_NAME = 64  # of a printer; a box's settings allow half of that


def sender_of(topic: str) -> tuple[str, str]:
    try:
        box, direction, leaf = topics.parse(topic)
    except ValueError as error:
        raise BadMessage(topic, str(error)) from error
    if direction != "up":
        raise BadMessage(topic, "a box does not speak on this topic")
    return box, leaf


def _deeper(value: Any, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_deeper(one, levels - 1) for one in inner)


def check(message: Any, topic: str) -> None:
    """What the types do not say. Raises BadMessage."""
    if isinstance(message, (Captured, Part, Tombstone)):
        if not EPOCH.fullmatch(message.epoch):
            raise BadMessage(topic, "the epoch is not a UUID")
        if isinstance(message, Tombstone):
            if not 1 <= message.first <= message.last < MAX_SEQ or message.last - message.first > MAX_RUN:
                raise BadMessage(topic, f"tombstone {message.first}-{message.last} is no range")
            _printable(topic, message.reason)
            return
        if not 1 <= message.seq < MAX_SEQ:
            raise BadMessage(topic, f"seq {message.seq} is no number of a job")
        if len(message.sha256) != 32:
            raise BadMessage(topic, "sha256 is not 32 bytes")
        if not 1 <= message.parts <= MAX_PARTS:
            raise BadMessage(topic, f"{message.parts} parts, where 1 to {MAX_PARTS} are allowed")
        if isinstance(message, Part):
            if not 1 <= message.part < message.parts:
                raise BadMessage(topic, f"part {message.part} of {message.parts}")
            return
        _printable(topic, message.pos, message.printer, message.delivered, message.started.boot)
        start = message.started
        numbers = (message.size, start.wall_ms, start.mono_ms, message.ended.wall_ms, message.continues or 0)
        if min(numbers) <= -MAX_SEQ or max(numbers) >= MAX_SEQ:
            raise BadMessage(topic, "a number is out of range")
        if message.was is not None and not (EPOCH.fullmatch(message.was[0]) and 1 <= message.was[1] < MAX_SEQ):
            raise BadMessage(topic, "`was` is no key")
        if message.parts == 1 and message.raw is not None and hashlib.sha256(message.raw).digest() != message.sha256:
            raise BadMessage(topic, "the raw job does not have the hash that it names")
    elif isinstance(message, Report):
        _printable(topic, message.order, message.part, message.reason, message.printer)
        if not (0 <= message.attempt < 1 << 31 and 0 <= message.copy < 1 << 31 and 0 <= message.copy_number < 1 << 31):
            raise BadMessage(topic, "a number is out of range")
    elif isinstance(message, Held):
        _printable(topic, *message.orders)
    elif isinstance(message, Result):
        _printable(topic, message.command, message.text, limit=100_000)
        try:
            msgspec.json.encode(message.data)  # so it is kept; MessagePack knows keys and values that JSON does not
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise BadMessage(topic, f"its data cannot be kept as JSON: {error}") from error
        if _deeper(message.data, DEEPEST):  # whoever shows it has less of the stack left than we have here
            raise BadMessage(topic, f"its data cannot be kept as JSON: it is nested more than {DEEPEST} deep")
    elif isinstance(message, Status):
        if (size := len(msgspec.msgpack.encode(message))) > MAX_STATUS:  # it is parsed for each page that shows a box
            raise BadMessage(topic, f"a status of {size} bytes, where {MAX_STATUS} are allowed")
        _printable(topic, *(printer.name for printer in message.printers), limit=MAX_NAME)  # keys of a table
        if message.epoch and not EPOCH.fullmatch(message.epoch):
            raise BadMessage(topic, "the epoch is not a UUID")
        if not -1 < message.last_seq < MAX_SEQ or not -1 < (message.first_unacked or 0) < MAX_SEQ:
            raise BadMessage(topic, "a number is out of range")


def _printable(topic: str, *texts: str, limit: int = 2000) -> None:
    for text in texts:
        if "\x00" in text or len(text) > limit:
            raise BadMessage(topic, "a text holds NUL, or is too long")
