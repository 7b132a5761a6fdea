"""The MQTT topics between a box and the cloud: tillwire/1/{shard}/{box}/{direction}/{leaf}. Pure.

`{shard}` is the first two hex digits of sha256(box), so that an ingest worker can own whole subtrees.
"""

from __future__ import annotations

import functools
import hashlib
import re

BOX = re.compile(r"^[a-z0-9][a-z0-9-]{7,35}$")
SHARDS = tuple(f"{n:02x}" for n in range(256))
UP = ("receipts", "reports", "status", "results")
DOWN = ("acks", "orders", "commands")


def is_box(name: str) -> bool:
    return BOX.fullmatch(name) is not None


def shard_of(box: str) -> str:
    return hashlib.sha256(box.encode()).hexdigest()[:2]


def up(box: str, leaf: str) -> str:
    """
    >>> up("shop42-front", "receipts")
    'tillwire/1/50/shop42-front/up/receipts'
    """
    return _topic(box, "up", leaf, UP)


def down(box: str, leaf: str) -> str:
    return _topic(box, "down", leaf, DOWN)


def all_up(shard: str = "+") -> list[str]:
    """What an ingest worker subscribes to, of one shard or of all. Status is retained, and read the same way."""
    return [f"tillwire/1/{shard}/+/up/{leaf}" for leaf in UP]


@functools.lru_cache(maxsize=65_536)  # an ingest worker is told the same few over and over
def parse(topic: str) -> tuple[str, str, str]:
    """-> (box, direction, leaf). Raises ValueError for a topic that is not ours, or whose shard is not the box's."""
    levels = topic.split("/")
    if len(levels) != 6 or levels[:2] != ["tillwire", "1"]:
        raise ValueError(f"topic {topic!r} is not tillwire/1/SHARD/BOX/up|down/LEAF")
    _, _, shard, box, direction, leaf = levels
    if not is_box(box) or shard != shard_of(box) or leaf not in {"up": UP, "down": DOWN}.get(direction, ()):
        raise ValueError(f"topic {topic!r} names no box and leaf that belong together")
    return box, direction, leaf


def _topic(box: str, direction: str, leaf: str, leaves: tuple[str, ...]) -> str:
    if not is_box(box):
        raise ValueError(f"box id {box!r}: 8 to 36 small letters, digits and '-', a letter or digit first")
    if leaf not in leaves:
        raise ValueError(f"no topic {direction}/{leaf}: one of {', '.join(leaves)}")
    return f"tillwire/1/{shard_of(box)}/{box}/{direction}/{leaf}"
