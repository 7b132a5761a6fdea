"""Bytes of one POS that may not pass yet, in order: cut into pieces where a cut waits for the journal."""

from __future__ import annotations

from collections import deque

from relay.cut import Gate
from relay.kinds import Note

LIFTED = (b"\x10\x04", b"\x1b\x06")  # DLE EOT n, and Star's ESC ACK SOH


class Piece:
    """`at` is where it begins in the stream; `gate`: the cut that it begins with waits for the journal."""

    __slots__ = ("at", "data", "gate", "notes")

    def __init__(self, at: int, data: bytes, gate: Gate | None, notes: list[Note]) -> None:
        self.at, self.data, self.gate, self.notes = at, data, gate, notes


class Held:
    """True while there is a piece; `size` in bytes."""

    def __init__(self) -> None:
        self._pieces: deque[Piece] = deque()
        self.size = 0

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def add(self, data: bytes, start: int, gates: list[Gate], notes: list[Note]) -> None:
        """`start` is where they begin in the stream; gates and notes are of these bytes."""
        edges = [gate.at - start for gate in gates]
        at = 0
        for number, end in enumerate([*edges, len(data)]):
            if end > at or number:
                gate = gates[number - 1] if number else None
                mine = [note for note in notes if at < note.end - start <= end]
                self._pieces.append(Piece(start + at, data[at:end], gate, mine))
            at = end
        self.size += len(data)

    def may_pass(self) -> bool:
        """Is there a piece, and does its cut wait no longer?"""
        return bool(self._pieces) and ((gate := self._pieces[0].gate) is None or gate.is_open)

    def take(self) -> Piece:
        piece = self._pieces.popleft()
        self.size -= len(piece.data)
        return piece

    def begins_with_a_cut(self) -> bool:
        first = self._pieces[0]
        return first.gate is not None and first.gate.at == first.at

    def lift(self) -> list[bytes]:
        """Take out the real-time questions that stand among the bytes, where that is certain."""
        lifted: list[bytes] = []
        for piece in self._pieces:
            for note in [note for note in piece.notes if len(note.raw) == 3 and note.raw[:2] in LIFTED]:
                at = piece.data.find(note.raw)
                if at < 0 or piece.data.find(note.raw, at + 1) >= 0:
                    continue
                piece.data = piece.data[:at] + piece.data[at + len(note.raw) :]
                piece.notes.remove(note)
                self.size -= len(note.raw)
                lifted.append(note.raw)
        return lifted

    def open_gates(self) -> None:
        for piece in self._pieces:
            piece.gate = None

    def clear(self) -> None:
        self._pieces.clear()
        self.size = 0
