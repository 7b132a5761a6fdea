"""The clocks of this box, as they are written down: monotonic time orders and expires, wall time is only told."""

from __future__ import annotations

import os
import time
from pathlib import Path


def boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


BOOT = boot_id()
SYNCED = "/run/systemd/timesync/synchronized"
HAS_RTC = Path("/sys/class/rtc/rtc0").exists()


def mono_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


def trust() -> str:
    """How far the wall clock is to be believed: ntp, rtc or none."""
    if os.path.exists(SYNCED):  # noqa: PTH110 (asked for each receipt, and a Path takes ten times as long)
        return "ntp"
    return "rtc" if HAS_RTC else "none"
