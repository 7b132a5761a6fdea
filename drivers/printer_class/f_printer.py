"""The kernel's own printer function (f_printer): the fall-back of drivers/gadget.py where there is no FunctionFS.

Gives   one node, /dev/g_printerN, that can be polled; the link is the port, as with a serial line.
Raises  DeviceGone while no host has configured us, and when it goes: open again.

What it cannot do, and FunctionFS can: data whose length is a multiple of 512 bytes stays in the kernel until one byte
more comes (it waits for a short packet); SOFT_RESET empties its buffers without telling us.
"""

from __future__ import annotations

import fcntl
import os

from drivers import DeviceGone
from drivers.printer_class import port_status
from drivers.printer_class.configfs import Gadget

READ = 65536
SET_PORT_STATUS = 0xC0016722  # linux/usb/g_printer.h; takes the byte itself, not its address


class NodeLink:
    """The open node."""

    def __init__(self, fd: int, peer: str) -> None:
        self._fd, self.peer = fd, peer
        self.taken = 0

    def fileno(self) -> int:
        return self._fd

    def opened(self) -> bool:
        return True

    def read(self) -> bytes | None:
        """The bytes that are there; None when there are none yet."""
        try:
            return os.read(self._fd, READ) or None
        except BlockingIOError:
            return None
        except OSError as error:
            raise DeviceGone(f"gadget read from {self.peer}: {error}; the till is off, or its cable out") from error

    def write(self, data: bytes | memoryview) -> int:
        """How many bytes of an answer were taken; 0 while the host reads no more."""
        try:
            sent = os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise DeviceGone(f"gadget write to {self.peer}: {error}; the till is off, or its cable out") from error
        self.taken += sent
        return sent

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class NodePort:
    """The node is always there once it could be opened: the till comes in once, with it."""

    def __init__(self, link: NodeLink) -> None:
        self._link, self._given = link, False
        self.fileno = link.fileno

    def accept(self) -> NodeLink | None:
        if self._given:
            return None
        self._given = True
        return self._link

    def show(self, *, ready: bool, paper: bool, error: bool) -> None:
        """What GET_PORT_STATUS answers from now on. Closing the node clears "selected" by itself."""
        try:
            fcntl.ioctl(self._link.fileno(), SET_PORT_STATUS, port_status(ready=ready, paper=paper, error=error))
        except OSError:
            pass  # the host has just gone: reading will tell

    def close(self) -> None:
        self._link.close()


def open_node(gadget: Gadget) -> NodePort:
    """Raises DeviceGone while there is no host."""
    try:
        fd = os.open(gadget.node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise DeviceGone(f"gadget open {gadget.node}: {error}; is the cable in, and the till on?") from error
    return NodePort(NodeLink(fd, f"gadget://{gadget.name}"))
