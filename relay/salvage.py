"""What can still be read of a damaged capture.db: every row on every page that is whole, whatever became of the rest.

    python -m relay.salvage CAPTURE_DB     rows on standard output: a JSON line each, then `bytes` raw bytes

A child process of the relay (relay/rescue.py), so that a file of any size and state costs printing nothing. SQLite
itself gives up a whole subtree where one page of the tree above it is ruined; here the leaves are read one by one. A
job counts when its bytes match its hash; so nothing is guessed.

Takes   the file and its -wal, of which every frame counts that a commit followed. Neither is written to.
Gives   first {"epochs", "last", "meta"}: UUIDs and the highest seq seen, by epoch number; then {"job": its columns},
        {"open": …} (a job that was going on), {"tomb": …}, {"slip": …}; last {"end": jobs, "lost": jobs without bytes}.
Raises  nothing for what the file holds.
Source: SQLite database file format, sections 1.6 (b-tree pages), 2.1 (records), 4 (WAL).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

PAGE_SIZE = 8192  # what the journal makes; for when the header is gone
PER_CAPTURE = 128
SEQ_BITS = 40
SEQ_MOST = 1 << 32  # a number above this is damage
INDEX_INNER, TABLE_LEAF, INDEX_LEAF = 2, 13, 10
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
JOB = ("capture", "pos", "printer", "boundary", "continues", "delivered", "size", "sha256", "sha256_raw", "replaced",
       "boot", "started_mono_ms", "started_wall_ms", "ended_mono_ms", "ended_wall_ms", "trust", "was", "acked_ran",
       "acked_wall", "reason")  # fmt: skip
JOB_TYPES = "ittt-tib-itiiiit----"  # integer, text, bytes; - anything
OPEN = ("pos", "printer", "continues", "boot", "started_mono_ms", "started_wall_ms", "trust")
SLIP = ("slip", "attempt", "printer", "copy", "raw", "valid_boot", "valid_mono_ms", "pid", "state", "proof", "status",
        "reason", "fate", "boot", "mono_ms", "wall_ms", "trust")  # fmt: skip
SLIP_TYPES = "titi-tiittttitiit"
TYPES = {"i": int, "t": str, "b": bytes}
Value = int | float | str | bytes | None


class Broken(Exception):
    """This cell, record or chain of pages is not whole."""


def varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """-> value, where it ends. One to nine bytes, seven bits each, the ninth eight."""
    value = 0
    for n in range(9):
        if at + n >= len(data):
            raise Broken
        byte = data[at + n]
        if n == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + n + 1
    raise AssertionError


def signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def record(payload: bytes) -> list[Value]:
    """A record's values. Raises Broken."""
    end, at = varint(payload, 0)
    if not 0 < end <= len(payload):
        raise Broken
    kinds = []
    while at < end:
        kind, at = varint(payload, at)
        kinds.append(kind)
    values: list[Value] = []
    at = end
    for kind in kinds:
        if kind in (0, 8, 9):
            values.append(None if kind == 0 else kind - 8)
            continue
        if kind in (7, 10, 11):  # the journal has no floating-point numbers
            raise Broken
        size = (0, 1, 2, 3, 4, 6, 8)[kind] if kind < 7 else (kind - 12) // 2
        piece = payload[at : at + size]
        if len(piece) != size:
            raise Broken
        at += size
        if kind < 7:
            values.append(int.from_bytes(piece, "big", signed=True))
        elif kind % 2:
            try:
                values.append(piece.decode())
            except UnicodeDecodeError:
                raise Broken from None
        else:
            values.append(piece)
    if at != len(payload):
        raise Broken
    return values


class Pages:
    """Every version of every page, oldest first: the database file, then what its WAL holds."""

    def __init__(self, path: Path) -> None:
        file, wal = _read(path), _read(path.with_name(path.name + "-wal"))
        self.size = PAGE_SIZE
        for said in (int.from_bytes(file[16:18], "big"), int.from_bytes(wal[8:12], "big")):
            if said in (512, 1024, 2048, 4096, 8192, 16384, 32768):
                self.size = said
        whole = memoryview(file)
        self.versions = [
            (number + 1, whole[number * self.size : (number + 1) * self.size])
            for number in range(len(file) // self.size)
        ]
        strange, frames = self._frames(memoryview(wal))
        self.newest = dict(self.versions + frames)
        self.versions = strange + self.versions + frames

    def _frames(self, wal: memoryview) -> tuple[list[tuple[int, memoryview]], list[tuple[int, memoryview]]]:
        """Frames of former rounds of the WAL, and those whose own head is damaged; then those of the present round.

        Of these, one without a commit behind it was never promised to anybody.
        """
        salt, strange, pending, out = bytes(wal[16:24]), [], [], []
        for at in range(32, len(wal) - self.size - 23, self.size + 24):
            head, page = bytes(wal[at : at + 24]), wal[at + 24 : at + 24 + self.size]
            number, commit = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:8], "big")
            if head[8:16] != salt or not 0 < number < 1 << 24:
                strange.append((0, page))
                continue
            pending.append((number, page))
            if commit:
                out += pending
                pending = []
        return strange, out

    def leaves(self) -> Iterator[tuple[int, memoryview, bool]]:
        """(type, page, is it the newest version) of what carries rows. A damaged type is taken for a table's leaf."""
        for number, page in self.versions:
            if number != 1 and any(page[:8]) and page[0] != 5:
                kind = page[0] if page[0] in (INDEX_LEAF, INDEX_INNER) else TABLE_LEAF
                yield kind, page, self.newest.get(number) is page

    def cells(self, kind: int, page: memoryview) -> Iterator[tuple[int, int, int]]:
        """(row id, payload size, where it begins) of each cell. What is damaged is left out."""
        start = 12 if kind == INDEX_INNER else 8
        count = int.from_bytes(page[3:5], "big")
        for n in range((self.size - start) // 2):
            at = int.from_bytes(page[start + 2 * n : start + 2 * n + 2], "big")
            if at == 0 and n >= min(count, self.size // 8):
                return
            try:
                size, at = varint(page, at + (4 if kind == INDEX_INNER else 0))
                row, at = varint(page, at) if kind == TABLE_LEAF else (0, at)
            except Broken:
                continue
            if size < 1 << 30:
                yield signed(row), size, at

    def payload(self, kind: int, page: memoryview, size: int, at: int) -> bytes:
        """A cell's bytes, with those on overflow pages. Raises Broken."""
        usable = self.size
        most = usable - 35 if kind == TABLE_LEAF else (usable - 12) * 64 // 255 - 23
        local = size
        if size > most:
            least = (usable - 12) * 32 // 255 - 23
            local = least + (size - least) % (usable - 4)
            local = local if local <= most else least
        data = bytes(page[at : at + local])
        if len(data) != local:
            raise Broken
        if local == size:
            return data
        pieces, left = [data], size - local
        follow = int.from_bytes(page[at + local : at + local + 4], "big")
        while left > 0:
            over = self.newest.get(follow)
            if over is None:
                raise Broken
            pieces.append(bytes(over[4 : 4 + min(left, usable - 4)]))
            left -= len(pieces[-1])
            follow = int.from_bytes(over[:4], "big")
        return b"".join(pieces)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _fits(values: list[Value], types: str) -> bool:
    return len(values) == len(types) and all(
        kind == "-" or type(value) is TYPES[kind] for value, kind in zip(values, types, strict=True)
    )


class Found:
    """The rows of a file, by table. A row's table is told by its columns; a newer version takes an older one's place.

    Older versions count as well, for where the newest is damaged: the journal deletes no job, and moves them only to
    another epoch (`was`). What a job going on had saved is deleted at its end, so of those only the newest count.
    """

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        self.jobs: dict[int, dict[str, Any]] = {}
        self.open: dict[int, dict[str, Any]] = {}
        self.pieces: dict[int, tuple[memoryview, int, int]] = {}
        self.tombs: dict[int, dict[str, Any]] = {}
        self.slips: dict[int, dict[str, Any]] = {}
        self.epochs: dict[int, str] = {}
        self.meta: dict[str, Value] = {}
        self.ids: set[int] = set()  # job ids that an index names
        for kind, page, newest in pages.leaves():
            for row, size, at in pages.cells(kind, page):
                try:
                    self._row(kind, page, newest, row, size, at)
                except Broken:
                    continue
        for moved in {job["was"] for job in self.jobs.values()} & self.jobs.keys():
            del self.jobs[moved]
        for job in self.jobs.values():
            self.open.pop(job["capture"], None)

    def _row(self, kind: int, page: memoryview, newest: bool, row: int, size: int, at: int) -> None:
        if kind == TABLE_LEAF and size > 4 and _is_piece(page, at):
            self.pieces[row] = (page, size, at)  # its bytes are only looked at when its job is
            return
        values = record(self.pages.payload(kind, page, size, at))
        if kind == TABLE_LEAF:
            self._table_row(row, values, newest)
        elif len(values) == 2 and isinstance(values[0], str):
            if UUID.fullmatch(values[0]) and isinstance(values[1], int):
                self.epochs[values[1]] = values[0]
            else:
                self.meta[values[0]] = values[1]
        elif values and isinstance(values[-1], int):
            self.ids.add(values[-1])

    def _table_row(self, row: int, values: list[Value], newest: bool) -> None:
        if len(values) == 21 and values[0] is None and _fits(values[1:], JOB_TYPES):
            self.jobs[row] = dict(zip(JOB, values[1:], strict=True))
        elif len(values) == 8 and values[0] is None and _fits(values[1:], "tt-tiit"):
            if newest:
                self.open[row] = dict(zip(OPEN, values[1:], strict=True))
        elif len(values) == 6 and values[0] is None and _fits(values[1:5], "iiit"):
            if values[1]:
                self.tombs[row] = dict(zip(("n", "first", "last", "reason", "acked_ran"), values[1:], strict=True))
        elif len(values) == 2 and isinstance(values[1], str) and UUID.fullmatch(values[1]):
            self.epochs[row] = values[1]
        elif _fits(values, SLIP_TYPES):
            self.slips[row] = dict(zip(SLIP, values, strict=True))

    def raw(self, capture: int) -> bytes:
        """The bytes of a job, as far as they are there."""
        out = []
        for number in range(capture * PER_CAPTURE, (capture + 1) * PER_CAPTURE):
            if number not in self.pieces:
                break
            page, size, at = self.pieces[number]
            try:
                values = record(self.pages.payload(TABLE_LEAF, page, size, at))
            except Broken:
                break
            if len(values) != 2 or not isinstance(values[1], bytes):
                break
            out.append(values[1])
        return b"".join(out)

    def last(self) -> dict[int, int]:
        """The highest seq of each epoch that anything in the file speaks of."""
        out: dict[int, int] = dict.fromkeys(self.epochs, 0)
        was = {job["was"] for job in self.jobs.values() if isinstance(job["was"], int)}
        for id_ in self.jobs.keys() | self.ids | was:
            n, seq = id_ >> SEQ_BITS, id_ & (1 << SEQ_BITS) - 1
            if 0 < seq < SEQ_MOST and (n in out or id_ in self.jobs):
                out[n] = max(out.get(n, 0), seq)
        for tomb in self.tombs.values():
            if tomb["last"] < SEQ_MOST:
                out[tomb["n"]] = max(out.get(tomb["n"], 0), tomb["last"])
        return out


def _is_piece(page: memoryview, at: int) -> bool:
    """A record of two columns, the first NULL (its row id), the second bytes."""
    try:
        end, kinds = varint(page, at)
        first, kinds = varint(page, kinds)
        second, kinds = varint(page, kinds)
    except Broken:
        return False
    return kinds == at + end and first == 0 and second >= 12 and second % 2 == 0


def tell(found: Found, out: BinaryIO) -> None:
    def say(header: dict[str, Any], raw: bytes = b"") -> None:
        out.write(json.dumps(header | {"bytes": len(raw)}, default=_hex).encode() + b"\n" + raw)

    say({"epochs": found.epochs, "last": found.last(), "meta": found.meta})
    whole = lost = 0
    for id_, job in sorted(found.jobs.items()):
        raw = b""
        if job["reason"] is None:
            raw = found.raw(job["capture"])
            if hashlib.sha256(raw).digest() != job["sha256"]:
                lost += 1
                continue
        whole += 1
        say({"job": job | {"id": id_}}, raw)
    for capture, row in sorted(found.open.items()):
        raw = found.raw(capture)
        if raw:
            say({"open": row}, raw)
    for tomb in found.tombs.values():
        say({"tomb": tomb})
    for slip in found.slips.values():
        say({"slip": slip | {"raw": None}})
    say({"end": whole, "lost": lost})


def _hex(value: Any) -> str:
    assert isinstance(value, bytes)
    return value.hex()


def main(arguments: list[str]) -> int:
    try:
        tell(Found(Pages(Path(arguments[0]))), sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # the relay has ended; it asks again
        os._exit(1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
