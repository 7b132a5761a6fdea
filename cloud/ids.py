"""Ids that sort in the order they were made, also within a millisecond.

Source: RFC 9562, UUIDv7; section 6.2, method 1 (a counter in the bits behind the time).
"""

from __future__ import annotations

import random
import threading
import time

_turn = threading.Lock()
_last_ms, _counter = 0, 0


def ordered() -> str:
    """A UUIDv7: 48 bits of ms, 12 bits that count within it, 62 random bits. Never goes back in one process."""
    global _last_ms, _counter
    with _turn:
        now = time.time_ns() // 1_000_000
        if now > _last_ms:
            _last_ms, _counter = now, 0
        else:
            _counter += 1
            if _counter > 0xFFF:
                _last_ms, _counter = _last_ms + 1, 0
        ms, count = _last_ms, _counter
    tail = random.getrandbits(62)  # two processes do not meet; nobody is kept out by an id
    digits = f"{ms << 80 | 0x7 << 76 | count << 64 | 0x2 << 62 | tail:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def first_id(ms: int) -> str:
    """Ids made before this moment are smaller: they are UUIDv7.

    >>> first_id(1_700_000_000_000)
    '018bcfe5-6800-7'
    """
    ms = max(ms, 0)
    return f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7"
