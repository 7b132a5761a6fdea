"""Power cuts at every moment of the agent's life: what it told the cloud or asked of the relay is in agent.db.

Promised is what left the process: a report or a receipt on its way to the broker, a `print` to the relay. The cloud
here acknowledges nothing, so that everything that was sent must still be there to be sent again, under the same id.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.store import DiskBad, Store
from tests.agent.rig import Rig, receipt
from tests.agent.test_orders import order
from tests.rigs.crash import Op, Record, shim
from wire import messages
from wire.messages import BadMessage, Captured, Held, Report

RAM = Path("/dev/shm")
STATES, MANY_STATES = 300, 2500


@dataclass
class Promises:
    sent: dict[str, str] = field(default_factory=dict)  # id of a message -> what it was
    jobs: dict[tuple[str, int], str] = field(default_factory=dict)  # key -> id of its message
    orders: set[str] = field(default_factory=set)  # reported as received, or worse
    slips: dict[str, int] = field(default_factory=dict)  # slip -> highest attempt that was asked of the relay
    changed: list[str] = field(default_factory=list)


class Listener:
    def __init__(self, broker: int) -> None:
        self.broker, self.streams, self.seen, self.promises = broker, dict[tuple[str, int], bytearray](), 0, Promises()

    def hear(self, said: list[Op]) -> Promises:
        for op in said[self.seen :]:
            stream = self.streams.setdefault((op.path, op.port), bytearray())
            stream += op.data
            if op.port == self.broker:
                self._packets(stream)
            elif op.port == 0:
                self._requests(stream)
        self.seen = len(said)
        return self.promises

    def _packets(self, stream: bytearray) -> None:
        while len(stream) > 1:
            size, shift, at = 0, 0, 1
            while True:
                if at >= len(stream):
                    return
                size |= (stream[at] & 0x7F) << shift
                at, shift = at + 1, shift + 7
                if stream[at - 1] < 0x80:
                    break
            if len(stream) < at + size:
                return
            kind, body = stream[0] >> 4, bytes(stream[at : at + size])
            del stream[: at + size]
            if kind == 3:
                length = int.from_bytes(body[:2], "big")
                self._message(body[2 : 2 + length].decode().rpartition("/")[2], body[4 + length :])

    def _message(self, leaf: str, payload: bytes) -> None:
        try:
            message = messages.decode(leaf, payload)
        except BadMessage:
            return
        said = self.promises
        if isinstance(message, Captured):
            if said.jobs.setdefault((message.epoch, message.seq), message.id) != message.id:
                said.changed.append(f"job {message.seq} was sent under two ids")
        elif leaf in ("reports", "results") and not isinstance(
            message, Held
        ):  # a newer list takes an older one's place
            said.sent[message.id] = type(message).__name__
            if isinstance(message, Report):
                said.orders.add(message.order)

    def _requests(self, stream: bytearray) -> None:
        while (end := stream.find(b"\n")) >= 0:
            header = json.loads(stream[:end])
            if len(stream) <= end + header.get("bytes", 0):
                return
            del stream[: end + 1 + header.get("bytes", 0)]
            if header["op"] == "print":
                self.promises.slips[header["slip"]] = max(header["attempt"], self.promises.slips.get(header["slip"], 0))


def problems(folder: Path, promised: Promises) -> Iterator[str]:
    store = Store(folder / "agent.db")
    try:
        connection = store._connect()
    except DiskBad as error:
        yield f"agent.db cannot be opened: {error}"
        return
    with closing(connection):
        if list(folder.glob("*.bad-*")):
            yield "agent.db was taken for damaged"
        if (found := connection.execute("PRAGMA integrity_check(1)").fetchone()[0]) != "ok":
            yield f"damaged: {found}"
        ids = {row[0] for row in connection.execute("SELECT message_id FROM outbox")}
        if lost := set(promised.sent) - ids:
            yield f"sent, not acknowledged, and gone: {[promised.sent[i] for i in lost]}"
        if lost_jobs := {key for key, id_ in promised.jobs.items() if id_ not in ids}:
            yield f"receipts that were sent and would be sent under another id: {sorted(lost_jobs)}"
        slips = {(f"{o}/{p}/{n}", o): a for o, p, n, a in _slips(connection)}
        if lost_orders := promised.orders - {order for _, order in slips}:
            yield f"told as received, and forgotten: {lost_orders}"
        attempts = {name: attempt for (name, _), attempt in slips.items()}
        for slip, attempt in promised.slips.items():
            if attempts.get(slip, 0) < attempt:
                yield f"slip {slip} was asked of the relay as attempt {attempt}, known is {attempts.get(slip)}"
        yield from promised.changed


def _slips(connection: sqlite3.Connection) -> list[tuple[str, str, int, int]]:
    return connection.execute("SELECT order_id, part, copy_number, attempt FROM slips").fetchall()


def record(bench: Callable[..., Rig], tmp_path: Path, fault: str = "") -> tuple[Record, int]:
    """The agent's life while receipts and orders come and nobody acknowledges."""
    box, log = bench(), tmp_path / "record"
    box.env["agent"] = {
        "LD_PRELOAD": str(shim(tmp_path)), "RECORD_FOLDER": str(box.folder / "box"), "RECORD_TO": str(log),
    }  # fmt: skip
    if fault:
        box.first["agent"] = f"from tests.rigs.seeded import FAULTS\nFAULTS['{fault}']()"
    box.cloud.ack = False
    box.start("relay", "agent").online()
    for number in range(1, 7):
        box.print(receipt(2 * number), receipt(2 * number + 1))
        box.cloud.order(order(f"o-{number}"))
        box.cloud.wait_state(f"o-{number}", "printed", within=40)
    box.cloud.wait_jobs(12, within=40)
    box.kill("agent")
    return Record(log, box.folder / "box"), box.mqtt_port


def replay(what: Record, broker: int, count: int, seed: int, tmp_path: Path, enough: int = 1000) -> list[list[str]]:
    listener, broken = Listener(broker), []
    with tempfile.TemporaryDirectory(dir=RAM if RAM.is_dir() else tmp_path) as ram:
        folder = Path(ram, "box")
        for state in what.states(count, seed):
            promised = listener.hear(state.said)
            state.write(folder)
            if wrong := list(problems(folder, promised)):
                broken.append(wrong)
            shutil.rmtree(folder)
            if len(broken) == enough:
                break
    return broken


@pytest.mark.covers("F1", "F4")
@pytest.mark.timeout(600)
def test_no_power_cut_takes_what_the_agent_said(bench: Callable[..., Rig], tmp_path: Path) -> None:
    what, broker = record(bench, tmp_path)
    broken = replay(what, broker, STATES, 1, tmp_path)
    assert not broken, f"{len(broken)} of {STATES} states: {broken[0]}"
    said = Listener(broker).hear([op for op in what.ops if op.kind == "S"])
    assert len(said.orders) == 6 and len(said.slips) == 6 and len(said.jobs) == 12, "the rig hears what is said"


@pytest.mark.slow
def test_no_power_cut_takes_what_the_agent_said_in_many_states(bench: Callable[..., Rig], tmp_path: Path) -> None:
    what, broker = record(bench, tmp_path)
    broken = [wrong for seed in range(5) for wrong in replay(what, broker, MANY_STATES // 5, seed, tmp_path)]
    print(f"{MANY_STATES} states of agent.db over {len(what.ops)} operations: {len(broken)} broken")
    assert not broken, f"{len(broken)} of {MANY_STATES} states: {broken[0]}"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", ["agent_normal_instead_of_full", "sent_before_stored"])
def test_the_rig_sees_an_agent_that_speaks_too_early(bench: Callable[..., Rig], tmp_path: Path, fault: str) -> None:
    what, broker = record(bench, tmp_path, fault)
    assert replay(what, broker, 300, 2, tmp_path, enough=1), f"{fault} was not seen in any of 300 states"
