"""Which USB serial adapters are plugged in, as sysfs tells it: found by what they are, whatever the kernel calls them.

Source: Documentation/ABI/testing/sysfs-class-tty; a tty's device lies inside its USB device, a folder such as 1-1.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SYSFS = Path("/sys/class/tty")


@dataclass(frozen=True, slots=True)
class Adapter:
    path: str  # /dev/ttyUSB0
    port: str  # its socket, 1-1.2: stays the same as long as the cable stays where it is
    serial: str


def find(serial: str, port: str, sysfs: Path = SYSFS) -> Adapter | None:
    """The first that fits ("" fits all); None when it is not plugged in."""
    for adapter in adapters(sysfs):
        if serial in ("", adapter.serial) and port in ("", adapter.port):
            return adapter
    return None


def adapters(sysfs: Path = SYSFS) -> Iterator[Adapter]:
    """Every one, by its name."""
    for folder in sorted(sysfs.glob("tty[UA][SC][BM]*")):
        inside = (folder / "device").resolve()
        for device in (inside, *inside.parents):
            if (device / "idVendor").exists():
                yield Adapter(f"/dev/{folder.name}", device.name, _text(device / "serial"))
                break


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:  # not told by the device, or it has just gone
        return ""
