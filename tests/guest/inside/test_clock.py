"""Who keeps the time tells the kernel; the agent asks it, in the sandbox of its unit."""

from __future__ import annotations

import ctypes
import os
import struct
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.guest
UNIT = Path("/opt/tillwire/systemd/tillwire-agent.service")
SANDBOX = ("NoNewPrivileges", "CapabilityBoundingSet", "SystemCallFilter", "SystemCallArchitectures",
           "SystemCallErrorNumber", "ProtectClock", "DevicePolicy")  # fmt: skip
ADJ_MAXERROR, ADJ_STATUS, STA_UNSYNC = 0x4, 0x10, 0x40
NOBODY_KNOWS = 16_000_000


def keep(error_us: int, status: int) -> None:
    """What chrony, ntpsec and timesyncd do when they have heard a time server, or none for long."""
    timex = ctypes.create_string_buffer(256)
    struct.pack_into("@Illlli", timex, 0, ADJ_MAXERROR | ADJ_STATUS, 0, 0, error_us, 0, status)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.adjtimex(timex) >= 0, os.strerror(ctypes.get_errno())


def told() -> str:
    """What the agent says of the clock."""
    lines = [line for line in UNIT.read_text(encoding="utf-8").splitlines() if line.split("=")[0] in SANDBOX]
    assert len(lines) >= 6
    command = ["systemd-run", "--wait", "--pipe", "--quiet", "--property=User=nobody",
               "--setenv=PYTHONPATH=/opt/tillwire:/opt/tillwire/site", *(f"--property={line}" for line in lines),
               "python3", "-c", "from agent import clock; print(clock.trust())"]  # fmt: skip
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=200).stdout.strip()


@pytest.mark.covers("F25")
def test_a_clock_is_right_once_a_time_server_was_heard_whoever_keeps_it() -> None:
    keep(NOBODY_KNOWS, STA_UNSYNC)
    assert told() == "rtc"
    keep(2_000, 0)
    assert told() == "ntp"
    keep(NOBODY_KNOWS, STA_UNSYNC)
