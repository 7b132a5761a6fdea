"""Power cuts at every moment of the relay's life: what was promised by then is in capture.db, in every state.

Promised is what left the process: a cut on its way to the printer, an answer or an event to the agent, a slip's bytes.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from relay.store import Store
from tests.relay.conftest import Box, until
from tests.rigs.crash import Op, Record, State, shim
from tests.simulators.printer import SimulatedPrinter

STATES, MANY_STATES = 1000, 8000
SLIP = b"\x1b@SLIP %02d: tea\n\x1dV\x00"
CUT = re.compile(rb"NUMBER (\d{6}) [a-z ]*\x1dV\x00", re.DOTALL)
RAM = Path("/dev/shm")


def job(number: int) -> bytes:
    return b"\x1b@NUMBER %06d " % number + b"flat white " * random.Random(number).choice([3, 200, 2000]) + b"\x1dV\x00"


def masked(raw: bytes) -> bytes:
    return raw.replace(b"white", b"*****")


@dataclass
class Promises:
    """What had been said by the time of the cut."""

    cut: set[int] = field(default_factory=set)
    captured: int = 0
    twice: set[int] = field(default_factory=set)
    replaced: dict[int, str] = field(default_factory=dict)
    released: int = 0
    slips: set[int] = field(default_factory=set)


class Listener:
    """Reads what the relay said, up to any moment."""

    def __init__(self, printer_port: int) -> None:
        self.port, self.streams, self.seen = printer_port, dict[tuple[int, str, bool], bytearray](), 0
        self.promises = Promises()

    def hear(self, said: list[Op]) -> Promises:
        for op in said[self.seen :]:
            if op.port not in (0, self.port):
                continue
            stream = self.streams.setdefault((op.pid, op.path, bool(op.port)), bytearray())
            stream += op.data
            if op.port:
                self._paper(stream)
            else:
                self._answers(stream)
        self.seen = len(said)
        return self.promises

    def _paper(self, stream: bytearray) -> None:
        self.promises.slips |= {int(n) for n in re.findall(rb"SLIP (\d\d)", stream)}
        for match in CUT.finditer(stream):
            self.promises.cut.add(int(match[1]))
        del stream[: stream.rfind(b"\x1b@")]  # what is over was heard

    def _answers(self, stream: bytearray) -> None:
        while (end := stream.find(b"\n")) >= 0:
            header = json.loads(stream[:end])
            size = header.get("bytes", 0)
            if len(stream) <= end + size:
                return
            del stream[: end + 1 + size]
            if header.get("event") == "captured":
                seq = header["key"][1]
                self.promises.twice |= {seq} if seq <= self.promises.captured else set()
                self.promises.captured = max(self.promises.captured, seq)
            elif "sha256" in header and "key" in header:
                self.promises.replaced[header["key"][1]] = header["sha256"]
            elif "released" in header:
                self.promises.released += 1


def work(box: Box, printer: SimulatedPrinter, jobs: int) -> None:
    """A till that prints as fast as it can, an agent that masks and lets go, orders in between."""
    pos = box.pos()
    with closing(box.agent()) as agent:
        for number in range(1, jobs + 1):
            pos.send(job(number))
            until(lambda number=number: printer.cuts >= number + printer_slips(printer), 30)  # type: ignore[misc]
            if number % 4 == 0:
                header, raw = agent.jobs(keys=[[box_epoch(agent), number - 2]])[0][0]
                form = masked(raw)
                answer = agent.ask("replace", form, key=header["key"], sha256_raw=header["sha256"])
                agent.ask("release", jobs=[[*header["key"], answer["sha256"]]])
            if number % 10 == 0:
                raw = SLIP % (number // 10)
                agent.ask("print", raw, slip=f"s{number // 10}", attempt=1, printer="main", copy=0, valid_s=60)
                until(lambda number=number: printer_slips(printer) == number // 10, 30)  # type: ignore[misc]


def printer_slips(printer: SimulatedPrinter) -> int:
    return bytes(printer.received).count(b"SLIP ")


def box_epoch(agent: Any) -> str:
    return str(agent.ask("hello")["epoch"])


def problems(folder: Path, promised: Promises) -> list[str]:
    """What is wrong with a state, opened as the relay opens it."""
    path = folder / "capture.db"
    try:
        store = Store(path, 0, 1 << 30)
    except sqlite3.Error as error:
        return [f"capture.db cannot be opened: {error}"]
    try:
        return list(_problems(store, promised))
    finally:
        store.close()


def _problems(store: Store, promised: Promises) -> Iterator[str]:
    if (found := store.db.execute("PRAGMA integrity_check(1)").fetchone()[0]) != "ok":
        yield f"damaged: {found}"
    kept: dict[int, tuple[str, bytes]] = {}
    seqs = []
    for id_, capture, sha256, reason in store.db.execute("SELECT id, capture, sha256, reason FROM jobs").fetchall():
        raw = store.raw(capture)
        seqs.append(store.key(id_)[1])
        if reason is None and hashlib.sha256(raw).digest() != sha256:
            yield f"the bytes of job {id_} are not those of its hash"
        kept[seqs[-1]] = (sha256.hex(), raw)
    for first, last in store.db.execute("SELECT first, last FROM tombs WHERE epoch > 0"):
        seqs += range(first, last + 1)
    if sorted(seqs) != list(range(1, len(seqs) + 1)):
        yield f"seqs are not 1, 2, 3 …: {sorted(seqs)[-5:]}"
    numbers = {int(n) for _, raw in kept.values() for n in re.findall(rb"NUMBER (\d{6})", raw)}
    if lost := promised.cut - numbers:
        yield f"cut and not kept: {sorted(lost)}"
    if promised.twice:
        yield f"two receipts under one seq: {promised.twice}"
    if promised.captured > len(seqs):
        yield f"told of seq {promised.captured}, kept {len(seqs)}"
    for seq, sha256 in promised.replaced.items():
        if kept.get(seq, ("", b""))[0] != sha256:
            yield f"masked form of {seq} was told as safe, and is not there"
        elif b"white" in kept[seq][1]:
            yield f"job {seq} holds what was to be masked"
    if store.db.execute("SELECT count(*) FROM jobs WHERE acked_ran IS NOT NULL").fetchone()[0] < promised.released:
        yield "released jobs are due again"
    begun = {row[0] for row in store.db.execute("SELECT slip FROM slips WHERE state NOT IN ('queued', 'withdrawn')")}
    if lost_slips := {f"s{n}" for n in promised.slips} - begun:
        yield f"slips on paper whose start is not known: {sorted(lost_slips)}"


@pytest.fixture
def recorded(
    tmp_path: Path, make_box: Callable[..., Box], printer: SimulatedPrinter
) -> Callable[..., tuple[Record, int]]:
    def record(jobs: int = 40, fault: str = "", fail_sync: int = 0) -> tuple[Record, int]:
        box = make_box(start=False)
        log = tmp_path / "record"
        first = f"from tests.rigs.seeded import FAULTS\nFAULTS['{fault}']()" if fault else ""
        recorder = {"LD_PRELOAD": str(shim(tmp_path)), "RECORD_FOLDER": str(box.state), "RECORD_TO": str(log)}
        if fail_sync:
            recorder["RECORD_FAIL_SYNC"] = str(fail_sync)
        box.start(first=first, **recorder)
        if fail_sync:
            with closing(box.agent()):  # it is told of what is safe
                pos = box.pos()
                for number in range(1, jobs + 1):
                    pos.send(job(number))
                    printer.wait(lambda number=number: printer.cuts >= number)  # type: ignore[misc]
        else:
            work(box, printer, jobs)
        box.kill()
        return Record(log, box.state), int(printer.url.rpartition(":")[2])

    return record


def replay(
    record: Record, port: int, count: int, seed: int, tmp_path: Path, paper: bool = True, enough: int = 1000
) -> list[tuple[State, list[str]]]:
    """The states that break a promise. `paper`: a cut on paper is one; not where the disk fails, and none waits."""
    listener, broken = Listener(port), []
    with tempfile.TemporaryDirectory(dir=RAM if RAM.is_dir() else tmp_path) as ram:
        folder = Path(ram, "box")
        for state in record.states(count, seed):
            promised = listener.hear(state.said)
            if not paper:
                promised.cut.clear()
            state.write(folder)
            if wrong := problems(folder, promised):
                broken.append((state, wrong))
            shutil.rmtree(folder)
            if len(broken) == enough:
                break
    return broken


@pytest.mark.covers("F1", "F2", "F20")
@pytest.mark.timeout(600)
def test_no_power_cut_takes_what_was_promised(recorded: Callable[..., Any], tmp_path: Path) -> None:
    record, port = recorded()
    broken = replay(record, port, STATES, 1, tmp_path)
    assert not broken, f"{len(broken)} of {STATES} states: {broken[0][1]}"
    last = Listener(port).hear([op for op in record.ops if op.kind == "S"])
    assert len(last.cut) == 40 and last.released == 10 and len(last.slips) == 4, "the rig sees what was promised"


@pytest.mark.covers("F14")
@pytest.mark.timeout(600)
def test_a_sync_that_failed_is_never_trusted_again(recorded: Callable[..., Any], tmp_path: Path) -> None:
    """Every seventh sync fails, of a file or of the folder: what it was to write is gone, though the next sync says
    that all is well. Paper goes on; what the agent was told of is there."""
    record, port = recorded(jobs=24, fail_sync=7)
    failed = [Path(op.path).suffix for op in record.ops if op.kind == "F"]
    assert len(failed) > 3 and "" in failed, "the folder too: its new names may be gone"
    broken = replay(record, port, 200, 3, tmp_path, paper=False)
    assert not broken, f"{len(broken)} of 200 states: {broken[0][1]}"


@pytest.mark.slow
def test_no_power_cut_takes_what_was_promised_in_many_states(recorded: Callable[..., Any], tmp_path: Path) -> None:
    record, port = recorded(jobs=300)
    broken = [wrong for seed in range(8) for wrong in replay(record, port, MANY_STATES // 8, seed, tmp_path)]
    print(f"{MANY_STATES} states of capture.db over {len(record.ops)} operations: {len(broken)} broken")
    assert not broken, f"{len(broken)} of {MANY_STATES} states: {broken[0][1]}"


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "fault",
    [
        "normal_instead_of_full",
        "safe_before_commit",
        "cut_is_not_held",
        "started_is_not_stored",
        "answered_before_commit",
    ],
)
def test_the_rig_sees_a_journal_that_promises_too_early(
    recorded: Callable[..., Any], tmp_path: Path, fault: str
) -> None:
    record, port = recorded(jobs=20, fault=fault)
    assert replay(record, port, 300, 2, tmp_path, enough=1), f"{fault} was not seen in any of 300 states"
