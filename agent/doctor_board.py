"""The doctor's look at the board itself: programs, disk, clock, sound, power, secrets, and what waits for the cloud.

Source: systemctl(1) show; JEDEC eMMC life_time and pre_eol_info in sysfs; ext4's errors_count; the Raspberry Pi
firmware's get_throttled bits.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import sqlite3
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agent import clock, tls
from agent.doctor import LOOK, OK, WRONG, Finding, Tools
from config.box import Box, secret
from wire.messages import Trust

UNITS = ("tillwire-relay", "tillwire-agent")
LITTLE_MB, NEARLY_MB = 500, 100
MANY_WAIT = 100
HOT_C = 80
SOON_DAYS = 30
KEEPERS = {  # unit -> what shows what it hears
    "systemd-timesyncd": "timedatectl timesync-status",
    "chrony": "chronyc sources",
    "chronyd": "chronyc sources",
    "ntpsec": "ntpq -p",
    "ntp": "ntpq -p",
}


def units(tools: Tools) -> Iterator[Finding]:
    if not (tools.root / "run/systemd/system").exists():
        return
    names = ("Id", "LoadState", "ActiveState", "SubState", "NRestarts", "StatusText", "UnitFileState", "Result")
    for unit in UNITS:
        out = tools.run(["systemctl", "show", f"{unit}.service", "-p", ",".join(names)])
        yield from unit_of_systemctl(unit, out)


def unit_of_systemctl(unit: str, output: str) -> Iterator[Finding]:
    """Of `systemctl show UNIT -p ...`: KEY=VALUE lines."""
    told = dict(line.partition("=")[::2] for line in output.splitlines())
    if not told:
        return
    log = f"`journalctl -u {unit} -n 30` tells why"
    if told.get("LoadState") != "loaded":
        yield Finding(LOOK, unit, "is not installed as a service", "the .deb or the image brings it")
    elif told.get("ActiveState") == "active":
        restarts = int(told.get("NRestarts") or 0)
        if told.get("UnitFileState") == "disabled":
            yield Finding(LOOK, unit, "runs, but not after the next boot", f"`systemctl enable {unit}`")
        elif restarts > 3:
            yield Finding(LOOK, unit, f"runs, after {restarts} restarts by itself", log)
        else:
            yield Finding(OK, unit, "runs" + (f" ({told['StatusText']})" if told.get("StatusText") else ""))
    else:
        state = f"{told.get('ActiveState')}/{told.get('SubState')}, result {told.get('Result')}"
        yield Finding(WRONG, unit, f"does not run ({state})", f"{log}; `systemctl start {unit}`")


def backlog(box: Box, told: dict[str, Any] | None) -> Iterator[Finding]:
    """What is captured and not acknowledged."""
    if told is not None:
        jobs = int(told.get("backlog") or 0)
    elif not box.agent_db.exists():
        return
    else:
        try:
            with contextlib.closing(sqlite3.connect(f"file:{box.agent_db}?mode=ro", uri=True, timeout=5)) as db:
                jobs = int(db.execute("SELECT count(*) FROM outbox WHERE kind != 'message'").fetchone()[0])
        except sqlite3.Error as error:
            yield Finding(WRONG, "backlog", f"{box.agent_db} cannot be read: {error}", "run as root; is the disk full?")
            return
    if jobs > MANY_WAIT:
        yield Finding(LOOK, "backlog", f"{jobs} receipts wait for the cloud", "they are safe here; see broker above")
    else:
        yield Finding(OK, "backlog", f"{jobs} receipts wait for the cloud")


def sound(box: Box, tools: Tools) -> Iterator[Finding]:
    if not box.alerts.sound:
        yield Finding(OK, "sound", "is switched off in the settings")
        return
    cards = _text(tools.root / "proc/asound/cards")
    if not cards or "no soundcards" in cards:
        helps = "plug in a USB loudspeaker, or sound = false; until then the printer's buzzer is used, where it has one"
        yield Finding(LOOK, "sound", "there is no sound card", helps)
        return
    name = cards.splitlines()[0].partition("- ")[2].strip() or cards.splitlines()[0].strip()
    yield Finding(OK, "sound", f"{name}; `tillwire alert test` plays a sound: only ears can tell the rest")


def disk(box: Box, tools: Tools) -> Iterator[Finding]:
    folder = box.box.state_dir
    try:
        found = os.statvfs(folder)
    except OSError as error:
        yield Finding(
            WRONG, "disk", f"{folder}: {error.strerror}", "`systemd-tmpfiles --create` makes it; is it mounted?"
        )
        return
    free = found.f_bavail * found.f_frsize // 1_000_000
    if found.f_flag & os.ST_RDONLY:
        helps = "a dying card does that: copy the journal away, replace the card; `dmesg | grep -i mmc` shows errors"
        yield Finding(WRONG, "disk", f"{folder} cannot be written: it is mounted read-only", helps)
    elif free < NEARLY_MB:
        yield Finding(WRONG, "disk", f"{free} MB free in {folder}", "make room: without it nothing more is captured")
    elif free < LITTLE_MB:
        yield Finding(LOOK, "disk", f"{free} MB free in {folder}", "make room, or lower [capture] quota_mb")
    else:
        yield Finding(OK, "disk", f"{free} MB free in {folder}")
    yield from wear(tools.root)


def wear(root: Path) -> Iterator[Finding]:
    """Only eMMC tells its age; an SD card shows itself by errors of its file system."""
    for device in sorted((root / "sys/block").glob("mmcblk*/device")):
        ages = [int(value, 16) for value in _text(device / "life_time").split()]
        end = _text(device / "pre_eol_info")
        if any(age >= 9 for age in ages) or end in ("0x02", "0x03"):
            worn = min(100, max(ages, default=0) * 10)
            yield Finding(
                LOOK, "disk", f"{device.parent.name} is {worn} % worn", "replace it soon: it fails without a word"
            )
    for errors in sorted((root / "sys/fs/ext4").glob("*/errors_count")):
        if (count := _text(errors)) not in ("", "0"):
            helps = "check it (fsck) at the next boot, and replace the card when they come again"
            yield Finding(WRONG, "disk", f"{errors.parent.name}: {count} errors of the file system", helps)


def secrets(config: Path, box: Box) -> Iterator[Finding]:
    """Files that only root and the agent may read."""
    right = True
    for key, name in (
        ("password_file", box.cloud.password_file),
        ("key_file", box.cloud.key_file),
        ("code_file", box.page.code_file),
    ):
        if not name:
            continue
        path = Path(secret(name))
        if not path.is_absolute():
            continue  # a credential of the unit: only the unit sees it
        try:
            there = path.stat()
        except OSError as error:
            right = False
            yield Finding(
                WRONG,
                "secrets",
                f"{key} {path}: {error.strerror}",
                "run as root; `tillwire claim CODE` makes the password",
            )
            continue
        problem = mode_problem(there)
        if problem:
            right = False
            yield Finding(WRONG, "secrets", f"{key} {path} {problem}", f"`chmod 600 {path}`")
    with contextlib.suppress(OSError):
        if stat.S_IMODE(config.stat().st_mode) & stat.S_IWOTH:
            right = False
            yield Finding(WRONG, "secrets", f"{config} may be written by anybody", f"`chmod 640 {config}`")
    if right and (box.cloud.password_file or box.cloud.key_file):
        yield Finding(OK, "secrets", "only their owners may read them")


def mode_problem(there: os.stat_result) -> str:
    """Why a secret's file is open to too many; "" where it is not."""
    mode = stat.S_IMODE(there.st_mode)
    return f"may be read by others (mode {mode:04o})" if mode & 0o077 else ""


def certificates(box: Box) -> Iterator[Finding]:
    """Those in files of ours; the broker's is seen when it is connected to."""
    for key, name in (("cert_file", box.cloud.cert_file), ("ca_file", box.cloud.ca_file)):
        if not name:
            continue
        try:
            told = ssl._ssl._test_decode_cert(name)  # type: ignore[attr-defined]  # the only one in the library
            until = datetime.datetime.fromtimestamp(ssl.cert_time_to_seconds(str(told["notAfter"])), datetime.UTC)
        except (OSError, ValueError, KeyError) as error:
            yield Finding(WRONG, "certificates", f"{key} {name} cannot be read: {error}", "it must be PEM")
            continue
        days = (until - datetime.datetime.now(datetime.UTC)).days
        if days < 0:
            yield Finding(
                WRONG, "certificates", f"{key} {name} has expired on {until:%Y-%m-%d}", "ask the operator for a new one"
            )
        elif days < SOON_DAYS:
            yield Finding(
                LOOK, "certificates", f"{key} {name} expires on {until:%Y-%m-%d}", "ask the operator for a new one"
            )
        else:
            yield Finding(OK, "certificates", f"{key} {name} is good until {until:%Y-%m-%d}")


def clocks(tools: Tools) -> Iterator[Finding]:
    now = datetime.datetime.now(datetime.UTC)
    said = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    keeper = next((unit for unit in KEEPERS if tools.run(["systemctl", "is-active", unit]).strip() == "active"), "")
    trust = clock.trust()
    if now.timestamp() < tls.BUILT:
        yield Finding(WRONG, "clock", f"{said} is before this release was made", _clock_helps(keeper))
    elif trust is Trust.NTP:
        by = f" ({keeper})" if keeper else ""
        yield Finding(OK, "clock", f"{said}, set by NTP{by}")
    elif trust is Trust.RTC:
        level = OK if keeper else LOOK
        yield Finding(
            level, "clock", f"{said}, from the board's clock; not set by NTP since the boot", _clock_helps(keeper)
        )
    else:
        helps = f"{_clock_helps(keeper)} Receipts keep their order meanwhile"
        yield Finding(LOOK, "clock", f"{said}, which nobody vouches for", helps)


def _clock_helps(keeper: str) -> str:
    """`keeper`: the program that keeps the time, where one runs."""
    if not keeper:
        return "no program keeps the time: `apt install systemd-timesyncd`, or `timedatectl set-ntp true`."
    return f"{keeper} runs and has heard no time server: `{KEEPERS[keeper]}`; does the network let UDP port 123 out?"


def power(tools: Tools) -> Iterator[Finding]:
    """Boards of the Raspberry Pi tell when their supply is too weak; all tell how warm they are."""
    root = tools.root / "sys"
    for path in (
        root / "devices/platform/soc/soc:firmware/get_throttled",
        root / "devices/platform/soc/firmware/get_throttled",
    ):
        with contextlib.suppress(ValueError):
            bits = int(_text(path) or "0", 16)
            if bits & 0x1:
                yield Finding(
                    WRONG,
                    "power",
                    "the supply is too weak now",
                    "use the board's own supply, 5 V and 3 A; feed it not from the till",
                )
            elif bits & 0x10000:
                yield Finding(
                    LOOK, "power", "the supply was too weak since the boot", "use the board's own supply, 5 V and 3 A"
                )
    warm = [
        int(text) // 1000 for zone in root.glob("class/thermal/thermal_zone*/temp") if (text := _text(zone)).isdigit()
    ]
    if warm and max(warm) >= HOT_C:
        yield Finding(LOOK, "power", f"the board is {max(warm)} °C warm", "give it air; it slows down by itself")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
