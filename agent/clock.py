"""The box's clocks: which boot, how long since, and what the wall clock says and is worth.

Ages and waiting times are always monotonic; the wall clock is only told, with its trust, never believed for an expiry.

Source: adjtimex(2): whoever keeps the time (timesyncd, chrony, ntpsec) tells the kernel how wrong it may be at most.
"""

from __future__ import annotations

import ctypes
import functools
import os
import struct
import time
from pathlib import Path

from wire.messages import Clock, Trust

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
SYNCED = Path("/run/systemd/timesync/synchronized")  # made by systemd-timesyncd at its first sync of a boot
RTC = Path("/sys/class/rtc/rtc0")
TIMEX = "@Illl"  # struct timex: modes, offset, freq, maxerror in µs; more follows
NOBODY_KNOWS = 16_000_000  # maxerror of a kernel that was told nothing, or nothing for hours
_libc = ctypes.CDLL(None)


@functools.cache
def boot() -> str:
    """The kernel's boot id, "" where there is none."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def mono_ms() -> int:
    """Milliseconds since boot; they go on while the box sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


def trust() -> Trust:
    if kernel_error_us() < NOBODY_KNOWS or os.path.exists(SYNCED):  # noqa: PTH110 -- asked for each receipt, twice
        return Trust.NTP
    return Trust.RTC if RTC.exists() else Trust.NONE


def kernel_error_us() -> int:
    """How wrong the kernel's clock may be at most, by its last time server; NOBODY_KNOWS where it may not tell."""
    timex = ctypes.create_string_buffer(256)  # all zero: modes 0 only asks
    if _libc.adjtimex(timex) < 0:
        return NOBODY_KNOWS
    return int(struct.unpack_from(TIMEX, timex)[3])


def now() -> Clock:
    return Clock(boot=boot(), mono_ms=mono_ms(), wall_ms=wall_ms(), trust=trust())


def corrected(told: Clock) -> Clock:
    """A moment of this boot that was noted before the clock was right: by the right clock of now, and how long ago.

    What the clock was not told to be right about, and moments of other boots, stay as they were noted.
    """
    if told.boot != boot() or told.trust == Trust.NTP or trust() is not Trust.NTP:
        return told
    ago_ms = time.monotonic_ns() // 1_000_000 - told.mono_ms  # the relay's own
    return Clock(boot=told.boot, mono_ms=told.mono_ms, wall_ms=wall_ms() - ago_ms, trust=Trust.NTP)


def age_s(of_boot: str, of_mono_ms: int) -> float | None:
    """Seconds since a moment of this boot; None when it was in another one, so that nobody knows."""
    return (mono_ms() - of_mono_ms) / 1000 if of_boot == boot() else None
