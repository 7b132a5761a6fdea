"""A simulated ESC/POS printer on TCP or on a pseudo-terminal, with switches for what goes wrong.

It answers DLE EOT 1..4 and DLE ENQ at once, even with its paper out; GS r, GS I, GS ( H fn 48 and GS a when they come
to their turn in the buffer, and those come to nothing while it stands still (paper out, off-line, frozen).
`received` is every byte that reached it, `paper` what it printed, cut into pieces at each cut.

    with SimulatedPrinter() as printer:          # or "pty"
        ... printer.url ...
        printer.wait(lambda: printer.cuts == 1)
        printer.set(paper="out")

As a program: python -m tests.simulators.printer --tcp 127.0.0.1:9100 | --pty LINK
"""

from __future__ import annotations

import argparse
import os
import pty
import selectors
import socket
import struct
import sys
import threading
import time
import traceback
import tty
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from receipt.tokens import Dialect, Effect, Token, Tokenizer
from tests.simulators.ports import hold

BUFFER = 64 * 1024  # received and not printed: more, and it does not read any further


class SimulatedPrinter:
    """Runs in a thread of its own. Attributes may be read at any time; wait() waits for them."""

    def __init__(
        self,
        kind: str = "tcp",
        *,
        model: str = "TM-T88V",
        process_id: bool = True,
        port: int = 0,
        dialect: Dialect = Dialect.AUTO,
    ) -> None:
        self.dialect = dialect  # STAR: a Star printer in Line Mode; ENQ, EOT and ESC ACK SOH are answered at once
        self.kind, self.model, self.process_id = kind, model, process_id
        self.received = bytearray()  # over all connections
        self.streams: list[bytearray] = []  # for each connection
        self.sent = bytearray()
        self.paper: list[bytes] = []  # what was printed, a piece for each cut; the last one is not cut yet
        self.state: dict[str, bytes] = {}  # settings in force
        self.state_at_cut: list[dict[str, bytes]] = []
        self.cuts = self.pulses = self.connections = 0
        self.asked: list[bytes] = []  # real-time questions, in order
        # switches
        self.silent = False  # answers nothing
        self.frozen = False  # reads nothing
        self.swallowing = False  # takes bytes as a print server does for a printer that is off: nothing comes of them
        self.bytes_per_s = 0.0  # 0: at once
        self.status: dict[str, Any] = {"paper": "ok", "online": True, "cover": False, "error": False, "drawer": False}
        self._printing = bytearray()
        self._asb = False
        self._changed = threading.Condition()
        self._calls: list[Callable[[], None]] = []
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, "wake")
        self._listener: socket.socket | None = None
        self._links: list[Any] = []
        self._master = self._slave = -1
        self._address = ("127.0.0.1", hold(port))  # it is ours also while the printer is unplugged
        self._fresh()
        self._plug_in()
        self.url = f"tcp://127.0.0.1:{self._address[1]}" if kind == "tcp" else f"serial://{os.ttyname(self._slave)}"
        self._running = True
        self._thread = threading.Thread(target=self._run, daemon=True, name="printer")
        self._thread.start()

    def __enter__(self) -> SimulatedPrinter:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # ------------------------------------------------------------------ for tests

    def wait(self, what: Callable[[], bool], within: float = 120.0) -> None:
        """Until `what()`, or AssertionError."""
        with self._changed:
            if not self._changed.wait_for(what, within):
                raise AssertionError(
                    f"not within {within} s; the printer has {len(self.received)} bytes, {self.cuts} cuts: "
                    f"…{bytes(self.received[-80:])!r}"
                )

    def printed(self, size: int, within: float = 120.0) -> bytes:
        """What was received, once it is so many bytes."""
        self.wait(lambda: len(self.received) >= size, within)
        return bytes(self.received)

    def set(self, **status: Any) -> None:
        """paper ok|near|out, online, cover, error, drawer."""
        self._do(lambda: self._set(status))

    def _set(self, status: dict[str, Any]) -> None:
        self.status |= status
        if self._asb:
            self._answer(self._asb_bytes())
        self._print()

    def freeze(self) -> None:
        """Stop reading: the peer's bytes pile up."""
        self._do(self._freeze)

    def thaw(self) -> None:
        self._do(self._thaw)

    def unplug(self, *, reset: bool = True) -> None:
        """The connection breaks, and nobody listens any more; the printer stays powered."""
        self._do(lambda: self._unplug(reset))

    def plug_in(self) -> None:
        self._do(self._plug_in)

    def power_cycle(self) -> None:
        """Off: what was not printed is lost, and so is every setting. Plug it in again yourself."""

        def off() -> None:
            self._unplug(True)
            self._fresh()

        self._do(off)

    def say(self, data: bytes) -> None:
        """Bytes that nobody asked for."""
        self._do(lambda: self._send(data))

    def close(self) -> None:
        if self._running:
            self._do(lambda: None, stop=True)
            self._thread.join(5)
            for fd in (self._wake_read, self._wake_write):  # not by its thread: that may end before our byte is written
                os.close(fd)

    def _do(self, call: Callable[[], Any], *, stop: bool = False) -> None:
        """In the printer's thread, and wait until it is done."""
        done = threading.Event()

        def run() -> None:
            call()
            if stop:
                self._running = False
            done.set()

        self._calls.append(run)
        os.write(self._wake_write, b"x")
        if not done.wait(45):
            frame = sys._current_frames().get(self._thread.ident or 0)
            where = "".join(traceback.format_stack(frame)) if frame else "its thread has ended"
            raise AssertionError(f"the simulated printer hangs:\n{where}")

    # ------------------------------------------------------------------ its line

    def _fresh(self) -> None:
        self._tokenizer, self._urgent = Tokenizer(self.dialect), Tokenizer(self.dialect)
        self._printing.clear()
        self._buffer: deque[Token] = deque()
        self._piece = bytearray()
        self.state.clear()
        self._asb = False
        self._last = time.monotonic()

    def _plug_in(self) -> None:
        if self.kind == "tcp":
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(self._address)
            listener.listen(8)
            listener.setblocking(False)
            self._address = listener.getsockname()
            self._listener = listener
            self._selector.register(listener, selectors.EVENT_READ, "accept")
        elif self._master < 0:
            self._master, self._slave = pty.openpty()
            tty.setraw(self._master)
            tty.setraw(self._slave)
            os.set_blocking(self._master, False)
            self._selector.register(self._master, selectors.EVENT_READ, self._master)
            self.connections += 1
            self.streams.append(bytearray())

    def _unplug(self, reset: bool) -> None:
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None
        for link in list(self._links):
            self._read(link)  # what has arrived has arrived
            if link in self._links:
                if reset:
                    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._drop(link)

    def _drop(self, link: Any) -> None:
        if link in self._links:
            self._links.remove(link)
            try:
                self._selector.unregister(link)
            except KeyError:
                pass
            link.close()

    def _freeze(self) -> None:
        self.frozen = True
        for link in [*self._links, *([self._master] if self._master >= 0 else [])]:
            self._selector.unregister(link)

    def _thaw(self) -> None:
        self.frozen = False
        for link in [*self._links, *([self._master] if self._master >= 0 else [])]:
            self._selector.register(link, selectors.EVENT_READ, link)

    def _run(self) -> None:
        while self._running:
            busy = self.bytes_per_s and self._buffer
            for key, _ in self._selector.select(0.02 if busy else None):
                if key.data == "wake":
                    os.read(self._wake_read, 4096)
                elif key.data == "accept":
                    self._accept()
                else:
                    self._read(key.data)
            while self._calls:
                self._calls.pop(0)()
            self._print()
            with self._changed:
                self._changed.notify_all()
        for link in list(self._links):
            self._drop(link)
        if self._listener is not None:
            self._listener.close()
        self._selector.close()
        for fd in (self._master, self._slave):
            if fd >= 0:
                os.close(fd)

    def _accept(self) -> None:
        assert self._listener is not None
        link, _ = self._listener.accept()
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.setblocking(False)
        self.connections += 1
        self.streams.append(bytearray())
        self._links.append(link)
        if not self.frozen:
            self._selector.register(link, selectors.EVENT_READ, link)

    def _read(self, link: Any) -> None:
        try:
            data = os.read(link, 65536) if isinstance(link, int) else link.recv(65536)
            if data and not isinstance(link, int):  # what was read is known to be, also when the line is cut at once
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            if not isinstance(link, int):
                self._drop(link)
            return
        self.received += data
        self.streams[-1] += data
        if self.swallowing:
            return
        for token in self._urgent.feed(data):
            if token.command.effect & Effect.REALTIME:
                self._at_once(token)
        self._buffer += (token for token in self._tokenizer.feed(data) if not token.command.effect & Effect.REALTIME)
        self._print()

    def _send(self, data: bytes) -> None:
        self.sent += data
        if self._master >= 0:
            os.write(self._master, data)
        for link in list(self._links):
            try:
                link.sendall(data)
            except OSError:
                self._drop(link)

    # ------------------------------------------------------------------ what it does

    def _answer(self, data: bytes) -> None:
        if not self.silent:
            self._send(data)

    def _stands(self) -> bool:
        s = self.status
        return s["paper"] == "out" or not s["online"] or s["cover"] or s["error"] or self.frozen

    def _at_once(self, token: Token) -> None:
        self.asked.append(token.raw)
        if token.name == "realtime_status":
            self._answer(bytes([self._eot(token.raw[2])]))
        elif token.name == "realtime_pulse":
            self.pulses += 1
        elif token.name == "star_status":
            self._answer(self._star(token.raw))

    def _star(self, question: bytes) -> bytes:
        """As in Star's Line Mode specification, appendix 2."""
        s = self.status
        paper = {"ok": 0, "near": 0x04, "out": 0x0C}[s["paper"]]
        if question == b"\x04":
            return bytes([0x10 | paper])
        if question == b"\x05":
            return bytes([(0x80 if s["drawer"] else 0) | 0x20 | (paper & 0x08) | (0x04 if s["error"] else 0)])
        first = (0x04 if s["drawer"] else 0) | (0x08 if self._stands() else 0) | (0x20 if s["cover"] else 0)
        return bytes([0x23, 0x06, first, 0x08 if s["error"] else 0, 0, paper, 0, 0, 0])

    def _eot(self, n: int) -> int:
        s = self.status
        if n == 1:
            return 0x12 | (0 if s["drawer"] else 4) | (8 if self._stands() else 0)
        if n == 2:
            return 0x12 | (4 if s["cover"] else 0) | (0x20 if s["paper"] == "out" else 0) | (0x40 if s["error"] else 0)
        if n == 3:
            return 0x12 | (0x40 if s["error"] else 0)
        return 0x12 | {"ok": 0, "near": 0x0C, "out": 0x6C}[s["paper"]]

    def _asb_bytes(self) -> bytes:
        s = self.status
        if self.dialect is Dialect.STAR:
            return self._star(b"\x1b\x06\x01")
        first = 0x10 | (0 if s["drawer"] else 4) | (8 if self._stands() else 0) | (0x20 if s["cover"] else 0)
        return bytes([first, 0x20 if s["error"] else 0, {"ok": 0, "near": 3, "out": 0x0F}[s["paper"]], 0x0F])

    def _print(self) -> None:
        """Work through the buffer, as far as speed and state allow."""
        if self.bytes_per_s:
            now = time.monotonic()
            budget = (now - self._last) * self.bytes_per_s
            if not self._buffer:
                self._last = now
        else:
            budget = 1e18
        while self._buffer and not self._stands() and budget >= len(self._buffer[0].raw):
            token = self._buffer.popleft()
            budget -= len(token.raw)
            self._last += len(token.raw) / self.bytes_per_s if self.bytes_per_s else 0
            self._obey(token)

    def _obey(self, token: Token) -> None:
        raw, effect, s = token.raw, token.command.effect, self.status
        self._piece += raw
        if effect & Effect.INIT:
            self.state.clear()
        elif effect & Effect.STATE:
            self.state[token.name] = raw
        if token.name == "ask_status":
            paper = {"ok": 0, "near": 3, "out": 15}[s["paper"]]
            self._answer(bytes([paper if raw[2] in (1, 49) else 0 if s["drawer"] else 1]))
        elif token.name == "printer_info":
            text = {65: "1.00", 66: "EPSON", 67: self.model, 68: "SIM0001"}.get(raw[2])
            self._answer(b"_" + text.encode() + b"\0" if text else b"\x02")
        elif token.name == "status_back":
            self._asb = raw[3] & 1 == 1 if self.dialect is Dialect.STAR else raw[2] != 0
            if self._asb:
                self._answer(self._asb_bytes())
        elif token.name == "process_id" and self.process_id:
            self._answer(b"\x37\x22" + raw[7:11] + b"\0")
        if effect & Effect.PULSES:
            self.pulses += 1
        if effect & Effect.CUTS:
            self.cuts += 1
            self.paper.append(bytes(self._piece))
            self.state_at_cut.append(dict(self.state))
            self._piece.clear()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    line = parser.add_mutually_exclusive_group(required=True)
    line.add_argument("--tcp", metavar="HOST:PORT")
    line.add_argument("--pty", metavar="LINK", help="a symbolic link to make to the pseudo-terminal")
    parser.add_argument("--model", default="TM-T88V")
    parser.add_argument("--slow", type=float, default=0, metavar="N", help="print N bytes a second")
    args = parser.parse_args()
    port = int(args.tcp.rsplit(":", 1)[1]) if args.tcp else 0
    printer = SimulatedPrinter("tcp" if args.tcp else "pty", model=args.model, port=port)
    printer.bytes_per_s = args.slow
    if args.pty:
        link = Path(args.pty)
        link.unlink(missing_ok=True)
        link.symlink_to(printer.url.removeprefix("serial://"))
    print(f"printing on {printer.url}", file=sys.stderr)
    try:
        seen = 0
        while True:
            printer.wait(lambda seen=seen: printer.cuts > seen, within=86_400)  # type: ignore[misc]
            while seen < printer.cuts:
                print(f"--- paper {seen + 1}: {len(printer.paper[seen])} bytes", flush=True)
                seen += 1
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
