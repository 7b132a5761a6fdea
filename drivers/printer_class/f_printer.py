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
from drivers.lines import Line, LinePort
from drivers.printer_class import port_status
from drivers.printer_class.configfs import Gadget

SET_PORT_STATUS = 0xC0016722  # linux/usb/g_printer.h; takes the byte itself, not its address


class NodeLink(Line):
    """The open node."""

    ends = False


class NodePort(LinePort[NodeLink]):
    def show(self, *, there: bool, ready: bool, paper: bool, error: bool) -> None:
        """What GET_PORT_STATUS answers from now on. Closing the node clears "selected" by itself."""
        try:
            fcntl.ioctl(self._link.fileno(), SET_PORT_STATUS, port_status(ready=ready, paper=paper, error=error))
        except OSError:
            pass  # the host has just gone: reading will tell


def open_node(gadget: Gadget) -> NodePort:
    """Raises DeviceGone while there is no host."""
    try:
        fd = os.open(gadget.node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise DeviceGone(f"gadget open {gadget.node}: {error}; is the cable in, and the till on?") from error
    return NodePort(NodeLink(fd, "gadget", f"gadget://{gadget.name}", "the till is off, or its cable out"))
