"""Start in order, stop in order: store, broker, workers, web; and back, within ten seconds of SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import sqlalchemy as sa

from cloud import boxes as box_table
from cloud import metrics
from cloud.admin import OPERATIONS
from cloud.admin_door import Door
from cloud.broker import SERVICE, Broker
from cloud.connectors import Connectors
from cloud.dispatch import Dispatch
from cloud.events import Bell
from cloud.house import House
from cloud.ingest import Ingest
from cloud.leases import Leases
from cloud.mqtt import Address
from cloud.notices import Notices
from cloud.reading import Readings
from cloud.standing import Standing
from cloud.store.database import Store
from cloud.webhooks import Webhooks
from cloud.wechat import Linker
from config.cloud import CloudConfig

log = logging.getLogger("cloud")


class Service:
    """One process of the cloud in the role `all`, `web` or `ingest`. `run()` returns when it was told to stop."""

    def __init__(self, config: CloudConfig, role: str) -> None:
        self.config, self.role = config, role
        self.bell = Bell()
        self.stopping = threading.Event()
        self.broker: Broker | None = None
        self.ingest: Ingest | None = None
        self.leases: Leases | None = None
        self._threads: list[threading.Thread] = []

    def run(self) -> None:
        """Raises Busy, StoreAway, BrokerDead, OSError."""
        config = self.config
        external(config)  # a password or a CA that cannot be read is told now
        sys.setswitchinterval(0.0005)  # a page waits for the interpreter at each step of its way; ingest can spare it
        self.store = Store(config.store.url, config.sqlite_path)
        door = None
        standing = Standing(self.store)
        metrics.REGISTRY.register(standing)
        try:
            works = self.role in ("all", "ingest")
            if config.broker.url == "embedded" and works:
                self.broker = Broker(config, lambda: box_table.passwords(self.store))
                self.broker.start()
                self._thread("boxes", self._watch_boxes)
            if config.sqlite_path is not None:
                door = Door(self.store, config.sqlite_path, OPERATIONS, self._administered)
            if works:
                if not self.store.sqlite:
                    self.leases = Leases(self.store, self.bell, self.stopping)
                    self._thread("leases", self.leases.run)
                line = (self.store, config, self._address, self.bell, self.stopping, self.leases)
                self.ingest = Ingest(*line)
                self._thread("ingest", self.ingest.run)
                self._thread("dispatch", Dispatch(*line).run)
                self._thread("house", House(self.store, config, self.bell, self.stopping, self.leases).run)
                line_of_readings = (self.store, config, self.bell, self.stopping, self.leases, self.ingest.busy)
                self._thread("readings", Readings(*line_of_readings).run)
                self._thread("webhooks", Webhooks(self.store, config, self.bell, self.stopping).run)
                self._thread("connectors", Connectors(self.store, config, self.bell, self.stopping).run)
                self._thread("notices", Notices(self.store, config, self.bell, self.stopping).run)
                linker = Linker(self.store, config.webhooks.allow_private, self.bell, self.stopping)
                self._thread("wechat", linker.run)
            if self.role in ("all", "web"):
                from cloud.web import serve

                asyncio.run(serve(self))
            else:
                self._wait()
        finally:
            self.stopping.set()
            self.bell.ring()
            metrics.REGISTRY.unregister(standing)
            if door is not None:
                door.close()
            for thread in self._threads:
                thread.join(5)
            if self.leases is not None:
                self.leases.release()
            if self.broker is not None:
                self.broker.stop()
            self.store.close()
            log.info("stopped")

    def _wait(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stopping.set())
        shown = None
        if self.config.ingest.metrics:
            from cloud.metrics_page import MetricsPage

            shown = MetricsPage(self.config.ingest.metrics, self.works)
        ready()
        while not self.stopping.wait(0.5):
            pass
        if shown is not None:
            shown.close()

    def works(self) -> dict[str, bool]:
        """Name of a part -> whether it works, for /healthz/ready."""
        parts = {"web": True} if self.role in ("all", "web") else {}
        parts["store"] = self.store.answers()
        if self.ingest is not None:
            parts["broker"] = self.ingest.connected.is_set()
            parts["ingest"] = not self.ingest.stuck
        return parts

    def _address(self) -> Address:
        return self.broker.address if self.broker is not None else external(self.config)

    def _administered(self, operation: str) -> None:
        if operation.startswith("box") and operation not in ("box_list", "box_hashes") and self.broker is not None:
            self.broker.reload()
        self.bell.ring()

    def _watch_boxes(self) -> None:
        """Boxes that another process added or revoked (PostgreSQL): the broker's users follow within a second."""
        seen = None
        with self.bell.thread_ear() as ear:
            while not self.stopping.is_set():
                try:
                    now = box_table.passwords(self.store)
                    if seen is not None and now != seen and self.broker is not None:
                        self.broker.reload()
                    seen = now
                except (OSError, sa.exc.SQLAlchemyError) as error:  # OSError: its file cannot be written; tried again
                    log.warning("the broker does not know its boxes: %s", str(error).splitlines()[0])
                self.stopping.wait(0.3)
                ear.wait(0.5)
                ear.clear()

    def _thread(self, name: str, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=self._fenced, args=(name, work), name=name)
        self._threads.append(thread)
        thread.start()

    def _fenced(self, name: str, work: Callable[[], None]) -> None:
        """A worker that fails in a way nobody thought of ends the process: systemd starts it again, nothing is lost."""
        try:
            work()
        except BaseException:
            log.exception("worker %s failed; the service ends", name)
            os.kill(os.getpid(), signal.SIGTERM)
            self.stopping.set()


def external(config: CloudConfig) -> Address:
    """A broker that is not ours."""
    parts = urlsplit(config.broker.url)
    if config.broker.url == "embedded":  # role web: nothing is sent from here
        return Address("127.0.0.1", 0, SERVICE, "")
    secure = parts.scheme == "mqtts"
    password = ""
    if config.broker.password_file:
        lines = Path(config.broker.password_file).read_text().splitlines()
        if not lines:
            raise OSError(f"[broker] password_file = {config.broker.password_file!r} is empty")
        password = lines[0].strip()
    tls = ssl.create_default_context(cafile=config.broker.ca_file or None) if secure else None
    host = parts.hostname or ""
    return Address(host, parts.port or (8883 if secure else 1883), config.broker.username, password, tls)


def ready() -> None:
    """READY=1 to systemd, where it listens (sd_notify(3))."""
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.connect("\0" + path[1:] if path.startswith("@") else path)
            line.sendall(b"READY=1")
    log.info("ready")
