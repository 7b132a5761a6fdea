"""The ways out of the box: cable, Wi-Fi, mobile modem; which are up, and how well they hear.

Gives   Way values, from sysfs alone; where NetworkManager and ModemManager run, with what they add (network name,
        signal, operator, PIN). The first in the routing table is the one in use.
Never   changes anything, waits longer than a few seconds, or raises.

Source: Documentation/ABI/testing/sysfs-class-net; proc_net_wireless; nmcli(1) -t: fields by ":", "\\" before a colon of
a value; mmcli(1) -K: "key : value" lines; netdevice(7).
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import re
import socket
import struct
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

TOOL_S = 5.0
WEAK = 35  # percent
SIOCGIFADDR, SIOCGIFNETMASK = 0x8915, 0x891B


@dataclass(frozen=True, slots=True)
class Way:
    device: str
    kind: str  # ethernet | wifi | mobile | other
    up: bool
    signal: int | None = None  # percent
    name: str = ""  # of the Wi-Fi, or the operator
    detail: str = ""  # what else helps: "4G (lte)", "the SIM wants its PIN"
    used: bool = False  # the default route goes over it

    def __str__(self) -> str:
        words = [self.kind, self.device, "up" if self.up else "down"]
        words += [self.name] if self.name else []
        words += [f"signal {self.signal} %"] if self.signal is not None else []
        words += [self.detail] if self.detail else []
        return " ".join(words) + (", in use" if self.used else "")


def ways(root: Path = Path("/"), run: Any = None) -> list[Way]:
    """All but loopback, the one in use first. `run` asks a program: [words] -> its output, "" where that fails."""
    run = run or run_program
    used = default_device(_text(root / "proc/net/route"))
    found = {way.device: way for way in _from_kernel(root, used)}
    for way in wifi_of_nmcli(
        run(["nmcli", "-t", "-f", "DEVICE,IN-USE,SIGNAL,SSID", "device", "wifi", "list", "--rescan", "no"])
    ):
        if way.device in found:
            found[way.device] = replace(found[way.device], name=way.name, signal=way.signal)
    for number in re.findall(r"/Modem/(\d+)", run(["mmcli", "-L"])):
        modem = modem_of_mmcli(run(["mmcli", "-m", number, "-K"]))
        if modem is not None:
            there = found.get(modem.device)
            found[modem.device] = replace(
                modem, used=there.used if there else False, up=modem.up or bool(there and there.up)
            )
    return sorted(found.values(), key=lambda way: (not way.used, not way.up, way.device))


def address_of(device: str) -> ipaddress.IPv4Interface | None:
    """Its IPv4 address and network, asked of the kernel without netlink, which the agent's sandbox forbids."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            address, mask = (
                socket.inet_ntoa(fcntl.ioctl(sock, number, struct.pack("256s", device.encode()[:15]))[20:24])
                for number in (SIOCGIFADDR, SIOCGIFNETMASK)
            )
        except OSError:  # it has none
            return None
    return ipaddress.IPv4Interface(f"{address}/{mask}")


def addresses(root: Path = Path("/")) -> list[str]:
    """The box's own, but loopback's: "192.168.1.23 (eth0)"; of IPv6 those that others reach."""
    found = []
    with contextlib.suppress(OSError):
        for device in sorted((root / "sys/class/net").iterdir()):
            address = address_of(device.name)
            if address is not None and not address.ip.is_loopback:
                found.append(f"{address.ip} ({device.name})")
    for line in _text(root / "proc/net/if_inet6").splitlines():
        words = line.split()
        if len(words) == 6 and words[3] == "00":  # global scope
            found.append(f"{ipaddress.IPv6Address(bytes.fromhex(words[0]))} ({words[5]})")
    return found


def default_device(routes: str) -> str:
    """/proc/net/route -> the device of the default route with the smallest metric; "" where there is none."""
    rows = [line.split() for line in routes.splitlines()[1:]]
    ways_out = [(int(row[6]), row[0]) for row in rows if len(row) > 7 and row[1] == row[7] == "00000000"]
    return min(ways_out)[1] if ways_out else ""


def wifi_of_nmcli(output: str) -> list[Way]:
    """The network that each Wi-Fi device is in: lines "wlan0:*:67:Shop\\: guests"."""
    found = []
    for line in output.splitlines():
        parts = [part.replace("\\:", ":").replace("\\\\", "\\") for part in re.split(r"(?<!\\):", line)]
        if len(parts) == 4 and parts[1] == "*":
            found.append(Way(parts[0], "wifi", True, int(parts[2]) if parts[2].isdigit() else None, parts[3]))
    return found


def modem_of_mmcli(output: str) -> Way | None:
    """Of `mmcli -m N -K`. None where that told nothing."""
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in output.splitlines())}
    told = {key: value for key, value in told.items() if value not in ("", "--")}
    state = told.get("modem.generic.state", "")
    if not state:
        return None
    ports = [value for key, value in told.items() if key.startswith("modem.generic.ports.value")]
    device = next(
        (port.split(" ")[0] for port in ports if port.endswith("(net)")),
        told.get("modem.generic.primary-port", "modem"),
    )
    detail = ", ".join(
        value for key, value in told.items() if key.startswith("modem.generic.access-technologies.value")
    )
    lock = told.get("modem.generic.unlock-required", "none")
    if lock not in ("none", "sim-pin2", "sim-puk2"):
        detail = f"the SIM wants its {'PUK' if 'puk' in lock else 'PIN'}"
    elif state == "failed":
        detail = f"failed: {told.get('modem.generic.state-failed-reason', 'no reason given')}"
    signal = told.get("modem.generic.signal-quality.value", "")
    return Way(
        device, "mobile", state == "connected", int(signal) if signal.isdigit() else None,
        told.get("modem.3gpp.operator-name", ""), detail or state,
    )  # fmt: skip


def _from_kernel(root: Path, used: str) -> list[Way]:
    found = []
    try:
        devices = sorted((root / "sys/class/net").iterdir())
    except OSError:
        return []
    heard = _wireless(_text(root / "proc/net/wireless"))
    for device in devices:
        if _text(device / "type") == "772":  # ARPHRD_LOOPBACK
            continue
        name = device.name
        if (device / "wireless").exists() or (device / "phy80211").exists():
            kind = "wifi"
        elif name.startswith(("wwan", "ppp", "wwp")):
            kind = "mobile"
        else:
            kind = "ethernet" if (device / "device").exists() or name.startswith(("eth", "en")) else "other"
        state = _text(device / "operstate")
        up = state == "up" or (state == "unknown" and _text(device / "carrier") == "1")
        if kind != "other" or name == used:
            found.append(Way(name, kind, up, heard.get(name), used=name == used))
    return found


def _wireless(text: str) -> dict[str, int]:
    """/proc/net/wireless: the link quality, out of 70, as percent."""
    rows = re.findall(r"^\s*(\S+):\s+\S+\s+(\d+)", text, re.MULTILINE)
    return {device: min(100, int(quality) * 100 // 70) for device, quality in rows}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def run_program(words: list[str]) -> str:
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            timeout=TOOL_S,
            check=False,
            stdin=subprocess.DEVNULL,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""
