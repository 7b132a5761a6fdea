"""The USB printer class: what the gadget (a printer, to the till) and the usb driver (a printer's host) both speak.

Source: USB Device Class Definition for Printing Devices 1.1 (requests, port status); IEEE 1284 (device id).
"""

from __future__ import annotations

INTERFACE_CLASS = 7
UNIDIRECTIONAL, BIDIRECTIONAL = 1, 2  # protocols of the interface; 3 (IEEE 1284.4) wraps the bytes and is not used
GET_DEVICE_ID, GET_PORT_STATUS, SOFT_RESET = 0, 1, 2  # class requests
TO_HOST, TO_DEVICE = 0xA1, 0x21  # their bmRequestType: class, interface
PAPER_EMPTY, SELECTED, NOT_ERROR = 0x20, 0x10, 0x08  # bits of the port status


def port_status(*, ready: bool, paper: bool, error: bool) -> int:
    """The byte that GET_PORT_STATUS answers. Not ready: the printer is off-line, or away."""
    return (SELECTED if ready else 0) | (0 if error else NOT_ERROR) | (0 if paper else PAPER_EMPTY)


def port_says(status: int) -> dict[str, bool | str]:
    """What a port status byte tells: online, paper (out or ok), error."""
    return {
        "online": bool(status & SELECTED),
        "paper": "out" if status & PAPER_EMPTY else "ok",
        "error": not status & NOT_ERROR,
    }


def device_id(text: str) -> bytes:
    """The answer to GET_DEVICE_ID: its own length in two bytes, big end first, then the text."""
    data = text.encode("ascii", "replace")
    return (len(data) + 2).to_bytes(2, "big") + data


def device_id_fields(answer: bytes) -> dict[str, str]:
    """What a printer says of itself: MFG, MDL, CMD, CLS, ... A length that is wrong, as many are, does not matter."""
    text = answer[2:].split(b"\0")[0].decode("latin-1")
    pairs = (part.split(":", 1) for part in text.split(";") if ":" in part)
    return {name.strip().upper(): value.strip() for name, value in pairs}
