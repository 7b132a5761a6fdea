"""Which USB printers are plugged in, as sysfs tells it: quick enough for the relay's loop, needs no library.

Source: Documentation/ABI/testing/sysfs-bus-usb; a device is a folder named by its port path, such as 1-1.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from drivers.printer_class import INTERFACE_CLASS

SYSFS = Path("/sys/bus/usb/devices")
IDS = re.compile(r"([0-9a-f]{4}):([0-9a-f]{4})", re.IGNORECASE)
PORT = re.compile(r"\d+-\d+(\.\d+)*")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What `usb://...` says. "" for what does not matter."""

    url: str
    vid: str = ""
    pid: str = ""
    serial: str = ""
    port: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A device that is there, and has a printer interface."""

    port: str  # stays the same as long as the cable stays where it is
    vid: str
    pid: str
    serial: str
    product: str
    bus: int
    address: int

    @property
    def url(self) -> str:
        """The URL that finds it again: by its serial number, where it has one."""
        return f"usb://{self.vid}:{self.pid}" + (f"/{quote(self.serial, safe='')}" if self.serial else "")


def parse(url: str) -> Wanted:
    """usb://VID:PID[/SERIAL][?port=1-1.2] or usb://auto[?port=1-1.2]. Raises ValueError."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    port = options.pop("port", "")
    if options or (port and not PORT.fullmatch(port)):
        raise ValueError(f"{url!r}: the one option is port, as in ?port=1-1.2 (see /sys/bus/usb/devices)")
    serial = unquote(parts.path.strip("/"))
    if parts.netloc == "auto" and not serial:
        return Wanted(url, port=port)
    ids = IDS.fullmatch(parts.netloc)
    if ids is None:
        raise ValueError(
            f"{url!r}: write usb://VID:PID as lsusb shows them, for example usb://04b8:0e15, or usb://auto"
        )
    return Wanted(url, ids[1].lower(), ids[2].lower(), serial, port)


def find(wanted: Wanted, sysfs: Path = SYSFS) -> Found | None:
    """The first that fits, in the order of their port paths; None when it is not plugged in."""
    for found in printers(sysfs):
        if (
            wanted.vid in ("", found.vid)
            and wanted.pid in ("", found.pid)
            and wanted.serial in ("", found.serial)
            and wanted.port in ("", found.port)
        ):
            return found
    return None


def printers(sysfs: Path = SYSFS) -> Iterator[Found]:
    """Every device with an interface of the printer class, by port path."""
    try:
        folders = sorted(sysfs.iterdir())
    except OSError:
        return
    for folder in folders:
        if not PORT.fullmatch(folder.name) or not _prints(folder):
            continue
        vid, pid, bus, address = (_text(folder / name) for name in ("idVendor", "idProduct", "busnum", "devnum"))
        if vid and pid and bus.isdigit() and address.isdigit():
            serial, product = _text(folder / "serial"), _text(folder / "product")
            yield Found(folder.name, vid, pid, serial, product, int(bus), int(address))


def _prints(folder: Path) -> bool:
    return any(
        _text(path) == f"{INTERFACE_CLASS:02x}" for path in folder.glob(f"{folder.name}:*/bInterfaceClass")
    )  # fmt: skip


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:  # not told by the device, or it has just gone
        return ""
