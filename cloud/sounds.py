"""The merchant's own alert sounds: made into what a box can take, kept for each shop, brought to its boxes.

What comes in is a WAV file and nothing else: whole samples of 8 to 32 bits, up to eight channels. Its samples alone are
kept, under the event's name: one channel, RATE a second, G.711 mu-law as the shipped voices are, so that the longest
fits into one message to a box. What is longer than LONGEST_S is refused: an alert that stands is said again anyway.

A box says in its status which sounds it holds; where that differs from what its shop wants, a command brings the
difference. So a box that was away, or that has a new card, comes by itself to what it should have.

Source: ITU-T G.711.
"""

from __future__ import annotations

import array
import hashlib
import io
import sys
import wave
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from cloud import audit
from cloud import boxes as box_table
from cloud.auth import Buckets, Who
from cloud.ids import first_id
from cloud.store.figures import shop_boxes
from cloud.store.schema import boxes, outbox
from cloud.store.sounds import sounds
from wire.messages import Status, now_ms

EVENTS: Final = (  # names of config/sounds/; new_order stands for its three kinds
    "new_order",
    "new_order_dine_in",
    "new_order_takeaway",
    "new_order_delivery",
    "reminder",
    "cancelled",
    "unconfirmed",
    "fault",
    "fault_paper",
    "fault_cover",
    "fault_offline",
    "offline",
    "test",
)
RATE: Final = 16_000
LONGEST_S: Final = 4.8  # a box plays no more (agent/voice.py)
SHORTEST_S: Final = 0.1
RATES: Final = (4_000, 192_000)
MOST_CHANNELS: Final = 8
MOST_FILE: Final = 2_000_000  # bytes: LONGEST_S of 48,000 a second, two channels, 32 bits
SILENT: Final = 300  # of 32,768: nobody hears that in a kitchen
AGAIN_MS: Final = 6 * 3_600_000  # a box that does not take a sound is offered it again after so long
PACE: Final = Buckets(0.2, 20)  # files that a merchant may bring: each costs up to 0.2 s of a processor
HELP = "export the sound as WAV, 16 bit"


class BadSound(ValueError):
    """This file cannot be an alert; the text says why, and what helps."""


@dataclass(frozen=True, slots=True)
class Sound:
    event: str
    shop: str  # "": of all shops that have none of their own
    digest: str
    seconds: float
    changed_at: int
    changed_by: str


def tidy(file: bytes) -> bytes:
    """A WAV file -> what is kept of it. Raises BadSound, and nothing else, whatever the bytes."""
    if file[:4] != b"RIFF" or file[8:12] != b"WAVE":
        raise BadSound(f"this is no WAV file: {HELP}")
    try:
        with wave.open(io.BytesIO(file)) as sound:
            rate, width, channels = sound.getframerate(), sound.getsampwidth(), sound.getnchannels()
            if not RATES[0] <= rate <= RATES[1] or not 1 <= channels <= MOST_CHANNELS or width > 4:
                raise BadSound(f"{rate} samples a second of {channels} channels cannot be used: {HELP}")
            raw = sound.readframes(int(rate * LONGEST_S) + 1)  # what the header says of its length counts for nothing
    except BadSound:
        raise
    except (wave.Error, EOFError, RuntimeError, ValueError, OverflowError) as error:  # wave raises any of these
        raise BadSound(f"this WAV file cannot be read ({error or 'it is cut short'}): {HELP}") from None
    count = len(raw) // (width * channels)
    if count > rate * LONGEST_S:
        raise BadSound(f"it is longer than {LONGEST_S} s: cut it first. What stands is said again by itself")
    if count < rate * SHORTEST_S:
        raise BadSound(f"it is shorter than {SHORTEST_S} s: nobody would hear it")
    samples = _at_rate(_one_channel(_sixteen_bits(raw[: count * width * channels], width), channels), rate)
    if max(map(abs, samples)) < SILENT:
        raise BadSound("it is silent")
    return bytes(map(COMPRESSED.__getitem__, (sample >> 2 for sample in samples)))


def as_wav(data: bytes) -> bytes:
    """What is kept -> a WAV file, to listen to."""
    frames = array.array("h", map(EXPANDED.__getitem__, data))
    if sys.byteorder == "big":
        frames.byteswap()
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setparams((1, 2, RATE, 0, "NONE", ""))
        sound.writeframes(frames.tobytes())
    return out.getvalue()


def of_shop(connection: sa.Connection, merchant: str, shop: str) -> dict[str, Sound]:
    """Event -> the shop's own sound for it, or that of all shops."""
    columns = [column for column in sounds.c if column.name != "data"]
    mine = (sounds.c.merchant_id == merchant, sounds.c.shop_id.in_(("", shop)))
    rows = connection.execute(sa.select(*columns).where(*mine).order_by(sounds.c.shop_id))
    return {
        row.event: Sound(row.event, row.shop_id, row.digest, row.samples / RATE, row.changed_at, row.changed_by)
        for row in rows
    }


def held(connection: sa.Connection, merchant: str, shop: str) -> dict[str, dict[str, str]]:
    """Box of this shop ("": every one) -> what it said last that it holds: event -> digest."""
    stands = sa.select(shop_boxes.c.box).where(shop_boxes.c.merchant_id == merchant, shop_boxes.c.shop == shop)
    mine = [boxes.c.merchant_id == merchant, boxes.c.revoked_at.is_(None)]
    rows = connection.execute(
        sa.select(boxes.c.id, boxes.c.status)
        .where(*mine, *([boxes.c.id.in_(stands)] if shop else []))
        .order_by(boxes.c.id)
    )
    return {row.id: _holds(row.status) for row in rows}


def data_of(connection: sa.Connection, merchant: str, shop: str, event: str) -> bytes | None:
    """What is kept of the sound that holds in this shop."""
    mine = (sounds.c.merchant_id == merchant, sounds.c.shop_id.in_(("", shop)), sounds.c.event == event)
    return connection.execute(sa.select(sounds.c.data).where(*mine).order_by(sounds.c.shop_id.desc()).limit(1)).scalar()


def keep(connection: sa.Connection, who: Who, shop: str, event: str, data: bytes) -> None:
    """`data`: what tidy() made. The boxes of the shop are told at once."""
    if event not in EVENTS:
        raise BadSound(f"there is no event {event}: it is one of {', '.join(EVENTS)}")
    digest = hashlib.sha256(data).hexdigest()[:16]
    key = {"merchant_id": who.merchant, "shop_id": shop, "event": event}
    values = {"digest": digest, "data": data, "samples": len(data), "changed_at": now_ms(), "changed_by": who.name}
    if not connection.execute(sa.update(sounds).where(*_is(key)).values(values)).rowcount:
        connection.execute(sa.insert(sounds).values(key | values))
    audit.add(connection, who.merchant, who.name, "sound.set", event, f"shop {shop or '-'}: {len(data) / RATE:.1f} s")
    _bring_all(connection, who.merchant)


def remove(connection: sa.Connection, who: Who, shop: str, event: str) -> bool:
    """The shipped sound plays again, or that of all shops. False: this shop has none of its own."""
    key = {"merchant_id": who.merchant, "shop_id": shop, "event": event}
    if not connection.execute(sa.delete(sounds).where(*_is(key))).rowcount:
        return False
    audit.add(connection, who.merchant, who.name, "sound.remove", event, f"shop {shop or '-'}")
    _bring_all(connection, who.merchant)
    return True


def bring(connection: sa.Connection, merchant: str, box: str, holds: dict[str, str], changed: bool = False) -> None:
    """Tell a box what differs between the sounds that it holds (event -> digest) and those that it should.
    `changed`: what was on its way may not be wished any more."""
    holds = {event: digest for event, digest in holds.items() if event in EVENTS}  # a box may say anything
    there = connection.execute(sa.select(sounds.c.event).where(sounds.c.merchant_id == merchant).limit(1)).first()
    if there is None and not holds and not changed:
        return  # as nearly always
    stands = sa.select(shop_boxes.c.shop).where(shop_boxes.c.merchant_id == merchant, shop_boxes.c.box == box)
    shop = connection.execute(stands).scalar() or ""
    wished = {event: sound.digest for event, sound in of_shop(connection, merchant, shop).items()}
    if wished == holds and not changed:
        return
    told = _told(connection, merchant, box)
    for event in sorted(wished.keys() | holds.keys() | told.keys()):
        digest, last = wished.get(event, ""), told.get(event)
        if last is not None and last.digest != digest and last.waits:
            box_table.give_up(connection, merchant, last.id)
        if holds.get(event, "") == digest or (last is not None and last.digest == digest):
            continue
        data = data_of(connection, merchant, shop, event) if digest else b""
        args = {"event": event, "data": data}
        box_table.command(connection, merchant, box, "sound", args, about=f"{event}/{digest}")


@dataclass(frozen=True, slots=True)
class _Told:
    """The newest command about an event."""

    id: str
    digest: str
    waits: bool


def _told(connection: sa.Connection, merchant: str, box: str) -> dict[str, _Told]:
    """Event -> what the box was told last, where that waits still or was of late."""
    late = outbox.c.id > first_id(now_ms() - box_table.LONG_MS)
    rows = connection.execute(
        sa.select(outbox.c.id, outbox.c.part, outbox.c.done_at)
        .where(outbox.c.merchant_id == merchant, late, outbox.c.box == box, outbox.c.what == "command")
        .where(outbox.c.part.is_not(None))
        .where(sa.or_(outbox.c.done_at.is_(None), outbox.c.created_at > now_ms() - AGAIN_MS))
        .order_by(outbox.c.id)
    )
    found = {}
    for row in rows:
        event, _, digest = row.part.partition("/")
        found[event] = _Told(row.id, digest, row.done_at is None)
    return found


def _bring_all(connection: sa.Connection, merchant: str) -> None:
    mine = (boxes.c.merchant_id == merchant, boxes.c.revoked_at.is_(None), boxes.c.status.is_not(None))
    for row in connection.execute(sa.select(boxes.c.id, boxes.c.status).where(*mine)).all():  # others, once they speak
        bring(connection, merchant, row.id, _holds(row.status), changed=True)


def _holds(status: str | None) -> dict[str, str]:
    return msgspec.json.decode(status, type=Status).sounds if status else {}


def _is(key: dict[str, Any]) -> list[sa.ColumnElement[bool]]:
    return [sounds.c[name] == value for name, value in key.items()]


def _sixteen_bits(raw: bytes, width: int) -> array.array[int]:
    """Whole samples of `width` bytes, little-endian -> their upper 16 bits."""
    if width == 1:  # without a sign, in WAV alone
        return array.array("h", [(byte - 128) << 8 for byte in raw])
    upper = bytearray(len(raw) // width * 2)
    upper[0::2], upper[1::2] = raw[width - 2 :: width], raw[width - 1 :: width]
    samples = array.array("h", bytes(upper))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def _one_channel(samples: array.array[int], channels: int) -> array.array[int]:
    if channels == 1:
        return samples
    each = [samples[n::channels] for n in range(channels)]
    return array.array("h", [sum(together) // channels for together in zip(*each, strict=True)])


def _at_rate(samples: array.array[int], rate: int) -> array.array[int]:
    """RATE samples a second. Of more, the mean of those that fall together, so that nothing whistles; of fewer,
    straight lines between them."""
    count = len(samples) * RATE // rate
    if rate == RATE:
        return samples
    if rate > RATE:
        sums = [0, *accumulate(samples)]
        edges = [n * rate // RATE for n in range(count + 1)]
        return array.array("h", [(sums[b] - sums[a]) // (b - a) for a, b in pairwise(edges)])
    out, last = array.array("h"), len(samples) - 1
    for n in range(count):
        at, part = divmod(n * rate, RATE)
        here = samples[at]
        out.append(here + (samples[min(at + 1, last)] - here) * part // RATE)
    return out


def _compressed(sample: int) -> int:
    """16 bits -> G.711 mu-law.

    >>> [hex(_compressed(sample)) for sample in (0, -1, 32767, -32768)]
    ['0xff', '0x7f', '0x80', '0x0']
    """
    value = min(abs(sample), 32_635) + 132
    exponent = value.bit_length() - 8
    return ~((0x80 if sample < 0 else 0) | exponent << 4 | value >> exponent + 3 & 0x0F) & 0xFF


def _expanded(byte: int) -> int:
    """
    >>> [_expanded(_compressed(sample)) for sample in (0, 1000, -1000, 32_000)]
    [0, 988, -988, 32124]
    """
    byte = ~byte & 0xFF
    value = ((byte & 0x0F) << 3) + 132 << (byte >> 4 & 7)
    return 132 - value if byte & 0x80 else value - 132


COMPRESSED = {at: _compressed(at << 2) for at in range(-8192, 8192)}  # by the upper 14 bits: it has no more
EXPANDED = [_expanded(byte) for byte in range(256)]
