"""FunctionFS: a USB function in user space. Descriptors and events of a printer, as the kernel wants them.

Source: linux/usb/functionfs.h; USB 2.0 chapter 9 (descriptors). Endpoint 1 goes to the host, endpoint 2 comes from it.
"""

from __future__ import annotations

import errno
import os
import struct
from enum import IntEnum

from drivers.printer_class import (
    BIDIRECTIONAL,
    GET_DEVICE_ID,
    GET_PORT_STATUS,
    INTERFACE_CLASS,
    SOFT_RESET,
)

DESCRIPTORS_MAGIC_V2, STRINGS_MAGIC = 3, 2
HAS_FULL_SPEED, HAS_HIGH_SPEED, ALL_CONTROL_RECIPIENTS = 1, 2, 64  # the last: usblp sends SOFT_RESET to "other"
FULL_SPEED_PACKET, HIGH_SPEED_PACKET = 64, 512
ENGLISH = 0x0409
EVENT = 12  # bytes: a setup packet (8), the event's kind (1), padding (3)
CLASS, DIRECTION_IN = 0x20, 0x80
TYPE = 0x60  # the bits of bmRequestType that say standard, class or vendor


class Event(IntEnum):
    BIND = 0
    UNBIND = 1
    ENABLE = 2
    DISABLE = 3
    SETUP = 4
    SUSPEND = 5
    RESUME = 6


def descriptors() -> bytes:
    """One interface: printer, bidirectional, bulk both ways; at full and at high speed."""
    body = b"".join(_interface(packet) for packet in (FULL_SPEED_PACKET, HIGH_SPEED_PACKET))
    counts = struct.pack("<II", 3, 3)  # descriptors at each speed: the interface and two endpoints
    flags = HAS_FULL_SPEED | HAS_HIGH_SPEED | ALL_CONTROL_RECIPIENTS
    return struct.pack("<III", DESCRIPTORS_MAGIC_V2, 12 + len(counts) + len(body), flags) + counts + body


def _interface(packet: int) -> bytes:
    interface = struct.pack("<9B", 9, 4, 0, 0, 2, INTERFACE_CLASS, 1, BIDIRECTIONAL, 1)
    return interface + _bulk(0x81, packet) + _bulk(0x02, packet)


def _bulk(address: int, packet: int) -> bytes:
    return struct.pack("<BBBBHB", 7, 5, address, 2, packet, 0)


def strings(interface: str = "Receipt printer") -> bytes:
    body = struct.pack("<H", ENGLISH) + interface.encode() + b"\0"
    return struct.pack("<IIII", STRINGS_MAGIC, 16 + len(body), 1, 1) + body


class Control:
    """Endpoint 0, opened non-blocking: answers the host's requests, gives the events that tell of the host.

    `device_id` and `status` are what is answered; change `status` at any time.
    """

    def __init__(self, fd: int, device_id: bytes, status: int) -> None:
        self.fd, self.device_id, self.status = fd, device_id, status
        self.resets = 0
        self.asked = 0  # times that the host asked for the port status

    def begin(self) -> None:
        """Tell the kernel what this function is. Raises OSError."""
        os.write(self.fd, descriptors())
        os.write(self.fd, strings())

    def events(self) -> list[Event]:
        """What has happened since; requests of the host are answered on the way. Never waits for the host's next."""
        out: list[Event] = []
        while True:
            try:
                data = os.read(self.fd, EVENT)
            except BlockingIOError:
                return out
            except OSError as error:
                if error.errno == errno.EIDRM:  # the host began another request in the middle of one
                    continue
                raise
            if len(data) < EVENT:
                return out
            kind = data[8]
            if kind == Event.SETUP:
                self._answer(*struct.unpack("<BBHHH", data[:8]))
            elif kind <= Event.RESUME:
                out.append(Event(kind))

    def _answer(self, to: int, request: int, value: int, index: int, length: int) -> None:
        try:
            if to & TYPE == CLASS and to & DIRECTION_IN and request == GET_DEVICE_ID:
                os.write(self.fd, self.device_id[:length])
            elif to & TYPE == CLASS and to & DIRECTION_IN and request == GET_PORT_STATUS:
                self.asked += 1
                os.write(self.fd, bytes([self.status])[:length])
            elif to & TYPE == CLASS and not to & DIRECTION_IN and request == SOFT_RESET:
                self.resets += 1
                os.read(self.fd, 0)
            elif to & DIRECTION_IN:
                os.read(self.fd, 0)  # against the request's direction: the kernel answers with a stall
            else:
                os.write(self.fd, b"")
        except OSError:
            pass  # a stall is told as an error; and a host that breaks off asks again
