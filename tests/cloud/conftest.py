"""A whole cloud for the tests: real process, real broker, real database, real HTTP."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.simulators.box import SimulatedBox
from tests.simulators.ports import free_port as free_port

PASSWORD = "correct horse battery"


class Cloud:
    """`tillwire-cloud all` as a child process, with a folder of its own."""

    def __init__(
        self,
        folder: Path,
        store: str | None = None,
        extra: str = "[ingest]\nreread = false\n",
        role: str = "all",
        broker: str = "",
    ) -> None:
        """`broker`: lines of [broker] for one that is not the service's own."""
        self.role = role
        self.folder = folder
        self.http_port, self.mqtt_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.http_port}"
        self.database = folder / "cloud.db"
        self.config = folder / "cloud.toml"
        self.config.write_text(
            f"""
[web]
listen = "127.0.0.1:{self.http_port}"
[broker]
{broker or f'listen = "127.0.0.1:{self.mqtt_port}"'}
dir = "{folder}/broker"
[store]
url = "{store or f"sqlite://{self.database}"}"
{extra}
"""
        )
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "cloud.log"
        self._boxes: list[SimulatedBox] = []

    def start(self) -> Cloud:
        notify = self.folder / "notify"
        notify.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line, self.log.open("ab") as out:
            line.bind(str(notify))
            line.settimeout(0.2)
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cloud", "--config", str(self.config), self.role],
                stdout=out,
                stderr=out,
                env={**os.environ, "NOTIFY_SOCKET": str(notify)},
            )
            end = time.monotonic() + 90  # a loaded machine
            while True:
                try:
                    assert line.recv(100) == b"READY=1"
                    return self
                except TimeoutError:
                    dead = self.process.poll() is not None
                    assert not dead and time.monotonic() < end, self.log.read_text()[-3000:]

    def stop(self, how: int = signal.SIGTERM, within: float = 60) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(within)

    def close(self) -> None:
        for box in self._boxes:
            box.close()
        if self.process is not None and self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise

    def command(self, *words: str, stdin: str = "", fails: bool = False) -> str:
        """A `tillwire-cloud` command -> the last line of its stdout."""
        done = subprocess.run(
            [sys.executable, "-m", "cloud", "--config", str(self.config), *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stderr
        return done.stderr.strip() if fails else (done.stdout.strip().splitlines() or [""])[-1]

    def merchant(self, name: str, user: str) -> httpx.Client:
        """A new merchant -> an API client with a key of theirs."""
        self.command("merchant", "add", name, "--user", user, "--password-stdin", stdin=PASSWORD + "\n")
        key = self.command("key", "add", name)
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {key}"}, timeout=20)

    def box(self, merchant: str, name: str) -> SimulatedBox:
        secret = self.command("box", "add", merchant, name)
        return self.connect(name, secret)

    def connect(self, name: str, secret: str, within: float = 30) -> SimulatedBox:
        """Tries again for a while: a service that shares its database sees a new box within a second."""
        end = time.monotonic() + within
        while True:
            box = SimulatedBox(name, secret, "127.0.0.1", self.mqtt_port)
            try:
                box.ready(1)
                self._boxes.append(box)
                return box
            except AssertionError:
                box.close()
                if time.monotonic() > end:
                    raise

    def log_in(self, user: str, password: str = PASSWORD) -> httpx.Client:
        client = httpx.Client(base_url=self.url, timeout=20)
        answer = client.post("/login", data={"name": user, "password": password})
        assert answer.status_code == 303, answer.text
        return client


def until(true: Callable[[], Any], within: float = 30, every: float = 0.03) -> Any:
    """Poll what has no event of its own -> its first true value."""
    end = time.monotonic() + within
    while True:
        value = true()
        if value:
            return value
        assert time.monotonic() < end, f"it did not happen in {within} s"
        time.sleep(every)


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """One running cloud for the tests of many modules: starting one costs more than most tests."""
    one = Cloud(tmp_path_factory.mktemp("cloud"))
    one.start()
    try:
        yield one
    finally:
        one.close()


@pytest.fixture(scope="session")
def cafe(cloud: Cloud) -> Iterator[httpx.Client]:
    with cloud.merchant("Corner Cafe", "anna") as client:
        cloud.command("box", "add", "Corner Cafe", "cafe-front-1")  # its first: orders that name none print there
        yield client


@pytest.fixture(scope="session")
def front(cloud: Cloud, cafe: httpx.Client) -> SimulatedBox:
    """The box of the cafe, connected."""
    return cloud.box("Corner Cafe", "cafe-front-1")
