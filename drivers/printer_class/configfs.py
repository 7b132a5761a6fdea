"""The gadget's tree in configfs, and where it is mounted: paths and options that set-up (root) and driver share.

/sys/kernel/config/usb_gadget/tillwire-NAME/      what the board says it is; UDC binds it to the socket
/dev/tillwire-gadget/NAME/                        FunctionFS: ep0, ep1, ep2
/dev/tillwire-gadget/NAME.printer -> g_printer0   in its place where the kernel has no FunctionFS
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

GADGETS = Path("/sys/kernel/config/usb_gadget")
MOUNTS = Path("/dev/tillwire-gadget")
UDCS = Path("/sys/class/udc")
LINUX_FOUNDATION, GADGET = "1d6b", "0104"  # what Linux gadgets call themselves
OPTIONS = ("vid", "pid", "serial", "maker", "product", "id", "udc", "function")


@dataclass(frozen=True, slots=True)
class Gadget:
    """What `gadget://NAME?...` says."""

    name: str = "till"
    vid: str = LINUX_FOUNDATION
    pid: str = GADGET
    serial: str = "1"
    maker: str = "Tillwire"
    product: str = "Receipt Printer"
    id: str = ""  # the IEEE 1284 device id; empty: made from maker and product
    udc: str = ""  # the socket; empty: the first one
    function: str = "auto"  # ffs, printer, or auto: FunctionFS where the kernel has it

    @property
    def device_id(self) -> str:
        return (
            self.id or f"MFG:{self.maker};MDL:{self.product};CMD:ESC/POS;CLS:PRINTER;DES:{self.maker} {self.product};"
        )

    @property
    def tree(self) -> Path:
        return GADGETS / f"tillwire-{self.name}"

    @property
    def mount(self) -> Path:
        return MOUNTS / self.name

    @property
    def node(self) -> Path:
        return MOUNTS / f"{self.name}.printer"

    def find_udc(self) -> str:
        """The socket to bind to; "" when there is none."""
        if self.udc:
            return self.udc
        try:
            return min((path.name for path in UDCS.iterdir()), default="")
        except OSError:
            return ""


def parse(url: str) -> Gadget:
    """Raises ValueError for an option that does not exist, or a number that is none."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := [name for name in options if name not in OPTIONS]:
        raise ValueError(f"{url!r}: {unknown[0]!r} is no option; options are {', '.join(OPTIONS)}")
    name = parts.netloc or "till"
    if not name.replace("-", "").isalnum():
        raise ValueError(f"{url!r}: write gadget:// or gadget://NAME with letters, digits and -")
    for key in ("vid", "pid"):
        if key in options and not (len(options[key]) == 4 and _is_hex(options[key])):
            raise ValueError(f"{url!r}: {key} must be four hex digits")
    if options.get("function", "auto") not in ("auto", "ffs", "printer"):
        raise ValueError(f"{url!r}: function must be auto, ffs or printer")
    return Gadget(name=name, **options)


def _is_hex(text: str) -> bool:
    return all(digit in "0123456789abcdefABCDEF" for digit in text)
