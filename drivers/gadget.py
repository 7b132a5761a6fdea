"""gadget: the board as a USB printer, seen by a till on the other end of its USB cable. POS side only.

URL     gadget:// or gadget://NAME?vid=04b8&pid=0e15&serial=1&maker=…&product=…&id=MFG:…;MDL:…;&udc=…&function=auto
        What the board says it is: `tillwire-gadget` (root) has made it before; the URL must be the same for both.
Gives   a port whose link is the till's; hosts that come and go are links that come and go. show() is what the till
        sees of the printer without asking the printer: the port status byte, answered live.
Raises  DeviceGone while the gadget is not set up, used by another process, or has no socket to be bound to.

FunctionFS endpoints cannot be polled: each has a thread that only blocks in the kernel, behind a socketpair with a
small buffer, so that a till is held back as soon as the relay reads no more. Data is read a packet at a time: a longer
read would wait for a short packet behind data that is a multiple of 512 bytes. Bytes that the till has sent are never
dropped, not by SOFT_RESET either: that is counted and acknowledged. There is no hanging up on a till: it is held back,
and its status byte says why. A process that dies takes the gadget off the bus:
the till sees the printer unplugged, not one that swallows.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from drivers import DeviceGone
from drivers.printer_class import device_id, port_status
from drivers.printer_class.configfs import parse
from drivers.printer_class.functionfs import HIGH_SPEED_PACKET, Control, Event

READ = 65536
BUFFER = 8192  # bytes on their way in, and as many answers on their way out
UNCONFIGURED = port_status(ready=False, paper=True, error=False)


class GadgetLink:
    """One time that the host has configured us, until it resets, unplugs or is switched off."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self._sock, self.inner = socket.socketpair()
        for sock in (self._sock, self.inner):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        self._sock.setblocking(False)
        self.fileno = self._sock.fileno
        self.taken = 0  # answers that the host has read
        self._sending = threading.Lock()
        self._over = False

    def opened(self) -> bool:
        return True

    def read(self) -> bytes | None:
        """The bytes that are there, at most 64 KiB; None when there are none yet; b"" once the host is gone."""
        try:
            return self._sock.recv(READ)
        except BlockingIOError:
            return None
        except OSError as error:
            raise DeviceGone(f"gadget read from {self.peer}: {error}") from error

    def write(self, data: bytes | memoryview) -> int:
        """How many bytes of an answer were taken, from the first on; 0 while the host reads no more."""
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise DeviceGone(f"gadget write to {self.peer}: {error}") from error

    def close(self) -> None:
        self._sock.close()
        self.end()

    # ------------------------------------------------------------------ in the port's threads

    @property
    def over(self) -> bool:
        return self._over

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """While something of the host's may be on its way to here: an end waits for it."""
        with self._sending:
            yield
        if self._over:
            self._finish()

    def give(self, data: bytes) -> bool:
        """What the host has sent, within `open()`. Waits while the relay reads no more. False: the relay has let go of
        this link."""
        try:
            self.inner.sendall(data)
        except OSError:
            self._over = True
            return False
        return True

    def end(self) -> None:
        """The host is gone. What it had sent is still to be read."""
        self._over = True
        if self._sending.acquire(blocking=False):
            try:
                self._finish()
            finally:
                self._sending.release()

    def _finish(self) -> None:
        try:
            self.inner.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the relay has closed its end


class GadgetPort:
    """The board's USB socket. Three threads: requests of the host, its data, our answers."""

    outlives_links = True

    def __init__(self, mount: Path, udc_file: Path, udc: str, identity: bytes, name: str) -> None:
        self._udc_file, self._udc, self._name = udc_file, udc, name
        self._ready = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC | os.EFD_SEMAPHORE)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._waiting: deque[GadgetLink] = deque()  # links that nobody has accepted yet
        self._link: GadgetLink | None = None
        self._news = threading.Condition()  # a link, the host, or the end
        self._enabled = self._closing = self._dead = False
        self._hosts = 0
        self._events_lock = threading.Lock()
        self._fds = [os.open(mount / "ep0", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)]
        try:
            self.control = Control(self._fds[0], identity, UNCONFIGURED)
            self.control.begin()
            for endpoint in ("ep1", "ep2"):
                self._fds.append(os.open(mount / endpoint, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
            self._bind(udc)
        except BaseException:
            self._close_files()
            raise
        calls = {"control": self._watch_control, "to host": self._to_host, "from host": self._from_host}
        self._threads = [
            threading.Thread(target=call, daemon=True, name=f"gadget {name} {what}") for what, call in calls.items()
        ]
        for thread in self._threads:
            thread.start()

    def fileno(self) -> int:
        return self._ready

    def accept(self) -> GadgetLink | None:
        """The host that has just configured us, once fileno() is readable. Raises DeviceGone."""
        if self._dead:
            raise DeviceGone(f"gadget://{self._name}: it was taken down")
        try:
            os.eventfd_read(self._ready)
            return self._waiting.popleft()
        except (BlockingIOError, IndexError):
            return None

    def show(self, *, there: bool, ready: bool, paper: bool, error: bool) -> None:
        """What GET_PORT_STATUS answers from now on."""
        self.control.status = port_status(ready=ready, paper=paper, error=error)

    @property
    def resets(self) -> int:
        """Times that the till has sent SOFT_RESET."""
        return self.control.resets

    def close(self) -> None:
        """Off the bus; what the till has sent stays to be read from its link."""
        with self._news:
            if self._closing:
                return
            self._closing = True
            self._news.notify_all()
        self._bind_quietly("")  # ends what the threads wait for
        os.eventfd_write(self._wake, 1)
        threading.Thread(target=self._let_go, daemon=True, name=f"gadget {self._name} closes").start()

    def _let_go(self) -> None:
        for thread in self._threads:
            thread.join()
        self._close_files()

    def _close_files(self) -> None:
        for fd in (*self._fds, self._ready, self._wake):
            os.close(fd)
        self._fds = []

    def _bind(self, udc: str) -> None:
        self._udc_file.write_text(f"{udc}\n")

    def _bind_quietly(self, udc: str) -> None:
        try:
            self._bind(udc)
        except OSError:  # it is so already, or the tree is gone
            pass

    # ------------------------------------------------------------------ threads

    def _watch_control(self) -> None:
        poll = select.poll()
        poll.register(self._fds[0], select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while not (self._closing or self._dead):
            poll.poll()
            self._heed()

    def _heed(self) -> None:
        """Everything that is known of the host by now."""
        with self._events_lock:
            try:
                events = self.control.events()
            except OSError:  # somebody has taken the gadget's tree away
                self._dead = True
                self._end_link()
                os.eventfd_write(self._ready, 1)
                return
            for event in events:
                if event is Event.ENABLE:
                    self._end_link()
                    self._hosts += 1
                    self._begin_link()
                elif event in (Event.DISABLE, Event.UNBIND):
                    self._end_link()
                    with self._news:
                        self._enabled = False

    def _begin_link(self) -> GadgetLink:
        link = GadgetLink(f"gadget://{self._name} host {self._hosts}")
        with self._news:
            self._link, self._enabled = link, True
            self._news.notify_all()
        self._waiting.append(link)
        os.eventfd_write(self._ready, 1)
        return link

    def _end_link(self) -> None:
        with self._news:
            link, self._link = self._link, None
        if link is not None:
            link.end()

    def _from_host(self) -> None:
        self._pass_on(self._fds[2])
        self._end_link()  # not earlier: what was read is given first

    def _pass_on(self, out: int) -> None:
        while self._wait(lambda: self._enabled):
            link = self._link
            with link.open() if link else contextlib.nullcontext():
                try:
                    data = os.read(out, HIGH_SPEED_PACKET)
                except OSError:  # the host is gone: an event says so too, and may come a little later
                    data = None
                if data:
                    self._heed()  # a host that has just come was announced before its first byte
                    if link and self._link in (None, link) and link.give(data):  # also its last one, when it has gone
                        continue
            if data is None:
                self._pause()
            elif data:  # b"" is a packet of no length, which ends a transfer
                self._begin_with(data)

    def _begin_with(self, data: bytes) -> None:
        """The host is another one, or the relay has let go of its link: the till goes on in a new one."""
        given = False
        while not (given or self._closing):
            link = self._link or self._begin_link()
            with link.open():
                given = not link.over and link.give(data)
            if not given:
                with self._news:
                    if self._link is link:
                        self._link = None

    def _to_host(self) -> None:
        into, link = self._fds[1], self._link_after(None)
        while link is not None:
            while answer := _received(link.inner):
                try:
                    if not link.over:
                        link.taken += os.write(into, answer)
                except OSError:  # the host is gone, and reads this no more
                    pass
            link = self._link_after(link)

    def _link_after(self, last: GadgetLink | None) -> GadgetLink | None:
        """The next one, once it is there; None at the end."""
        self._wait(lambda: self._link not in (None, last))
        return None if self._closing else self._link or last

    def _wait(self, what: Callable[[], bool]) -> bool:
        with self._news:
            self._news.wait_for(lambda: self._closing or what())
        return not self._closing

    def _pause(self) -> None:
        """Until the events have told what an error means."""
        self._heed()
        with self._news:
            self._news.wait(0.02)


def _received(sock: socket.socket) -> bytes:
    try:
        return sock.recv(HIGH_SPEED_PACKET)
    except OSError:
        return b""


def open_pos(url: str) -> GadgetPort:
    """Onto the bus. Raises DeviceGone while that cannot be done, ValueError for a URL that can never work."""
    gadget = parse(url)
    if not (gadget.mount / "ep0").exists():
        if gadget.node.exists():
            from drivers.printer_class.f_printer import open_node

            return open_node(gadget)  # type: ignore[return-value]
        raise DeviceGone(f"{url}: the gadget is not set up; is tillwire-gadget.service running? Its log says why not")
    udc = gadget.find_udc()
    if not udc:
        raise DeviceGone(f"{url}: this board has no USB socket that can be a device (nothing in /sys/class/udc)")
    try:
        return GadgetPort(gadget.mount, gadget.tree / "UDC", udc, device_id(gadget.device_id), gadget.name)
    except OSError as error:
        raise DeviceGone(f"{url}: {error}; does another process use it, or another gadget the socket {udc}?") from error


def open_printer(url: str) -> GadgetPort:
    raise ValueError(f"{url!r}: the board is a printer there, for a till; write usb:// for a printer on a USB cable")
