"""The relay as a real process, between a simulated printer and sockets or a pseudo-terminal that play the POS."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.simulators.ports import free_port
from tests.simulators.printer import SimulatedPrinter
from tests.simulators.system import DIE_WITH_PARENT

# Only test_priority.py has real-time priority: a relay that a test floods would keep a core from all the others.
ORDINARY = ["setpriv", "--bounding-set", "-sys_nice", "--inh-caps", "-sys_nice"] if os.geteuid() == 0 else []
LIMIT = 120.0  # seconds that anything may take on a machine that is busy with other things: no test measures time by it


def until(what: Callable[[], Any], within: float = LIMIT) -> Any:
    """Ask until it is true, or AssertionError. -> what it said."""
    end = time.monotonic() + within
    while True:
        if value := what():
            return value
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


class Pos:
    """A POS on TCP or on the master side of a pseudo-terminal."""

    def __init__(self, sock: socket.socket | None = None, fd: int = -1) -> None:
        self.sock, self.fd = sock, sock.fileno() if sock else fd

    def send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            select.select([], [self.fd], [], LIMIT)
            try:
                view = view[os.write(self.fd, view[:65536]) :]
            except BlockingIOError:
                pass

    def read(self, size: int, within: float = LIMIT) -> bytes:
        """Exactly so many bytes of answers."""
        out = b""
        while len(out) < size:
            if not select.select([self.fd], [], [], within)[0]:
                raise AssertionError(f"{len(out)} of {size} bytes came: {out!r}")
            data = os.read(self.fd, size - len(out))
            assert data, f"the relay hung up after {out!r}"
            out += data
        return out

    def hears_nothing(self, for_s: float = 0.2) -> bool:
        return not select.select([self.fd], [], [], for_s)[0]

    def is_hung_up(self, within: float = LIMIT) -> bool:
        if not select.select([self.fd], [], [], within)[0]:
            return False
        try:
            return os.read(self.fd, 1) == b""
        except OSError:
            return True

    def close(self) -> None:
        if self.sock:
            self.sock.close()


class Box:
    """One relay: its configuration, process, journal and control socket."""

    def __init__(self, folder: Path, printers: dict[str, str], **settings: Any) -> None:
        self.folder, self.state = folder, settings.get("state") or folder / "state"
        self.control = str(folder / "r.sock")
        self.ports: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "relay.log"
        lines = [f'[box]\nstate_dir = "{self.state}"\ncontrol = "{self.control}"']
        for name, url in printers.items():
            model = settings.get("model", "auto")
            lines.append(f'[printer.{name}]\nurl = "{url}"\nmodel = "{model}"')
            if lost := settings.get("when_lost"):
                lines.append(f'when_lost = "{lost}"')
        for name, pos in (settings.get("pos") or {"till": {}}).items():
            url = pos.get("url") or f"tcp://127.0.0.1:{free_port()}"
            self.ports[name] = url
            more = "".join(f'{key} = "{value}"\n' for key, value in pos.items() if key != "url")
            lines.append(f'[pos.{name}]\nurl = "{url}"\n{more}')
        capture = "".join(f"{key} = {value}\n" for key, value in settings.get("capture", {}).items())
        lines.append(f"[capture]\n{capture}")
        self.config = folder / "agent.toml"
        self.config.write_text("\n".join(lines))

    def start(self, wait: bool = True, first: str = "", ordinary: bool = True, **env: str) -> Box:
        """`first`: what the relay's process does before it begins, in Python: to break something, or to have time.
        `ordinary`: it may have no real-time priority."""
        command = [*DIE_WITH_PARENT, *(ORDINARY if ordinary else []), sys.executable, "-m", "relay"]
        if first:
            command[-2:] = ["-c", f"{first}\nimport sys\nfrom relay.__main__ import main\nsys.exit(main())"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--config", str(self.config)],
                stderr=log,
                stdout=log,
                env={**os.environ, **env},
            )
        if wait:
            until(lambda: Path(self.control).exists() and self._answers())
        return self

    def _answers(self) -> bool:
        assert self.process and self.process.poll() is None, self.log.read_text()
        try:
            with closing(Agent(self.control)) as agent:
                agent.ask("hello")
        except OSError:
            return False
        return True

    def kill(self, number: int = signal.SIGKILL) -> int:
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(LIMIT)

    def pos(self, name: str = "till") -> Pos:
        host, port = self.ports[name].removeprefix("tcp://").split("?")[0].rsplit(":", 1)
        sock = until(lambda: _connect(host, int(port)))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Pos(sock)

    def agent(self) -> Agent:
        return until(self._reached)

    def _reached(self) -> Agent | None:
        try:
            return Agent(self.control)
        except (FileNotFoundError, ConnectionRefusedError):  # it has only begun; the file may be of the one before
            return None

    def jobs(self, count: int, within: float = LIMIT) -> list[tuple[dict[str, Any], bytes]]:
        """The jobs that are due, once there are so many."""
        with closing(self.agent()) as agent:
            until(lambda: len(agent.jobs()[0]) >= count, within)
            return agent.jobs()[0]

    def until_printer(self, *, connected: bool) -> None:
        with closing(self.agent()) as agent:
            until(lambda: agent.ask("status")["printers"]["main"]["connected"] is connected)

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self.state}/capture.db?mode=ro", uri=True)) as db:
            return db.execute(query).fetchall()

    def counters(self) -> dict[str, int]:
        with closing(self.agent()) as agent:
            return agent.ask("status")["counters"]

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(LIMIT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Agent:
    """The control socket, spoken by hand."""

    def __init__(self, path: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LIMIT)
        self.sock.connect(path)
        self.file = self.sock.makefile("rb")
        self.events: list[dict[str, Any]] = []
        self.n = 0

    def frame(self) -> tuple[dict[str, Any], bytes]:
        line = self.file.readline()
        if not line:
            raise ConnectionError("the relay hung up")
        header = json.loads(line)
        return header, self.file.read(header["bytes"]) if header.get("bytes") else b""

    def request(self, op: str, body: bytes = b"", **fields: Any) -> list[tuple[dict[str, Any], bytes]]:
        self.n += 1
        header = {"n": self.n, "op": op, **fields} | ({"bytes": len(body)} if body else {})
        self.sock.sendall(json.dumps(header).encode() + b"\n" + body)
        frames = []
        while True:
            header, raw = self.frame()
            if "event" in header:
                self.events.append(header)
                continue
            assert header["n"] == self.n
            frames.append((header, raw))
            if "ok" in header or "error" in header:
                return frames

    def ask(self, op: str, body: bytes = b"", **fields: Any) -> dict[str, Any]:
        return self.request(op, body, **fields)[-1][0]

    def jobs(self, **fields: Any) -> tuple[list[tuple[dict[str, Any], bytes]], bool]:
        *jobs, (last, _) = self.request("jobs", **fields)
        assert "ok" in last, last
        return [(header.get("job") or header, raw) for header, raw in jobs], last["more"]

    def event(self, what: Callable[[dict[str, Any]], bool], within: float = LIMIT) -> dict[str, Any]:
        """The first event that fits, past ones included."""
        for event in self.events:
            if what(event):
                return event
        self.sock.settimeout(within)
        try:
            while True:
                header, _ = self.frame()
                self.events.append(header)
                if what(header):
                    return header
        except TimeoutError:
            raise AssertionError(f"no such event; there were {self.events}") from None
        finally:
            self.sock.settimeout(LIMIT)

    def fate(self, slip: str, *states: str, within: float = LIMIT, proof: str | None = None) -> dict[str, Any]:
        """The fate of this slip, once it is one of these."""
        fits = lambda f: f["slip"] == slip and f["state"] in states and proof in (None, f["proof"])  # noqa: E731
        return self.event(lambda e: e["event"] == "fate" and fits(e["fate"]), within)["fate"]

    def close(self) -> None:
        self.file.close()
        self.sock.close()


def _connect(host: str, port: int) -> socket.socket | None:
    try:
        return socket.create_connection((host, port), 5)
    except (ConnectionRefusedError, ConnectionResetError, TimeoutError):  # reset: it was hung up on at once
        return None


@pytest.fixture
def printer() -> Iterator[SimulatedPrinter]:
    with SimulatedPrinter() as printer:
        yield printer


@pytest.fixture
def make_box(tmp_path: Path, printer: SimulatedPrinter) -> Iterator[Callable[..., Box]]:
    boxes: list[Box] = []

    def make(**settings: Any) -> Box:
        start = settings.pop("start", True)
        box = Box(tmp_path, settings.pop("printers", None) or {"main": printer.url}, **settings)
        boxes.append(box)
        return box.start() if start else box

    yield make
    for box in boxes:
        box.stop()


@pytest.fixture
def box(make_box: Callable[..., Box]) -> Box:
    return make_box()


@pytest.fixture
def pty_pair() -> Iterator[tuple[Pos, str]]:
    """A POS at one end of a line, and the path of the other end."""
    master, slave = pty.openpty()
    tty.setraw(master)
    tty.setraw(slave)
    os.set_blocking(master, False)
    yield Pos(fd=master), os.ttyname(slave)
    for fd in (master, slave):
        try:
            os.close(fd)
        except OSError:
            pass
