"""The other ends of the USB cables, in the guest: a till's /dev/usb/lpN, and a printer that is a gadget itself.

dummy_hcd gives the machine sockets without wires: a gadget that is bound to dummy_udc.N is plugged into bus N+1 of the
same machine. The box is on socket 0; its printer on 1, or on 2 once it is plugged in elsewhere.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drivers.gadget import GadgetLink, GadgetPort, open_pos
from drivers.printer_class import set_up
from drivers.printer_class.configfs import parse
from tests.simulators.printer import SimulatedPrinter

LPGETSTATUS, LPRESET = 0x060B, (ord("P") << 8) | 7  # linux/lp.h, usblp
BOX = "gadget://till?udc=dummy_udc.0"
BOX_IDS = ("1d6b", "0104")
PRINTER_IDS = ("04b8", "0e15")


def until(what: Callable[[], Any], within: float = 120.0) -> Any:
    """Ask until it is true, or AssertionError. -> what it said."""
    end = time.monotonic() + within
    while True:
        if value := what():
            return value
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def sockets(count: int = 3) -> None:
    """A machine with so many USB sockets that can be devices."""
    if not Path("/sys/class/udc/dummy_udc.0").exists():
        subprocess.run(["modprobe", "dummy_hcd", f"num={count}"], check=True)
        subprocess.run(["modprobe", "usblp"], check=True)


def make_gadget(url: str, user: str = "root") -> None:
    set_up.set_up(parse(url), user)


class Node:
    """A till's /dev/usb/lpN: found by what is behind it, as udev would."""

    def __init__(self, ids: tuple[str, str] = BOX_IDS, within: float = 120.0) -> None:
        self.path = until(lambda: find_node(ids), within)
        self.fd = until(self._open, within)

    def _open(self) -> int | None:
        try:
            return os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        except OSError:
            return None

    def send(self, data: bytes, within: float = 60.0) -> None:
        left = self.send_some(data, within)
        assert not left, f"{left} of {len(data)} bytes were not taken"

    def send_some(self, data: bytes, within: float) -> int:
        """-> the bytes that were not taken in time."""
        view, end = memoryview(data), time.monotonic() + within
        while view and time.monotonic() < end:
            if select.select([], [self.fd], [], max(end - time.monotonic(), 0))[1]:
                try:
                    view = view[os.write(self.fd, view[:8192]) :]
                except BlockingIOError:
                    pass
        return len(view)

    def read(self, size: int, within: float = 120.0) -> bytes:
        out, end = b"", time.monotonic() + within
        while len(out) < size:
            assert select.select([self.fd], [], [], max(end - time.monotonic(), 0))[0], f"only {out!r} came"
            try:
                out += os.read(self.fd, 8192)
            except BlockingIOError:
                pass
        return out

    def status(self) -> int:
        """The port status byte."""
        value = bytearray(4)
        fcntl.ioctl(self.fd, LPGETSTATUS, value)
        return value[0]

    def reset(self) -> None:
        fcntl.ioctl(self.fd, LPRESET)

    def device(self) -> Path:
        """The sysfs folder of the device behind it."""
        return Path(f"/sys/class/usbmisc/{Path(self.path).name}/device").resolve().parent

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def find_node(ids: tuple[str, str]) -> str | None:
    for node in sorted(Path("/sys/class/usbmisc").glob("lp*")):
        device = (node / "device").resolve().parent
        try:
            if tuple((device / name).read_text().strip() for name in ("idVendor", "idProduct")) == ids:
                return f"/dev/usb/{node.name}"
        except OSError:
            pass
    return None


class UsbPrinter(SimulatedPrinter):
    """The simulated printer behind a USB socket. It stays powered when its cable is pulled."""

    def __init__(self, udc: int = 1, serial: str = "X1", **options: Any) -> None:
        super().__init__("tcp", **options)
        self.serial = serial
        self.usb: GadgetPort | None = None
        self._line = socket.create_connection(self._address)
        self._pump: threading.Thread | None = None
        self._stop = os.eventfd(0)
        self.plug_into(udc)

    def plug_into(self, udc: int) -> None:
        url = f"gadget://printer?udc=dummy_udc.{udc}&vid={PRINTER_IDS[0]}&pid={PRINTER_IDS[1]}&serial={self.serial}"
        make_gadget(url)
        self.usb = open_pos(url)
        self.usb.show(there=True, ready=True, paper=True, error=False)
        self._pump = threading.Thread(target=self._carry, args=(self.usb,), daemon=True)
        self._pump.start()

    def pull(self) -> None:
        """The cable, in the middle of whatever is going on."""
        assert self.usb and self._pump
        self.usb.close()
        os.eventfd_write(self._stop, 1)
        self._pump.join(60)
        os.eventfd_read(self._stop)

    def close(self) -> None:
        if self.usb is not None:
            self.pull()
        self._line.close()
        super().close()

    def _carry(self, usb: GadgetPort) -> None:
        """Bytes between USB and the printer's insides. What has come over the cable reaches the printer."""
        link: GadgetLink | None = None
        leaving = False
        while True:
            watched: list[Any] = [self._stop] if leaving is False else []
            watched += [link, self._line] if link else [usb]
            ready, _, _ = select.select(watched, [], [], 10 if leaving else None)
            if self._stop in ready:
                leaving = True
                if link is None:
                    return
            if usb in ready:
                link = usb.accept() or link
            if link in ready:
                data = link.read()
                if data:
                    self._line.sendall(data)
                elif data == b"":
                    link.close()
                    link = None
                    if leaving:
                        return
            if self._line in ready and link:
                link.write(self._line.recv(4096))
