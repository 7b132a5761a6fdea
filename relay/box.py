"""The relay put together: printers, POS ports, journal, slips and control socket of one box, on one loop."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from config import reload as reloading
from config.box import Box, Pos
from config.models import load_model
from drivers import DeviceGone, Port, open_pos
from relay import models, priority
from relay.control import Server
from relay.counters import Counters
from relay.cut import Settings
from relay.desk import Desk
from relay.fates import Fate
from relay.journal import Journal
from relay.link import PosLink
from relay.loop import IN, Loop
from relay.printer import RETRY_FIRST_S, RETRY_MOST_S, PrinterLink
from relay.slips import Slips
from relay.store import Key

EXPIRE_MOST_S = 3600.0
IDLE_S = 10.0  # a POS link that has sent nothing for so long gives way to another, when there are too many
log = logging.getLogger("relay")


class PosPort:
    """Where one configured POS comes in; opened again while it cannot be."""

    def __init__(self, relay: Relay, name: str, settings: Pos) -> None:
        self.relay, self.name, self.settings = relay, name, settings
        self.printer = relay.printers[settings.printer]
        self.links: list[PosLink] = []
        self.counters = Counters()
        self._port: Port | None = None
        self._retry_s = RETRY_FIRST_S
        self._fd = -1

    def open(self) -> None:
        try:
            self._port = open_pos(self.settings.url)
        except DeviceGone as error:
            if self._retry_s == RETRY_FIRST_S:
                log.warning("pos=%s cannot_open=%s trying_again=yes", self.name, error)
            self.relay.loop.after(self._retry_s, self.open)
            self._retry_s = min(self._retry_s * 2, RETRY_MOST_S)
            return
        self._retry_s = RETRY_FIRST_S
        log.info("pos=%s open=%s", self.name, self.settings.url)
        self._fd = self._port.fileno()
        if hasattr(self._port, "make_room"):
            self._port.make_room = self._make_room
        self.relay.loop.watch(self._fd, IN, self._accept)
        self.show()

    def show(self) -> None:
        """Tell the POS how its printer is, where its line can without being asked."""
        show = getattr(self._port, "show", None)
        if show is not None:
            known = self.printer.router.status
            ready = self.printer.up and known.online is not False
            show(there=self.printer.up, ready=ready, paper=known.paper != "out", error=bool(known.error))

    def _accept(self, events: int) -> None:
        assert self._port is not None
        relay = self.relay
        try:
            link = self._port.accept()
        except DeviceGone as error:
            self._lost(error)
            return
        if link is None:
            return
        if link.fileno() == self._fd:  # a line: from now on it is the link's
            relay.loop.forget(self._fd)
        log.info("pos=%s connected=%s", self.name, link.peer)
        pos = PosLink(
            relay.loop, self.name, link, self.printer, relay.journal, relay.settings, self.counters,
            when_gone=self.settings.when_gone, captured=relay.tell_captured, closed=self._closed,
        )  # fmt: skip
        if not pos.closed:
            self.links.append(pos)
            self.counters.pos_connected += 1
            relay.control_tell({"event": "pos", "name": self.name, "connected": True})

    def _make_room(self) -> bool:
        """One connection too many: does one of those that are open do nothing? -> whether it was let go."""
        silent = [(link.idle_s() or 0.0, number) for number, link in enumerate(self.links)]
        idle, number = max(silent, default=(0.0, 0))
        if idle < IDLE_S:
            return False
        self.links[number].let_go()
        return True

    def _closed(self, link: PosLink) -> None:
        if link in self.links:
            self.links.remove(link)
        log.info("pos=%s disconnected=%s bytes=%d", self.name, link.link.peer, link.bytes_in)
        self.relay.control_tell({"event": "pos", "name": self.name, "connected": bool(self.links)})
        stays = getattr(self._port, "outlives_links", urlsplit(self.settings.url).scheme in ("tcp", "file"))
        if not stays and not self.relay.stopping:
            self._lost(DeviceGone("the line is gone"))

    def _lost(self, error: Exception) -> None:
        """The line itself is gone, not just a POS on it."""
        if self._port is not None:
            self.relay.loop.forget(self._fd)
            self._port.close()
            self._port = None
        self.relay.loop.after(self._retry_s, self.open)

    def close(self) -> None:
        if self._port is not None:
            self.relay.loop.forget(self._fd)
            self._port.close()
            self._port = None

    def status(self) -> dict[str, Any]:
        return {
            "connected": bool(self.links),
            "links": len(self.links),
            "printer": self.printer.name,
            "bytes": sum(link.bytes_in for link in self.links),
            "refused": getattr(self._port, "refused", 0),
            "counters": self.counted(),
        }

    def counted(self) -> dict[str, int]:
        """Its counters, as far as they are not zero."""
        more = {
            "bytes_down": self.counters.bytes_down + sum(link.bytes_in for link in self.links),
            "pos_refused": getattr(self._port, "refused", 0),
        }
        return self.counters.counted() | {name: value for name, value in more.items() if value}


class Relay:
    def __init__(self, box: Box, config_problems: Sequence[str] = (), config: str = "") -> None:
        """`config_problems`: why `box` is not what agent.toml says now, but what last worked. `config`: the file, which
        SIGHUP reads again."""
        self.box, self.loop, self.config = box, Loop(), config
        self.config_problems = list(config_problems)
        self.stopping = False
        self.began = monotonic()
        self.priorities_lost = 0
        capture = box.capture
        self.settings = Settings(capture.hold_cut_ms / 1000, capture.quiet_ms / 1000)
        self.journal = Journal(
            Path(box.box.state_dir), self.loop, keep_days=capture.keep_days, quota=capture.quota_mb << 20
        )
        self.journal.on_salvaged = lambda: self.control_tell({"event": "salvaged"})
        self.printers = {
            name: PrinterLink(
                self.loop, name, printer.url, load_model(models.by_device(printer.url, printer.model)), Counters(),
                self._printer_changed, reprints=printer.when_lost == "reprint", interrupted=self._interrupted,
            )
            for name, printer in box.printer.items()
        }  # fmt: skip
        for name, printer in self.printers.items():
            printer.model_is_ours = box.printer[name].model == "auto" and printer.model.name == "generic"
        self.slips = {
            name: Slips(self.loop, printer, self.journal, printer.counters, self.tell_fate)
            for name, printer in self.printers.items()
        }
        self.ports = [PosPort(self, name, pos) for name, pos in box.pos.items()]
        self.control: Server | None = None
        self._expire_timer: Any = None

    # ------------------------------------------------------------------ start and stop

    def start(self) -> None:
        """Printing first: devices, then the journal, then the control socket. Raises AlreadyRunning, ValueError."""
        self.journal.lock()
        priority.claim(self._priority_lost)
        for printer in self.printers.values():
            printer.open()
        for port in self.ports:
            port.open()
        self.journal.start()
        self.journal.read(models.recall, self._recalled)
        self.journal.do(
            lambda store: (store.fates.cut_short(), store.fates.queued(), store.fates.answering()), self._queue_slips
        )
        try:
            self.control = Server(self.loop, self.box.box.control, Desk(self))
        except OSError as error:
            log.error("control=%s error=%s hint=printing goes on; no agent can connect", self.box.box.control, error)
        self._expire()
        self.loop.on_signals(self._signalled, signal.SIGTERM, signal.SIGINT)
        self.loop.on_signals(lambda number: self._reload(), signal.SIGHUP)
        notify("READY=1")
        watchdog = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6
        if watchdog:
            self._watchdog(watchdog / 2)

    def run(self) -> None:
        self.loop.run()

    def _watchdog(self, every_s: float) -> None:
        notify("WATCHDOG=1")
        self.loop.after(every_s, lambda: self._watchdog(every_s))

    def _signalled(self, number: int) -> None:
        if self.stopping:
            return
        log.info("stopping signal=%d", number)
        self.stopping = True
        notify("STOPPING=1")
        for port in self.ports:
            port.close()
        self._stop_when_written(monotonic() + 2.0)

    def _reload(self) -> None:
        """What can change while it runs does, the rest is said. The file is read beside the loop: disks are slow."""

        def read() -> None:
            priority.ordinary()
            found = reloading.reload(self.config, self.box, "tillwire-relay")
            self.loop.soon(lambda: taken(found))

        def taken(found: reloading.Changes) -> None:
            reloading.say(self.config, "tillwire-relay", found)
            self.box = found.box
            self.config_problems = list(found.wrong.problems) if found.wrong else []

        threading.Thread(target=read, daemon=True, name="reload").start()

    def _stop_when_written(self, until: float) -> None:
        """What was taken from a POS is written, where the printer takes it; then everything is committed."""
        busy = any(printer.up and not printer.all_taken for printer in self.printers.values()) or any(
            link.held and link.printer.up for port in self.ports for link in port.links
        )
        if busy and monotonic() < until:
            self.loop.after(0.02, lambda: self._stop_when_written(until))
            return
        for port in self.ports:
            for link in tuple(port.links):
                link.stop()
        self.loop.stop()

    def close(self) -> None:
        if self.control is not None:
            self.control.close()
        self.journal.stop(5.0)
        for printer in self.printers.values():
            printer.close()

    def _queue_slips(self, found: tuple[list[dict[str, Any]], list[dict[str, Any]], list[str]]) -> None:
        cut_short, queued, answering = found
        for name in answering:
            if name in self.slips:
                self.slips[name].has_answered = True
        for slip in cut_short:
            self.slips.get(slip["printer"], next(iter(self.slips.values()))).resume(slip)
        for slip in queued:
            if slip["printer"] in self.slips:
                self.slips[slip["printer"]].add(slip)

    # ------------------------------------------------------------------ telling

    def control_tell(self, event: dict[str, Any]) -> None:
        if self.control is not None:
            self.control.tell(event)

    def tell_captured(self, key: Key) -> None:
        self.control_tell({"event": "captured", "key": key})

    def tell_fate(self, fate: Fate) -> None:
        self.control_tell({"event": "fate", "fate": fate})

    def _printer_changed(self, printer: PrinterLink) -> None:
        self.control_tell({"event": "printer", "name": printer.name, "status": printer.status()})
        for port in self.ports:
            if port.printer is printer:
                port.show()
        if printer.name in self.slips:
            self.slips[printer.name].check()

    def _interrupted(self, printer: PrinterLink, link: PosLink, how: str) -> None:
        log.warning("printer=%s pos=%s job=interrupted then=%s", printer.name, link.name, how)
        self.control_tell({"event": "interrupted", "printer": printer.name, "pos": link.name, "then": how})

    def status(self) -> dict[str, Any]:
        counters = (
            vars(Counters())
            | self.journal.counters
            | {"loop_turns": self.loop.turns, "priority_lost": self.priorities_lost}
        )
        for counted in [p.counted() for p in self.printers.values()] + [p.counted() for p in self.ports]:
            for name, value in counted.items():
                counters[name] += value
        return {
            "printers": {name: p.status() | {"counters": p.counted()} for name, p in self.printers.items()},
            "pos": {port.name: port.status() for port in self.ports},
            "counters": counters,
            "capture": "degraded" if self.journal.degraded or any(self._broken()) else "ok",
            "config_problems": self.config_problems[:5],
            "priority": "real-time" if priority.granted() else "ordinary",
            "up_s": round(monotonic() - self.began, 1),
        }

    def _priority_lost(self) -> None:
        self.priorities_lost += 1

    def _broken(self) -> list[bool]:
        return [link.capture.broken for port in self.ports for link in port.links]

    # ------------------------------------------------------------------ housekeeping

    def expire_soon(self) -> None:
        """Something was released: its time to be deleted may have come."""
        if self._expire_timer is not None:
            self._expire_timer.cancel()
        self._expire_timer = self.loop.after(min(self.journal.keep_ms / 1000, 0.2), self._expire)

    def _expire(self) -> None:
        self.journal.do(lambda store: store.expire(self.journal.keep_ms, self.journal.quota), self._expired)

    def _expired(self, result: tuple[int, float | None]) -> None:
        gone, next_ms = result
        if gone:
            log.info("deleted=%d reason=acknowledged and kept long enough", gone)
        if self._expire_timer is not None:
            self._expire_timer.cancel()
        self._expire_timer = None
        if next_ms is not None:
            self._expire_timer = self.loop.after(min(max(next_ms / 1000, 0.05), EXPIRE_MOST_S), self._expire)

    # ------------------------------------------------------------------ devices

    def ask_printers(self, done: Callable[[], None]) -> None:
        """Ask those printers that stand between jobs how they are."""
        from relay.probe import ask_all

        ask_all(self, done)

    def probe(self, url: str, done: Callable[[list[dict[str, Any]]], None], *, gently: bool = False) -> None:
        from relay.probe import probe

        def found(devices: list[dict[str, Any]]) -> None:
            for told in devices:
                if told["says"]:
                    models.apply(self.printers[told["name"]], told)
                    self.journal.do(lambda store, told=told: models.remember(store, told))  # type: ignore[misc]
            done(devices)

        probe(self, url, found, gently=gently)

    def _recalled(self, found: list[dict[str, Any]]) -> None:
        for told in found:
            printer = self.printers.get(told["name"])
            if printer is not None and printer.url == told["url"]:
                models.apply(printer, told)


def notify(text: str) -> None:
    """Tell systemd, where it listens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)  # systemd may be busy: it keeps a few messages, and the print path waits for nobody
        try:
            sock.sendto(text.encode(), "\0" + address[1:] if address[0] == "@" else address)
        except OSError as error:
            log.warning("sd_notify=%s error=%s", text, error)
