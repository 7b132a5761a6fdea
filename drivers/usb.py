"""usb: a printer on a USB cable (class 7, bulk). Printer side only. Needs pyusb and libusb.

URL     usb://VID:PID, usb://VID:PID/SERIAL, usb://auto (the first printer); each also with ?port=1-1.2 (that socket)
Gives   a link whose fileno() the relay's loop watches. `taken` counts what the printer itself has accepted, packet by
        packet, also when it is unplugged in the middle of a transfer.
Raises  DeviceGone while it is not plugged in, and when it is unplugged. The caller opens again: a printer is found by
        what it is, wherever it is plugged in and whatever the kernel calls it then.

libusb cannot be polled: two threads, to and from the printer, only block in its transfers, behind a socketpair with a
small buffer. The kernel's own driver (usblp) is taken off the interface, and given back at the end.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
import socket
import threading
from collections.abc import Callable
from typing import Any

from drivers import DeviceGone, Watch
from drivers.printer_class import (
    GET_DEVICE_ID,
    GET_PORT_STATUS,
    INTERFACE_CLASS,
    PAPER_EMPTY,
    TO_HOST,
    device_id_fields,
    port_says,
    port_status,
)
from drivers.printer_class.devices import Found, Wanted, find, parse

READ = 65536
BUFFER = 16384  # bytes between the loop and the thread
CHUNK = 4096  # bytes in one transfer
ANSWER = 4096  # a multiple of every packet size: less would overflow, and lose the answer
CONTROL_MS = 500
RELEASE_S = 0.05  # until the interface is released once more
GIVE_BACK_S = 2.0  # a relay that stops waits so long for it
BULK, ENDPOINT_IN, HALTED = 2, 0x80, errno.EPIPE
LIBUSB_PIPE, LIBUSB_INTERRUPTED = -9, -10
ALL_WELL = port_status(ready=True, paper=True, error=False)


class UsbLink:
    """One plugging-in of the printer. It is there once the first thread has opened it; until then nothing is taken."""

    connect_s = 20.0  # nothing there waits for a network: given up earlier, a slow board would get in its own way

    def __init__(self, wanted: Wanted, found: Found) -> None:
        self.peer = f"{found.vid}:{found.pid} {found.product} at {found.port}".replace("  ", " ")
        self.serial, self.says = found.serial, {}  # type: str, dict[str, str]
        self.taken = 0
        self._found = found
        self._sock, self._inner = socket.socketpair()
        for sock in (self._sock, self._inner):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        self._sock.setblocking(False)
        self.fileno = self._sock.fileno
        self._stop = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._stuffing = self._stuff()
        self._open = False
        self._error = ""
        self._device: Any = None
        self._transfers = threading.Condition()  # holds the next two
        self._under_way, self._over = 0, False
        self._control = threading.Lock()  # a request to the printer is under way, or the printer is being given back
        self._sending = False
        self._watch: Watch | None = None
        self._lives = threading.Thread(target=self._live, daemon=True, name=f"usb {found.port}")
        self._lives.start()

    def _stuff(self) -> int:
        """Fill the buffer, so that fileno() is not writable before the printer is open. -> bytes to be thrown away."""
        size = 0
        try:
            while True:
                size += self._sock.send(bytes(4096))
        except BlockingIOError:
            return size

    def opened(self) -> bool:
        """Is the printer open? Raises DeviceGone when that failed."""
        if self._error:
            raise DeviceGone(f"usb open {self.peer}: {self._error}")
        return self._open

    def read(self) -> bytes | None:
        """The bytes that are there, at most 64 KiB; None when there are none yet. Raises DeviceGone, once all that the
        printer had said is read."""
        try:
            data = self._sock.recv(READ)
        except BlockingIOError:
            return None
        except OSError as error:
            raise DeviceGone(f"usb read from {self.peer}: {self._error or error}") from error
        if not data:
            raise DeviceGone(f"usb read from {self.peer}: {self._error or 'closed'}")
        return data

    def write(self, data: bytes | memoryview) -> int:
        """How many bytes were taken, from the first on; 0 while the printer takes no more."""
        if not self._open:
            return 0
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise DeviceGone(f"usb write to {self.peer}: {self._error or error}") from error

    def close(self) -> None:
        """The printer is given back to the kernel soon after, by the link's own thread. No daemon waits for that: a
        process that ends in the middle of it crashes in libusb."""
        self._sock.close()
        threading.Thread(target=self._end, name=f"usb {self._found.port} closes").start()

    def _end(self) -> None:
        self._interrupt()
        self._lives.join(GIVE_BACK_S)

    def watch(self, tell: Callable[..., None]) -> None:
        """tell(online=, paper=, error=) whenever the port status byte says something new. A printer that has never said
        that all is well, though it may print all the time, is not believed."""
        believed, before = False, -1

        def look() -> dict[str, Any]:
            nonlocal believed
            status = self._port_status()
            believed = believed or status == ALL_WELL
            return port_says(status) if status is not None and believed else {}

        def busy() -> bool:
            nonlocal before
            moved, before = self.taken != before, self.taken
            return moved or self._sending

        self._watch = Watch(f"usb {self._found.port} status", look, busy)
        self._watch.start(tell)

    def _port_status(self) -> int | None:
        """None when it does not answer. Raises OSError once the printer is to be given back."""
        with self._control:
            if self._over:
                raise OSError(errno.ENODEV, "closed")
            try:
                answer = self._device.ctrl_transfer(TO_HOST, GET_PORT_STATUS, 0, self._interface, 1, CONTROL_MS)
                return int(answer[0]) & (ALL_WELL | PAPER_EMPTY)
            except (OSError, IndexError):  # many printers know no such request
                return None

    # ------------------------------------------------------------------ in the threads

    def _live(self) -> None:
        """From opening to giving back. The loop hears of the end only when nothing can be taken any more."""
        try:
            was_kernels = self._take_over()
        except (OSError, ValueError) as error:  # USBError is an OSError
            self._error = f"{error}; {_hint(error)}"
            self._inner.close()
            os.close(self._stop)
            return
        reader = threading.Thread(target=self._from_printer, daemon=True, name=f"usb {self._found.port} answers")
        reader.start()
        self._open = True
        left = self._stuffing
        while left and (data := self._inner.recv(min(left, READ))):
            left -= len(data)
        self._to_printer()
        self._interrupt()
        reader.join()
        self._give_back(was_kernels)
        self._inner.close()
        os.close(self._stop)

    def _take_over(self) -> bool:
        """Open and claim. -> whether the kernel's driver was taken off."""
        import usb.core
        import usb.util

        found = self._found
        device = usb.core.find(bus=found.bus, address=found.address)
        if device is None:
            raise OSError(errno.ENODEV, "it was unplugged")
        interface = _printer_interface(device)
        self._interface = interface.bInterfaceNumber
        points = {bool(p.bEndpointAddress & ENDPOINT_IN): p for p in interface if p.bmAttributes & 3 == BULK}
        if False not in points:
            raise OSError(errno.ENODEV, "it has no bulk endpoint to print to")
        self._out = points[False].bEndpointAddress
        self._into = points[True].bEndpointAddress if True in points else 0
        detached = False
        with contextlib.suppress(NotImplementedError):
            if device.is_kernel_driver_active(self._interface):
                device.detach_kernel_driver(self._interface)
                detached = True
        usb.util.claim_interface(device, self._interface)
        if interface.bAlternateSetting:
            device.set_interface_altsetting(self._interface, interface.bAlternateSetting)
        self._device = device
        self._handle = device._ctx.handle.handle  # pyusb's own write tells no count when it fails: see _put
        self._transfer = device.backend.lib.libusb_bulk_transfer
        with contextlib.suppress(OSError):
            answer = device.ctrl_transfer(TO_HOST, GET_DEVICE_ID, 0, self._interface << 8, 1024, CONTROL_MS)
            self.says = device_id_fields(bytes(answer))
        return detached

    def _give_back(self, detached: bool) -> None:
        import usb.util

        with self._control:
            with contextlib.suppress(OSError):
                usb.util.release_interface(self._device, self._interface)
            if detached:
                with contextlib.suppress(OSError, NotImplementedError):
                    self._device.attach_kernel_driver(self._interface)
            with contextlib.suppress(OSError):
                usb.util.dispose_resources(self._device)

    def _interrupt(self) -> None:
        """End the transfers that are under way: the kernel does that when the interface is released. One that is just
        about to begin takes the interface again by itself, so it is released until none is left."""
        if self._device is None:
            return
        if self._watch is not None:
            self._watch.stop()
        with self._transfers:
            if self._over:
                return
            self._over = True
            os.eventfd_write(self._stop, 1)
            backend, which = self._device.backend, (self._device._ctx.handle, self._interface)
            while True:  # under the lock: what has ended may be given back only afterwards
                with contextlib.suppress(OSError):
                    backend.release_interface(*which)
                if self._transfers.wait_for(lambda: not self._under_way, RELEASE_S):
                    return
                with contextlib.suppress(OSError):
                    backend.claim_interface(*which)  # libusb releases nothing but what it has claimed

    def _to_printer(self) -> None:
        while data := self._next():
            view = memoryview(bytearray(data))
            self._sending = True
            while view and not self._over:
                count, code = self._move(self._out, view)
                self.taken += count
                view = view[count:]
                if code == LIBUSB_PIPE and not self._over:
                    self._clear(self._out)
                elif code:
                    self._error = self._error or _words(self._device, code)
                    return
            self._sending = False

    def _next(self) -> bytes:
        """What the loop has written; b"" at the end."""
        poll = select.poll()
        poll.register(self._inner, select.POLLIN)
        poll.register(self._stop, select.POLLIN)
        poll.poll()
        return b"" if self._over else _received(self._inner)

    def _from_printer(self) -> None:
        if not self._into:
            return
        buffer = bytearray(ANSWER)
        while True:
            count, code = self._move(self._into, memoryview(buffer))
            if count:
                try:
                    self._inner.sendall(buffer[:count])
                except OSError:
                    return
            if code == LIBUSB_PIPE and not self._over:
                self._clear(self._into)
            elif code or self._over:
                self._error = self._error or _words(self._device, code)
                self._interrupt()
                return

    def _move(self, endpoint: int, data: memoryview) -> tuple[int, int]:
        """_put, until the printer is to be given back."""
        with self._transfers:
            if self._over:
                return 0, LIBUSB_INTERRUPTED
            self._under_way += 1
        try:
            return self._put(endpoint, data, 0)
        finally:
            with self._transfers:
                self._under_way -= 1
                self._transfers.notify_all()

    def _put(self, endpoint: int, data: memoryview, timeout_ms: int) -> tuple[int, int]:
        """One bulk transfer, either way; 0 ms waits for ever. -> (bytes that went, libusb's error code or 0).

        libusb called directly: usb.core.Device.write() raises on an error and drops the count of what had gone, and
        just that count keeps a cut cable from losing or doubling bytes.
        """
        went = ctypes.c_int()
        place = (ctypes.c_ubyte * len(data)).from_buffer(data)
        code = self._transfer(self._handle, endpoint, place, len(data), ctypes.byref(went), timeout_ms)
        return went.value, code

    def _clear(self, endpoint: int) -> None:
        with contextlib.suppress(OSError):
            self._device.clear_halt(endpoint)


def _printer_interface(device: Any) -> Any:
    """The interface, and its setting, that takes plain bytes: bidirectional before unidirectional."""
    settings = [i for i in device.get_active_configuration() if i.bInterfaceClass == INTERFACE_CLASS]
    plain = [i for i in settings if i.bInterfaceProtocol in (1, 2)]
    if not settings:
        raise OSError(errno.ENODEV, "it has no printer interface")
    return max(plain or settings, key=lambda i: i.bInterfaceProtocol if i in plain else 0)


def _received(sock: socket.socket) -> bytes:
    try:
        return sock.recv(CHUNK)
    except OSError:
        return b""


def _words(device: Any, code: int) -> str:
    return str(device.backend.lib.libusb_strerror(code).decode()) if code else "closed"


def _hint(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EACCES:
        return "may the relay's user open it? The udev rules of tillwire give USB printers to the group lp"
    if number == errno.EBUSY:
        return "another program has claimed it"
    return "is it switched on, and its cable in?"


def open_printer(url: str) -> UsbLink:
    """Begin to open it. Raises DeviceGone while it is not plugged in, ValueError for a URL that can never work."""
    wanted = parse(url)
    found = find(wanted)
    if found is None:
        raise DeviceGone(f"{url}: no such printer is plugged in; `lsusb` shows what is")
    return UsbLink(wanted, found)


def open_pos(url: str) -> UsbLink:
    raise ValueError(f"{url!r}: a till comes in by gadget://; usb:// is a printer on a cable")
