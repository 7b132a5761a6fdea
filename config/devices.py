"""The URLs of [printer.NAME] and [pos.NAME]: what each kind of device may be told. The drivers do the rest.

A URL that can never work is told to the technician before anything starts, with what is allowed; a device that is not
there now is no mistake of the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, urlsplit

from config.load import did_you_mean

Told = str | None  # what is wrong, or None
USB_IDS = re.compile(r"[0-9a-fA-F]{4}:[0-9a-fA-F]{4}")


def _one_of(*values: str) -> Callable[[str], Told]:
    return lambda value: None if value in values else f"must be one of {', '.join(values)}"


def _number(low: int, high: int) -> Callable[[str], Told]:
    def check(value: str) -> Told:
        right = value.isascii() and value.isdigit() and low <= int(value) <= high
        return None if right else f"must be a whole number from {low} to {high}"

    return check


def _networks(value: str) -> Told:
    import ipaddress  # for those who have such a list

    for text in value.split(","):
        try:
            ipaddress.ip_network(text.strip(), strict=False)
        except ValueError:
            return f"{text.strip()!r} is no address and no network: write for example 192.168.1.0/24,10.0.0.7"
    return None


def _host_and_port(parts: SplitResult) -> Told:
    try:
        port = parts.port
    except ValueError:
        return "its port must be a number from 1 to 65535"
    if not parts.hostname:
        return "has no host"
    if port is None:
        return "has no port: receipt printers use 9100"
    if parts.path not in ("", "/"):
        return f"has {parts.path!r} behind the port, where nothing belongs"
    return None if port else "its port must be a number from 1 to 65535"


def _path(parts: SplitResult) -> Told:
    if parts.netloc:
        return f"takes {parts.netloc!r} for a host: a path needs three slashes"
    return None if parts.path.strip("/") else "names no path"


def _line(parts: SplitResult) -> Told:
    if parts.netloc == "usb":
        return "takes one serial number behind usb" if "/" in parts.path.strip("/") else None
    if "port" in dict(parse_qsl(parts.query)):
        return "has an option port, which is for serial://usb: the adapter in that socket"
    return _path(parts)


def _usb(parts: SplitResult) -> Told:
    serial = parts.path.strip("/")
    if parts.netloc == "auto":
        return f"auto takes any printer: {serial!r} behind it means nothing" if serial else None
    if not USB_IDS.fullmatch(parts.netloc):
        return "must name the printer by its ids, VID:PID as lsusb shows them, or auto"
    return "takes one serial number behind the ids" if "/" in serial else None


def _gadget(parts: SplitResult) -> Told:
    if parts.path.strip("/"):
        return f"has {parts.path!r} behind it, where nothing belongs"
    name = parts.netloc
    right = not name or name.replace("-", "").isalnum()
    return None if right else f"takes {name!r} for the gadget's name: letters, digits and -"


def _like(pattern: str, words: str) -> Callable[[str], Told]:
    return lambda value: None if re.fullmatch(pattern, value) else f"must be {words}"


_SOCKET = _like(r"\d+-\d+(\.\d+)*", "a socket's path, as in 1-1.2")
_HEX_ID = _like(r"[0-9a-fA-F]{4}", "four hex digits, as in 04b8")
_TEXT = _like(r"[ -~]{1,126}", "1 to 126 letters, digits and signs of ASCII")
_DEVICE_ID = _like(r"[ -~]{4,1000}", "an IEEE 1284 device id, as in MFG:EPSON;MDL:TM-T20II;CMD:ESC/POS;CLS:PRINTER;")


@dataclass(frozen=True, slots=True)
class Kind:
    """One scheme. `check` looks at all before the `?`; `options` at what stands behind it."""

    example: str
    check: Callable[[SplitResult], Told]
    options: dict[str, Callable[[str], Told]] = field(default_factory=dict)


_LINE = Kind(
    "serial:///dev/ttyUSB0?baud=38400",
    _line,
    {
        "baud": _number(300, 4_000_000),
        "bits": _one_of("7", "8"),
        "parity": _one_of("none", "even", "odd"),
        "stop": _one_of("1", "1.5", "2"),
        "flow": _one_of("none", "rtscts", "dsrdtr", "xonxoff"),
        "port": _SOCKET,
    },
)
PRINTERS = {
    "tcp": Kind("tcp://192.168.1.50:9100", _host_and_port),
    "serial": _LINE,
    "file": Kind("file:///tmp/out.prn", _path),
    "usb": Kind("usb://04b8:0e15", _usb, {"port": _SOCKET}),
}
POS = {
    "tcp": Kind(
        "tcp://0.0.0.0:9100",
        _host_and_port,
        {"allow": _networks, "limit": _number(1, 64), "each": _number(1, 64)},
    ),
    "serial": _LINE,
    "file": Kind("file:///var/tmp/capture.prn", _path),
    "gadget": Kind(
        "gadget://",
        _gadget,
        {
            "vid": _HEX_ID,
            "pid": _HEX_ID,
            "serial": _TEXT,
            "maker": _TEXT,
            "product": _TEXT,
            "id": _DEVICE_ID,
            "udc": _like(r"[A-Za-z0-9._:-]+", "a name from /sys/class/udc"),
            "function": _one_of("auto", "ffs", "printer"),
        },
    ),
}


def printer_url(value: str) -> Told:
    return _told(value, PRINTERS)


def pos_url(value: str) -> Told:
    return _told(value, POS)


def _told(value: str, kinds: dict[str, Kind]) -> Told:
    try:
        parts = urlsplit(value)
        options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as error:
        return f"is no address: {error}"
    kind = kinds.get(parts.scheme)
    if kind is None or "://" not in value:
        known = ", ".join(scheme + "://" for scheme in kinds)
        meant = did_you_mean(parts.scheme, kinds) if parts.scheme and kind is None else ""
        return f"must begin with one of {known}" + (f"; {meant}" if meant else "")
    wrong = kind.check(parts)
    if wrong:
        return f"{wrong}; write it like {kind.example}"
    for name, text in options:
        if name not in kind.options:
            allowed = f"allowed are {', '.join(kind.options) or 'none'}"
            return f"has no option {name!r}: {did_you_mean(name, kind.options) or allowed}"
        wrong = kind.options[name](text)
        if wrong:
            return f"option {name} = {text!r}: {wrong}"
    return None
