"""One box on a bench: real broker, relay and agent as processes; a printer on TCP, a cloud that does as it is told."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.simulators.ports import free_port as free_port
from tests.simulators.system import DIE_WITH_PARENT
from wire import messages, topics
from wire.messages import Ack, Acks, Captured, Held, Message, Part, PrintOrder, Report, Status, Tombstone

BIN = Path(sys.executable).parent
BOX = "bench-box-1"
T = TypeVar("T")
Key = tuple[str, int]


class Printer:
    """An ESC/POS printer on TCP: keeps its paper, answers status, with switches for what goes wrong."""

    def __init__(self) -> None:
        self.paper = bytearray()
        self.answers = True  # False: it takes bytes like a dead network print server
        self.paper_out = False
        self.feed_button = False  # held down
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._changed = threading.Condition()
        self._links: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def wait(self, what: bytes, count: int = 1, within: float = 15.0) -> bytes:
        """Until the paper shows `what` so often."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.paper.count(what) >= count, within):
                raise TimeoutError(
                    f"{self.paper.count(what)} times {what!r} on paper, not {count}: {bytes(self.paper)[-300:]!r}"
                )
            return bytes(self.paper)

    def unplug(self) -> None:
        """Nobody listens any more, and open links are reset."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for link in self._links:
            link.shutdown(socket.SHUT_RDWR)
            link.close()
        self._links.clear()

    def plug_in(self) -> None:
        self._server = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.close()
        for link in self._links:
            link.close()

    def _accept(self) -> None:
        while True:
            try:
                link, _ = self._server.accept()
            except OSError:
                return
            self._links.append(link)
            threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link: socket.socket) -> None:
        head = b""
        while True:
            try:
                data = link.recv(65536)
            except OSError:
                return
            if not data:
                return
            head = self._answer(link, head + data)
            with self._changed:
                self.paper += data
                self._changed.notify_all()

    def _answer(self, link: socket.socket, data: bytes) -> bytes:
        """Answer the questions in `data`; -> its end that may be the start of one."""
        at = 0
        while at < len(data):
            rest = data[at:]
            size, answer = 1, b""
            if rest[:2] == b"\x10\x04"[: len(rest[:2])] or rest[:2] == b"\x1dr"[: len(rest[:2])]:
                if len(rest) < 3:
                    break
                size = 3
                bad = {2: 0x20, 4: 0x60}.get(rest[2], 0) if self.paper_out else 0
                bad |= 0x40 if self.feed_button and rest[2] == 1 else 0
                answer = bytes([0x12 | bad]) if rest[0] == 0x10 else bytes([0x0C if self.paper_out else 0])
            elif rest[:3] == b"\x1d(H"[: len(rest[:3])]:
                if len(rest) < 5 or len(rest) < (total := 5 + int.from_bytes(rest[3:5], "little")):
                    break
                size, answer = total, b"\x37\x22" + rest[7:11] + b"\0" if rest[5] == 0x30 else b""
            elif rest[:2] == b"\x1dI"[: len(rest[:2])]:
                if len(rest) < 3:
                    break
                size, answer = 3, b"\x02" if rest[2] < 65 else b"_TM-T20\0"
            if answer and self.answers:
                try:
                    link.sendall(answer)
                except OSError:
                    return b""
            at += size
        return data[at:]


class Cloud:
    """The other end of the broker. Acknowledges as `ack` says, keeps everything that came."""

    def __init__(self, port: int, password: str = "") -> None:
        self.ack = True
        self.jobs: dict[Key, Captured] = {}
        self.raws: dict[Key, bytes | None] = {}
        self.times: dict[Key, int] = {}  # how often each job came
        self.order_of_arrival: list[Key] = []
        self.tombs: list[Tombstone] = []
        self.reports: list[Report] = []
        self.statuses: list[Status] = []
        self.others: list[Message] = []
        self._orders: dict[str, PrintOrder] = {}
        self._parts: dict[Key, dict[int, bytes]] = {}
        self._first: dict[Key, Captured] = {}
        self._changed = threading.Condition()
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id="cloud", clean_session=True)
        self.client.on_message = self._arrived
        self.client.on_connect = lambda c, *_: c.subscribe([(t, 1) for t in topics.all_up()])
        if password:
            self.client.username_pw_set("cloud", password)
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def wait(self, check: Callable[[], T | None], what: str, within: float = 20.0) -> T:
        found: list[T] = []

        def look() -> bool:
            value = check()
            if value:
                found.append(value)
            return bool(value)

        with self._changed:
            if not self._changed.wait_for(look, within):
                raise TimeoutError(f"not within {within:g} s: {what}")
        return found[0]

    def wait_jobs(self, count: int, within: float = 20.0) -> list[Key]:
        self.wait(lambda: len(self.jobs) >= count, f"{count} jobs (there are {len(self.jobs)})", within)
        return sorted(self.jobs)

    def wait_state(self, order: str, state: str, part: str = "main", within: float = 20.0) -> Report:
        def find() -> Report | None:
            return next(
                (r for r in reversed(self.reports) if (r.order, r.part, str(r.state)) == (order, part, state)), None
            )

        return self.wait(find, f"order {order} is {state}; told were {[str(r.state) for r in self.reports]}", within)

    def states(self, order: str) -> list[str]:
        """The states told of an order, each once, in order."""
        seen: dict[str, None] = {}
        for report in self.reports:
            if report.order == order:
                seen[str(report.state)] = None
        return list(seen)

    @property
    def alerts(self) -> list[str]:
        """What stands in the box's last status."""
        return self.statuses[-1].alerts if self.statuses else []

    def say(self, leaf: str, message: Message) -> None:
        self.client.publish(topics.down(BOX, leaf), messages.encode(message), qos=1)

    def say_raw(self, leaf: str, payload: bytes) -> None:
        self.client.publish(topics.down(BOX, leaf), payload, qos=1)

    def order(self, order: PrintOrder) -> None:
        """Told again after an outage, while no report of it came: as the cloud does it (cloud/telling.py)."""
        self._orders[order.order] = order
        self.say("orders", order)

    def ack_all(self) -> None:
        self.ack = True
        acks = [Ack(j.epoch, j.seq, j.sha256, "stored") for j in self.jobs.values()]
        ids = [message.id for message in [*self.reports, *self.others]]
        self.say("acks", messages.new(Acks, acks=acks, ids=ids))

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _arrived(self, _client: paho.Client, _data: Any, arrived: paho.MQTTMessage) -> None:
        leaf = arrived.topic.rpartition("/")[2]
        message = messages.decode(leaf, arrived.payload)
        with self._changed:
            self._keep(message)
            self._changed.notify_all()

    def _keep(self, message: Any) -> None:
        answer = messages.new(Acks)
        if isinstance(message, Captured):
            key = (message.epoch, message.seq)
            self.times[key] = self.times.get(key, 0) + 1
            self._parts.setdefault(key, {})[0] = message.raw or b""
            self._whole(key, message, message.parts, answer)
        elif isinstance(message, Part):
            key = (message.epoch, message.seq)
            self._parts.setdefault(key, {})[message.part] = message.raw
            self._whole(key, None, message.parts, answer)
        elif isinstance(message, Tombstone):
            self.tombs.append(message)
            answer.acks.append(Ack(message.epoch, message.first, b"", "stored"))
        elif isinstance(message, Report):
            self.reports.append(message)
            answer.ids.append(message.id)
        elif isinstance(message, Status):
            self.statuses.append(message)
        else:
            self.others.append(message)
            answer.ids.append(message.id)
        if isinstance(message, Held):
            known = {report.order for report in self.reports}
            for order in [order for name, order in self._orders.items() if name not in known]:
                self.say("orders", order)
        if self.ack and (answer.acks or answer.ids):
            self.say("acks", answer)

    def _whole(self, key: Key, first: Captured | None, parts: int, answer: Acks) -> None:
        if first is not None:
            self._first[key] = first
        pieces = self._parts[key]
        if set(pieces) != set(range(parts)) or key not in self._first:
            return
        job = self._first[key]
        if key not in self.jobs:
            self.order_of_arrival.append(key)
        self.jobs[key] = job
        self.raws[key] = None if job.raw is None else b"".join(pieces[n] for n in range(parts))
        answer.acks.append(Ack(job.epoch, job.seq, job.sha256, "stored"))


class Rig:
    """broker, relay, agent: started in that order; each can be killed and started again."""

    def __init__(
        self,
        folder: Path,
        mosquitto: str | None = None,
        at: tuple[int, str] | None = None,
        **sections: dict[str, Any],
    ) -> None:
        """`mosquitto`: the program, to be the broker in place of the embedded one. `at`: the port of a broker that
        somebody else runs, and the cloud's password there."""
        self.folder, self.mosquitto = folder, mosquitto
        self.mqtt_port, self.pos_port = free_port(), free_port()
        self.nats_port = free_port()
        self.printer = Printer()
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.env: dict[str, dict[str, str]] = {}  # of a process, by name
        self.first: dict[str, str] = {}  # what a process does before it begins, in Python
        self.broker_lines: list[str] = []  # more of mosquitto.conf
        self.inside: dict[str, list[str]] = {}  # what a process is started by: a namespace (tests/simulators/line.py)
        tables: dict[str, dict[str, Any]] = {
            "box": {"id": BOX, "state_dir": str(folder / "box"), "control": str(folder / "relay.sock")},
            "printer.main": {"url": self.printer.url},
            "pos.till": {"url": f"tcp://127.0.0.1:{self.pos_port}"},
            "cloud": {"broker": f"mqtt://127.0.0.1:{self.mqtt_port}"},
            "alerts": {"sound": False},
        }
        for name, values in sections.items():
            tables[name] = {**tables.get(name, {}), **values}
        (folder / "box").mkdir(parents=True)
        self.config = folder / "agent.toml"
        self.config.write_text(
            "".join(f"[{n}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in t.items()) for n, t in tables.items())
        )
        self._pos: socket.socket | None = None
        if at is None:
            self.start("broker")
        self.cloud = Cloud(*(at or (self.mqtt_port,)))

    # ---- processes

    def start(self, *names: str) -> Rig:
        for name in names:
            self._agent_log_from = len(self.log("agent"))
            with (self.folder / f"{name}.log").open("ab") as log:
                self.running[name] = subprocess.Popen(
                    [*DIE_WITH_PARENT, *self.inside.get(name, ()), *self._command(name)],
                    stdout=log, stderr=log, start_new_session=True,
                    env={**os.environ, "PYTHONUNBUFFERED": "1", **self.env.get(name, {})},
                )  # fmt: skip
            self._until(lambda name=name: self._ready(name), f"{name} is up")  # type: ignore[misc]
        return self

    def online(self) -> Rig:
        """Until the box has told what it holds: it has subscribed then."""
        self.cloud.wait(lambda: any(isinstance(m, Held) for m in self.cloud.others), "the box is online")
        return self

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)

    def wipe_broker(self) -> None:
        """Kill it, and take all it knew: sessions, subscriptions, messages. (mosquitto keeps nothing here.)"""
        self.kill("broker")
        shutil.rmtree(self.folder / "nats", ignore_errors=True)

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait_log(self, name: str, what: str, count: int = 1, within: float = 20.0) -> None:
        self._until(lambda: self.log(name).count(what) >= count, f"{name} logs {what!r}", within)

    def close(self) -> None:
        for process in reversed(self.running.values()):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.running.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(5)
        if self._pos:
            self._pos.close()
        self.cloud.close()
        self.printer.close()

    def _command(self, name: str) -> list[str]:
        if name != "broker":
            program = ["-m", name]
            if first := self.first.get(name):
                program = ["-c", f"{first}\nimport sys\nfrom {name}.__main__ import main\nsys.exit(main())"]
            return [sys.executable, *program, "--config", str(self.config)]
        if self.mosquitto:
            conf = self.folder / "mosquitto.conf"
            conf.write_text(
                f"listener {self.mqtt_port} 127.0.0.1\nallow_anonymous true\nuser {getpass.getuser()}\n"
                "max_packet_size 140000\nmax_inflight_messages 100\n"
                + "".join(f"{line}\n" for line in self.broker_lines)
            )
            return [self.mosquitto, "-c", str(conf)]
        conf = self.folder / "nats.conf"
        store = self.folder / "nats"
        conf.write_text(
            f'server_name: bench\nlisten: "127.0.0.1:{self.nats_port}"\nmax_payload: 8MB\n'
            f'jetstream {{ store_dir: "{store}", max_mem: 64MB, max_file: 1GB }}\n'
            f'mqtt {{ listen: "127.0.0.1:{self.mqtt_port}", ack_wait: "5s", max_ack_pending: 1000 }}\n'
        )
        return [str(BIN / "nats-server"), "-c", str(conf)]

    def _ready(self, name: str) -> bool:
        if (code := self.running[name].poll()) is not None:
            raise RuntimeError(f"{name} ended with {code}:\n{self.log(name)[-3000:]}")
        if name == "agent":
            return "agent ready" in self.log("agent")[self._agent_log_from :]
        port = self.mqtt_port if name == "broker" else self.pos_port
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0

    def _until(self, check: Callable[[], bool], what: str, within: float = 20.0) -> None:
        end = time.monotonic() + within
        while not check():
            if time.monotonic() > end:
                raise TimeoutError(
                    f"not within {within:g} s: {what}\n{self.log('agent')[-3000:]}\n{self.log('relay')[-2000:]}"
                )
            time.sleep(0.01)

    # ---- the till

    def print(self, *jobs: bytes) -> None:
        """As the till does: one connection, the jobs one after the other."""
        if self._pos is None:
            self._pos = socket.create_connection(("127.0.0.1", self.pos_port), 5)
        for job in jobs:
            self._pos.sendall(job)

    def hang_up(self) -> None:
        if self._pos:
            self._pos.close()
            self._pos = None

    # ---- asking

    def query(self, database: str, sql: str, args: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """Read-only, of capture.db or agent.db."""
        path = self.folder / "box" / database
        try:
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5) as connection:
                return list(connection.execute(sql, tuple(args)))
        except sqlite3.OperationalError:
            return []

    def wait_released(self, count: int, within: float = 20.0) -> None:
        sql = "SELECT count(*) FROM jobs WHERE acked_ran IS NOT NULL OR reason IS NOT NULL"
        self._until(lambda: self.query("capture.db", sql)[0][0] >= count, f"{count} jobs released", within)

    def wait_journal(self, count: int) -> None:
        self._until(
            lambda: self.query("capture.db", "SELECT count(*) FROM jobs") == [(count,)], f"{count} jobs captured"
        )

    def wait_outbox(self, jobs: int) -> None:
        sql = "SELECT count(*) FROM outbox WHERE kind = 'job'"
        self._until(lambda: self.query("agent.db", sql) == [(jobs,)], f"{jobs} jobs in the outbox")

    def wait_value(self, database: str, sql: str, value: Any, args: Iterable[Any] = ()) -> None:
        """Until a query's one value is this."""
        self._until(lambda: self.query(database, sql, args) == [(value,)], f"{sql} gives {value}")

    def wait_empty(self, within: float = 20.0) -> None:
        """Nothing is left in the outbox."""
        self._until(
            lambda: self.query("agent.db", "SELECT count(*) FROM outbox") == [(0,)], "the outbox is empty", within
        )


def receipt(number: int, card: str = "4111 1111 1111 1111") -> bytes:
    """A small receipt with its own number, and a card number to be masked."""
    return (
        b"\x1b@\x1ba\x01HARBOUR COFFEE\n\x1ba\x00Receipt No R%08d\nFlat white          3.40\nTOTAL          3.40\n"
        b"Card %s\n\n\n\x1dVB\x00" % (number, card.encode())
    )


def number_in(raw: bytes) -> int:
    at = raw.index(b"R0")
    return int(raw[at + 1 : at + 9])
