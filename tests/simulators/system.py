"""The whole system as real processes in one folder: broker, cloud, relay, agent. For scenes, benches and the demo.

Every process has its own log in the folder, can be killed with SIGKILL and started again, and is gone when the system
is closed. Nothing here reaches into the programs: they are configured by their files, and asked over their doors.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from tests.simulators.ports import free_port as free_port

BIN = Path(sys.executable).parent
BOX = "shop42-front"
MERCHANT, USER, PASSWORD = "Harbour Coffee", "ann", "correct horse battery"
DIE_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL"]  # util-linux: a test run that is killed leaves nothing behind
T = TypeVar("T")


def until(check: Callable[[], T | None], within: float, what: str) -> T:
    """Wait for `check` to say something; TimeoutError, naming `what`, when it has not within so many seconds."""
    end = time.monotonic() + within
    while True:
        if found := check():
            return found
        if time.monotonic() > end:
            raise TimeoutError(f"not within {within:g} s: {what}")
        time.sleep(0.01)


def listens(port: int) -> bool:
    with socket.socket() as s:
        s.settimeout(0.2)
        return s.connect_ex(("127.0.0.1", port)) == 0


def table(values: dict[str, Any]) -> str:
    """TOML lines of simple values; JSON's texts, numbers and booleans are TOML's."""
    return "".join(f"{k} = {json.dumps(v)}\n" for k, v in values.items())


class System:
    """
    printers, pos   name -> URL, as in agent.toml
    broker          "embedded": inside the cloud; "nats": a process of its own, that can be killed apart
    box             further sections of agent.toml, name -> values
    """

    def __init__(
        self,
        folder: Path,
        *,
        printers: dict[str, str],
        pos: dict[str, str],
        broker: str = "embedded",
        box: dict[str, dict[str, Any]] | None = None,
        env: dict[str, str] | None = None,
    ) -> None:
        self.folder, self.broker = folder, broker
        folder.mkdir(parents=True, exist_ok=True)
        self.mqtt_port, self.web_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.web_port}"
        self.env = {**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.inside: dict[str, list[str]] = {}  # what a process is started by: a namespace (tests/simulators/line.py)
        self.key = ""
        self._configure(printers, pos, box or {})

    # ---- configuration

    @property
    def cloud_toml(self) -> Path:
        return self.folder / "cloud.toml"

    @property
    def agent_toml(self) -> Path:
        return self.folder / "agent.toml"

    @property
    def cloud_db(self) -> Path:
        return self.folder / "cloud" / "cloud.db"

    @property
    def capture_db(self) -> Path:
        return self.folder / "box" / "capture.db"

    def _configure(self, printers: dict[str, str], pos: dict[str, str], box: dict[str, dict[str, Any]]) -> None:
        for part in ("cloud", "box"):
            (self.folder / part).mkdir(exist_ok=True)
        url = "embedded" if self.broker == "embedded" else f"mqtt://127.0.0.1:{self.mqtt_port}"
        self.cloud_toml.write_text(
            "[web]\n"
            + table({"listen": f"127.0.0.1:{self.web_port}"})
            + "[broker]\n"
            + table({"url": url, "listen": f"127.0.0.1:{self.mqtt_port}"})
            + "[store]\n"
            + table({"url": f"sqlite://{self.cloud_db}"})
        )
        password = self.folder / "password"
        sections: dict[str, dict[str, Any]] = {
            "box": {"id": BOX, "state_dir": str(self.folder / "box"), "control": str(self.folder / "relay.sock")},
            **{f"printer.{name}": {"url": url} for name, url in printers.items()},
            **{f"pos.{name}": {"url": url, "printer": next(iter(printers))} for name, url in pos.items()},
            "capture": {"keep_days": 0},
            "cloud": {"broker": f"mqtt://127.0.0.1:{self.mqtt_port}", "password_file": str(password)},
            "alerts": {"sound": False},
        }
        for name, values in box.items():
            sections[name] = {**sections.get(name, {}), **values}
        self.agent_toml.write_text("".join(f"[{name}]\n{table(values)}" for name, values in sections.items()))

    def cloud_command(self, *words: str, stdin: str = "") -> str:
        """A tillwire-cloud command; its last line."""
        command = [str(BIN / "tillwire-cloud"), "--config", str(self.cloud_toml), *words]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, env=self.env, timeout=180)
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return (done.stdout.strip().splitlines() or [""])[-1]

    def set_up(self) -> None:
        """What a fresh installation needs: a merchant with a user, an API key, and the box with its password."""
        self.cloud_command("merchant", "add", MERCHANT, "--user", USER, "--password-stdin", stdin=PASSWORD + "\n")
        self.key = self.cloud_command("key", "add", MERCHANT)
        password = self.folder / "password"
        password.touch(0o600)
        password.write_text(self.cloud_command("box", "add", MERCHANT, BOX) + "\n")

    # ---- processes

    def start(self, *names: str) -> System:
        for name in names or self.names:
            log = (self.folder / f"{name}.log").open("ab")
            command = [*DIE_WITH_PARENT, *self.inside.get(name, ()), *self._command(name)]
            self.running[name] = subprocess.Popen(
                command, stdout=log, stderr=log, env=self.env, cwd=self.folder, start_new_session=True
            )
            log.close()
            until(lambda name=name: self._ready(name), 120, f"{name} is ready ({self.folder / name}.log)")
        return self

    @property
    def names(self) -> list[str]:
        return [*(["broker"] if self.broker != "embedded" else []), "cloud", "relay", "agent"]

    def _command(self, name: str) -> list[str]:
        if name == "cloud":
            return [str(BIN / "tillwire-cloud"), "--config", str(self.cloud_toml), "all"]
        if name in ("relay", "agent"):
            return [str(BIN / f"tillwire-{name}"), "--config", str(self.agent_toml)]
        folder = self.folder / "nats"
        folder.mkdir(exist_ok=True)
        (folder / "nats.conf").write_text(
            f'server_name: scene\nlisten: "127.0.0.1:{free_port()}"\nmax_payload: 8MB\n'
            f'jetstream {{ store_dir: "{folder}", max_mem: 128MB, max_file: 2GB }}\n'
            f'mqtt {{ listen: "127.0.0.1:{self.mqtt_port}", ack_wait: "5s", max_ack_pending: 1000 }}\n'
        )
        return [str(BIN / "nats-server"), "-c", str(folder / "nats.conf")]

    def _ready(self, name: str) -> bool:
        if (code := self.running[name].poll()) is not None:
            raise RuntimeError(f"{name} ended with {code}:\n{self.log(name)[-3000:]}")
        if name == "cloud":
            try:
                with urllib.request.urlopen(f"{self.url}/healthz", timeout=2) as answer:
                    return bool(answer.status == 200)
            except (OSError, urllib.error.URLError):
                return False
        if name == "relay":
            return (self.folder / "relay.sock").exists()
        return name == "agent" or listens(self.mqtt_port)

    def kill(self, name: str, sig: int = signal.SIGKILL) -> None:
        """The process and all its children, at once; they are gone when this returns."""
        process = self.running.pop(name)
        if process.poll() is None:
            os.killpg(process.pid, sig)
        process.wait(15)

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def close(self, *, keep: bool = False) -> None:
        for name in reversed(list(self.running)):
            process = self.running.pop(name)
            for sig in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(process.pid, sig)
                    process.wait(10)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    continue
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    # ---- asking

    def api(self, method: str, path: str, body: Any = None, key: str | None = None) -> tuple[int, Any]:
        """-> status, parsed JSON (or bytes, where the answer is something else)."""
        request = urllib.request.Request(f"{self.url}{path}", method=method)
        request.add_header("Authorization", f"Bearer {self.key if key is None else key}")
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, data, timeout=10) as answer:
                status, kind, payload = answer.status, answer.headers.get_content_type(), answer.read()
        except urllib.error.HTTPError as error:
            status, kind, payload = error.code, error.headers.get_content_type(), error.read()
        return status, json.loads(payload) if "json" in kind else payload

    def order(self, **changes: Any) -> str:
        """A table order of two things; its id."""
        body: dict[str, Any] = {
            "channel": "app",
            "external_id": os.urandom(6).hex(),
            "kind": "dine_in",
            "table": "12",
            "currency": "GBP",
            "items": [
                {"name": "Flat white", "quantity": 2, "unit_price": 340},
                {"name": "Carrot cake", "quantity": 1, "unit_price": 450, "note": "two forks"},
            ],
            "total": 1130,
        }
        status, answer = self.api("POST", "/v1/orders", {**body, **changes})
        if status not in (200, 201, 202):
            raise RuntimeError(f"POST /v1/orders: {status} {answer}")
        return str(answer["id"])

    def order_state(self, order: str) -> dict[str, Any]:
        return dict(self.api("GET", f"/v1/orders/{order}")[1])

    def query(self, database: Path, sql: str, args: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """Read-only, beside the programs. [] while the file or the table is not there yet."""
        try:
            with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5) as connection:
                return list(connection.execute(sql, tuple(args)))
        except sqlite3.OperationalError as error:
            if "no such table" in str(error) or "unable to open" in str(error):
                return []
            raise
