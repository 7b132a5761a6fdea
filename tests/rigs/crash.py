"""Every state in which a power cut may leave a folder, built from the record of what a process did to it.

The process runs under tests/rigs/recorder.c. At any moment of its life the power may fail: what was synced is there;
of what was not, each write may be there, or not, or only some of its 512-byte sectors, whatever came later. A name that
was made or removed is only sure once its folder was synced; names go in order, as journaling file systems keep them.

    record = Record(path)
    for state in record.states(count, seed):
        state.write(folder)              the files as they may be found after the cut
        state.said                       what the process had said on its sockets by then: its promises
"""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

HEAD = struct.Struct("<IIQIIII")
SECTOR = 512
SOURCE = Path(__file__).with_name("recorder.c")


def shim(folder: Path) -> Path:
    """The recorder, compiled. Skips where there is no compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("needs gcc, for the recorder")
    made = folder / "recorder.so"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", made, SOURCE, "-ldl"], check=True)
    return made


@dataclass(frozen=True, slots=True)
class Op:
    kind: str  # C create, Z create empty, W write, T truncate, B sync begins, E ended, F failed, U unlink, R rename, S
    pid: int
    thread: int
    path: str
    at: int
    data: bytes
    port: int


@dataclass(slots=True)
class Inode:
    """A file: what is surely on disk, and what was done to it since.

    A sync that fails loses what it was to write, or not: nobody can tell, and a later sync that succeeds does not write
    it either. So it stays doubtful for ever, and what was synced behind it is kept in its order.
    """

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Op] = field(default_factory=list)
    synced: set[int] = field(default_factory=set)  # of pending, by id
    doubtful: set[int] = field(default_factory=set)

    def settle(self, count: int, well: bool) -> None:
        for op in self.pending[:count]:
            if id(op) not in self.synced | self.doubtful:
                (self.synced if well else self.doubtful).add(id(op))
        while self.pending and id(self.pending[0]) in self.synced:
            op = self.pending.pop(0)
            self.synced.discard(id(op))
            _apply(self.durable, op, None)


@dataclass(slots=True)
class State:
    """What may be found after a cut behind the `position`-th operation."""

    position: int
    files: dict[str, bytes]
    said: list[Op]  # grows with the next state

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        for name, content in self.files.items():
            (folder / name).write_bytes(content)


class Record:
    def __init__(self, path: Path, folder: Path) -> None:
        self.folder = str(folder)
        self.ops: list[Op] = []
        data = path.read_bytes()
        at = 0
        while at + HEAD.size <= len(data):
            kind, pid, offset, size, name, thread, port = HEAD.unpack_from(data, at)
            at += HEAD.size
            where = data[at : at + name].decode(errors="replace")
            self.ops.append(Op(chr(kind), pid, thread, where, offset, data[at + name : at + name + size], port))
            at += name + size

    def states(self, count: int, seed: int, skip: tuple[str, ...] = ("-shm", ".reserve")) -> Iterator[State]:
        """So many states at random moments. Files whose name ends like `skip` are memory, or hold nothing."""
        rng = random.Random(seed)
        cuts = sorted(rng.randrange(1, len(self.ops) + 1) for _ in range(count))
        disk = Disk(self.folder, skip)
        done, said = 0, list[Op]()
        for cut in cuts:
            for op in self.ops[done:cut]:
                disk.take(op)
                if op.kind == "S":
                    said.append(op)
            done = cut
            yield State(cut, disk.found(rng), said)


class Disk:
    """The folder as the kernel has it, and as it may be found."""

    def __init__(self, folder: str, skip: tuple[str, ...] = ()) -> None:
        self.folder, self.skip = folder, skip
        self.now: dict[str, Inode] = {}  # names as the process sees them
        self.sure: dict[str, Inode] = {}  # names that were synced
        self.moves: list[tuple[str, str, Inode | None]] = []  # since: name, "" or its new name, file
        self.syncing: dict[tuple[int, int, str], int] = {}

    def take(self, op: Op) -> None:
        if op.path.endswith(self.skip):
            return
        if op.kind in "CZ":
            if op.path not in self.now:
                self.now[op.path] = inode = Inode()
                self.moves.append((op.path, op.path, inode))
            if op.kind == "Z":
                self.now[op.path].pending.append(Op("T", 0, 0, op.path, 0, b"", 0))
        elif op.kind in "WT":
            self._file(op.path).pending.append(op)
        elif op.kind == "U":
            self.now.pop(op.path, None)
            self.moves.append((op.path, "", None))
        elif op.kind == "R":
            to, inode = op.data.decode(), self.now.pop(op.path, None)
            if inode is not None:
                self.now[to] = inode
                self.moves.append((op.path, to, inode))
        elif op.kind == "B":
            inode = self.now.get(op.path)
            self.syncing[op.pid, op.thread, op.path] = len(inode.pending) if inode else len(self.moves)
        elif op.kind in "EF":
            self._synced(op.path, self.syncing.pop((op.pid, op.thread, op.path), 0), op.kind == "E")

    def _file(self, path: str) -> Inode:
        if path not in self.now:
            self.now[path] = Inode()
            self.moves.append((path, path, self.now[path]))
        return self.now[path]

    def _synced(self, path: str, count: int, well: bool) -> None:
        inode = self.now.get(path)
        if inode is not None:
            inode.settle(count, well)
        elif well:  # the folder
            for move in self.moves[:count]:
                _move(self.sure, *move)
            del self.moves[:count]

    def found(self, rng: random.Random) -> dict[str, bytes]:
        names = dict(self.sure)
        for move in self.moves[: rng.randint(0, len(self.moves))]:
            _move(names, *move)
        mood = rng.choice(["nothing", "everything", "some", "torn", "torn", "first"])
        return {path.removeprefix(self.folder).lstrip("/"): _content(inode, mood, rng) for path, inode in names.items()}


def _move(names: dict[str, Inode], name: str, to: str, inode: Inode | None) -> None:
    names.pop(name, None)
    if to and inode is not None:
        names[to] = inode


def _content(inode: Inode, mood: str, rng: random.Random) -> bytes:
    content = bytearray(inode.durable)
    first = rng.randint(0, len(inode.pending))
    for number, op in enumerate(inode.pending):
        if id(op) in inode.synced or mood == "everything" or (mood == "first" and number < first):
            _apply(content, op, None)
        elif mood == "some":
            if rng.random() < 0.5:
                _apply(content, op, None)
        elif mood == "torn":
            _apply(content, op, rng)
    return bytes(content)


def _apply(content: bytearray, op: Op, torn: random.Random | None) -> None:
    """One write or truncation; of a torn one, each sector only perhaps."""
    if op.kind == "T":
        if torn is not None and torn.random() < 0.5:
            return
        if op.at < len(content):
            del content[op.at :]
        else:
            content.extend(bytes(op.at - len(content)))
        return
    at, end = op.at, op.at + len(op.data)
    while at < end:
        until = min(end, (at // SECTOR + 1) * SECTOR) if torn is not None else end
        if torn is None or torn.random() < 0.5:
            if len(content) < until:
                content.extend(bytes(until - len(content)))
            content[at:until] = op.data[at - op.at : until - op.at]
        at = until
