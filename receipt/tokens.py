r"""Cut a POS byte stream into ESC/POS or Star commands and runs of text. Pure.

`Scanner` frames a live stream for the relay: it says where each command begins and ends and holds no payload.
`Tokenizer` gives whole tokens, for reading. The command sets are the tables in `receipt.commands` and `receipt.star`,
each row with its source.

The two dialects give the same bytes different meanings (ESC d feeds in ESC/POS and cuts at Star). `Dialect.AUTO` starts
as ESC/POS and changes at the first command that only the other dialect has; `detect` judges a whole job.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from receipt.commands import ESCPOS, FUNCTIONS, TEXT, UNKNOWN, Answer, Command, Effect
from receipt.star import RASTER_PART, RASTER_ROW, STAR

__all__ = ["Answer", "Command", "Dialect", "Effect", "Mark", "Scanner", "Token", "Tokenizer", "detect"]

_HEAD = 320  # no command needs more bytes than this before its length is known
_TEXT_MOST = 4096  # a longer run of text comes as several tokens
_PIECE = 65536  # a command longer than `max_pending` comes in pieces of this size

_Entry = tuple[int, Command]  # (whole length, row); length 0: ask `_measure`
_Lead = list["_Entry | list[_Entry]"]
_LATER: _Entry = (0, UNKNOWN)
_run_of_text = re.compile(rb"[^\x00-\x1f]+").match


class Dialect(Enum):
    AUTO = "auto"
    ESCPOS = "escpos"
    STAR = "star"


class Mark(NamedTuple):
    """One command, or a run of text: bytes `start` to `end` of the stream since the scanner was made.

    `end` may lie beyond what was fed: the length is known, the payload is still to come.
    `command.part` means that more marks of the same command follow (only where its length is known piece by piece).
    """

    command: Command
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Token:
    name: str  # "text", "unknown", or the name of a row of the tables
    raw: bytes  # exactly the bytes it was cut from
    command: Command = field(repr=False, compare=False)


def _lead_table(rows: dict[bytes, Command]) -> _Lead:
    """What a byte, or a byte and the next, begins: the fast way into the table."""
    lead: _Lead = [(1, UNKNOWN)] * 256
    begun = {prefix[:length] for prefix in rows for length in range(1, len(prefix))}
    for prefix, row in rows.items():
        if len(prefix) == 1 and prefix not in begun:
            lead[prefix[0]] = (1, row)
    for first in {prefix[0] for prefix in rows if len(prefix) > 1}:
        lead[first] = [_LATER] * 256
    for prefix, row in rows.items():
        seconds = lead[prefix[0]]
        if len(prefix) == 2 and prefix not in begun and row.variant is None and isinstance(seconds, list):
            seconds[prefix[1]] = (row.size, row) if isinstance(row.size, int) and row.size else _LATER
    return lead


def _raster_table(rows: dict[bytes, Command]) -> _Lead:
    """Star's raster mode: letters are commands, and what ends the mode is looked at twice."""
    lead = _lead_table(rows)
    escapes = lead[0x1B]
    assert isinstance(escapes, list)
    escapes[0x40] = _LATER
    lead[0x1D] = [_LATER] * 256
    lead[0x62] = lead[0x6B] = _LATER
    return lead


class _Set:
    """A dialect's table, prepared."""

    def __init__(self, rows: dict[bytes, Command], lead: _Lead) -> None:
        self.rows = rows
        self.lead = lead
        self.begun = {prefix[:length] for prefix in rows for length in range(1, len(prefix))}


_ESCPOS = _Set(ESCPOS, _lead_table(ESCPOS))
_STAR = _Set(STAR, _lead_table(STAR))
_STAR.lead[0x1D] = [_LATER] * 256  # no Star command, but what tells ESC/POS
_STAR_RASTER = _Set(STAR | {b"b": RASTER_ROW, b"k": RASTER_PART}, _raster_table(STAR))

# Commands that only one dialect has: what makes AUTO change. ESC before GS, RS or ACK means nothing in ESC/POS, nor
# does ESC * with "r" for a mode; no Star command begins with GS.
_ONLY_STAR = {prefix[:3] for prefix in STAR if prefix[:2] in (b"\x1b\x1d", b"\x1b\x1e")} | {b"\x1b\x06\x01"}
_ONLY_STAR_RASTER = {b"\x1b*r" + bytes([letter]) for letter in b"ABCDEFKPQRTYem"}
_MAYBE_STAR = {prefix[:2] for prefix in _ONLY_STAR | _ONLY_STAR_RASTER}
_ONLY_ESCPOS = {prefix[:2] for prefix in ESCPOS if prefix[0] == 0x1D}

# Commands whose length is only known piece by piece: lead bytes, then the header of each piece.
_DEFINE_CHARACTERS = ESCPOS[b"\x1b&"]
_PARTS = {
    row: Command(row.name, 0, row.effect, row.source, part=True)
    for row in (_DEFINE_CHARACTERS, ESCPOS[b"\x1cq"], STAR[b"\x1b\x1cq"])
}


# Every row there is, those of function codes too: for tables keyed by row.
ALL_COMMANDS: tuple[Command, ...] = (
    *ESCPOS.values(),
    *STAR.values(),
    *FUNCTIONS,
    RASTER_ROW,
    RASTER_PART,
    *_PARTS.values(),
)


class _Pieces(NamedTuple):
    """What is still to come of a command that is known piece by piece."""

    command: Command
    left: int
    rows: int  # ESC &: bytes per column; 0: NV images


class Scanner:
    r"""Say where the commands of a live stream begin and end.

    >>> [(row.name, start, end) for row, start, end in Scanner().feed(b"TOTAL 4.50\n\x1dv0\x00\x08\x00\x02\x00")]
    [('text', 0, 10), ('line_feed', 10, 11), ('raster', 11, 35)]

    Takes   bytes of any length, in stream order.
    Gives   the marks whose length is now known, in order and without gaps.
    Raises  nothing, whatever the bytes.
    Holds   the not yet recognised head of one command, less than 320 bytes. Payloads are counted, never kept.
    """

    __slots__ = ("_auto", "_head", "_pieces", "_set", "_until", "position")

    def __init__(self, dialect: Dialect = Dialect.AUTO) -> None:
        self.position = 0  # bytes fed so far
        self._auto = dialect is Dialect.AUTO
        self._set = _STAR if dialect is Dialect.STAR else _ESCPOS
        self._head = b""
        self._until = 0  # where the last mark ends
        self._pieces: _Pieces | None = None

    @property
    def dialect(self) -> Dialect:
        """The table in use now; never AUTO."""
        return Dialect.ESCPOS if self._set is _ESCPOS else Dialect.STAR

    @property
    def head_start(self) -> int:
        """Where the not yet recognised head begins; `position` when there is none."""
        return self.position - len(self._head)

    @property
    def missing(self) -> int:
        """Bytes of the last command that are still to come, as far as its length is known."""
        return max(self._until - self.position, 0)

    @property
    def at_boundary(self) -> bool:
        """The bytes fed so far end exactly between two tokens."""
        return not self._head and self._until <= self.position and self._pieces is None

    def feed(self, data: bytes | memoryview) -> list[Mark]:
        base = self.position
        self.position = base + len(data)
        if self._until >= self.position:
            return []
        if self._head:
            base -= len(self._head)
            data = self._head + bytes(data)
            self._head = b""
        marks: list[Mark] = []
        add = marks.append
        new = tuple.__new__
        at, size = max(self._until - base, 0), len(data)
        end = 0
        lead, floor = self._set.lead, 255 if self._set is _STAR_RASTER else 31
        while at < size:
            byte = data[at]
            if byte > floor and self._pieces is None:
                end = _run_of_text(data, at).end()  # type: ignore[union-attr]
                add(new(Mark, (TEXT, base + at, base + end)))
                at = end
                continue
            entry = lead[byte]
            if isinstance(entry, list):
                entry = entry[data[at + 1]] if at + 1 < size else _LATER
            length, command = entry
            if not length or self._pieces is not None:
                found = self._measure(bytes(data[at : at + _HEAD]))
                if found is None:
                    self._head = bytes(data[at:])
                    break
                length, command = found
                lead, floor = self._set.lead, 255 if self._set is _STAR_RASTER else 31
            end = at + length
            add(new(Mark, (command, base + at, base + end)))
            at = end
        self._until = base + at
        return marks

    def _measure(self, head: bytes) -> _Entry | None:
        """Length and row of what begins here; None: more bytes are needed. May change the dialect."""
        if self._pieces is not None:
            return self._next_piece(self._pieces, head)
        if self._auto and not self._settle(head):
            return None
        table = self._set
        if head in table.begun:
            return None
        for length in (4, 3, 2, 1):
            row = table.rows.get(head[:length])
            if row is not None and len(head) >= length:
                break
        else:
            if len(head) == 1 and isinstance(table.lead[head[0]], list):
                return None
            return (2 if len(head) > 1 and head[0] < 32 and 32 <= head[1] < 127 else 1), UNKNOWN
        if row in _PARTS:
            return self._first_piece(row, head)
        size = row.size if isinstance(row.size, int) else row.size(head)
        if size is None:
            return None
        if row.variant is not None:
            if len(head) < min(size, row.needs):
                return None
            row = row.variant(head[:size]) or row
        if table is not _ESCPOS:
            self._enter_or_leave_raster(row)
        return size, row

    def _settle(self, head: bytes) -> bool:
        """Change the dialect where the head belongs to the other one alone. False: more bytes are needed to tell."""
        if self._set is _ESCPOS:
            if head[:2] not in _MAYBE_STAR:
                return True
            if len(head) < 3 or (head[:3] == b"\x1b*r" and len(head) < 4):
                return False
            if head[:3] in _ONLY_STAR or head[:4] in _ONLY_STAR_RASTER:
                self._set = _STAR
        elif head[0] == 0x1D:
            if len(head) < 2:
                return False
            if head[:2] in _ONLY_ESCPOS:
                self._set = _ESCPOS
        return True

    def _enter_or_leave_raster(self, row: Command) -> None:
        if row.name == "star_raster_on":
            self._set = _STAR_RASTER
        elif row.name in ("star_raster_off", "initialise"):
            self._set = _STAR

    def _first_piece(self, row: Command, head: bytes) -> _Entry | None:
        """ESC & y c1 c2, FS q n, ESC FS q n: the header, and how many pieces follow."""
        length = 5 if row is _DEFINE_CHARACTERS else 3 if head[0] == 0x1C else 4
        if len(head) < length:
            return None
        rows = head[2] if row is _DEFINE_CHARACTERS else 0
        left = max(head[4] - head[3] + 1, 0) if row is _DEFINE_CHARACTERS else head[length - 1]
        if not left:
            return length, row
        self._pieces = _Pieces(row, left, rows)
        return length, _PARTS[row]

    def _next_piece(self, pieces: _Pieces, head: bytes) -> _Entry | None:
        if pieces.command is _DEFINE_CHARACTERS:
            length = 1 + head[0] * pieces.rows
        elif len(head) < 4:
            return None
        else:
            length = 4 + 8 * int.from_bytes(head[:2], "little") * int.from_bytes(head[2:4], "little")
        if pieces.left == 1:
            self._pieces = None
            return length, pieces.command
        self._pieces = pieces._replace(left=pieces.left - 1)
        return length, _PARTS[pieces.command]


class Tokenizer:
    r"""Turn POS bytes, however they arrive, into tokens.

    >>> Tokenizer().feed(b"TOTAL 4.50\n\x1bp")
    [Token(name='text', raw=b'TOTAL 4.50'), Token(name='line_feed', raw=b'\n')]

    Takes   bytes of any length, in stream order.
    Gives   the tokens those bytes completed; joined, all `raw` plus `pending` are the input.
    Raises  nothing, whatever the bytes: what no command explains is named "unknown".
    Holds   less than `max_pending` bytes; a longer command comes out as "unknown" pieces.
    """

    def __init__(self, dialect: Dialect = Dialect.AUTO, max_pending: int = 4 * 1024 * 1024) -> None:
        self.pending = bytearray()
        self._scanner = Scanner(dialect)
        self._base = 0  # the stream offset of pending[0]
        self._marks: list[Mark] = []  # whose bytes are not all out yet
        self._max = max_pending
        self._spilling = False  # in a command too long to be kept

    @property
    def dialect(self) -> Dialect:
        return self._scanner.dialect

    def feed(self, data: bytes) -> list[Token]:
        self.pending += data
        for mark in self._scanner.feed(data):
            before = self._marks[-1] if self._marks else None
            if before is not None and (before.command.part or before.command is mark.command is TEXT):
                self._marks[-1] = Mark(mark.command, before.start, mark.end)
            else:
                self._marks.append(mark)
        return self._take(final=False)

    def close(self) -> list[Token]:
        """The stream is over: what is pending, as tokens. A command that was cut short keeps its name."""
        tokens = self._take(final=True)
        if self.pending:
            tokens.append(Token("unknown", bytes(self.pending), UNKNOWN))
            self._base += len(self.pending)
            self.pending.clear()
        return tokens

    def _take(self, final: bool) -> list[Token]:
        tokens: list[Token] = []
        start, fed, out = self._base, self._scanner.position, 0
        for number, mark in enumerate(self._marks, 1):
            end = min(mark.end, fed)
            whole = final or (
                number < len(self._marks) if mark.command is TEXT else mark.end <= fed and not mark.command.part
            )
            self._spilling = self._spilling or (mark.end - start > self._max and mark.command is not TEXT)
            if mark.command is TEXT or self._spilling:
                start = self._pieces(tokens, mark.command, start, end, whole)
            elif whole:
                at = start - self._base
                tokens.append(Token(mark.command.name, bytes(self.pending[at : end - self._base]), mark.command))
                start = end
            if not whole:
                break
            self._spilling, out = False, number
        del self._marks[:out]
        del self.pending[: start - self._base]
        self._base = start
        return tokens

    def _pieces(self, tokens: list[Token], command: Command, start: int, end: int, whole: bool) -> int:
        """Bytes `start` to `end` in pieces of one size; a short last one only when `whole`. Gives the new start."""
        command, most = (TEXT, _TEXT_MOST) if command is TEXT else (UNKNOWN, _PIECE)
        while end - start >= most or (whole and end > start):
            at, size = start - self._base, min(most, end - start)
            tokens.append(Token(command.name, bytes(self.pending[at : at + size]), command))
            start += size
        return start


def detect(raw: bytes) -> Dialect:
    """ESC/POS or Star, judged over a whole job. Never AUTO.

    A command that only one of them has decides. Without one, the dialect whose commands are used less oddly does.
    """
    scanner = Scanner()
    marks = scanner.feed(raw)
    if scanner.dialect is Dialect.STAR or not any(sign in raw for sign in LIKE_STAR):
        return scanner.dialect
    if any(mark.command.name in _PLAIN_ESCPOS for mark in marks):
        return Dialect.ESCPOS
    star = _oddities(raw, Scanner(Dialect.STAR).feed(raw))
    return Dialect.STAR if star < _oddities(raw, marks) else Dialect.ESCPOS


# What Star printers are sent, and others hardly: ESC d with a digit, sizes, bold and inverse without a parameter.
LIKE_STAR = (b"\x1bd0", b"\x1bd1", b"\x1bd2", b"\x1bd3", b"\x1bi\x00", b"\x1bi\x01", b"\x1bF", b"\x1b4", b"\x1b5")
_PLAIN_ESCPOS = frozenset(("print_mode", "size", "cut", "raster", "symbol_store", "barcode", "kanji_on", "font"))
_SWITCHES = frozenset(("bold", "underline", "double_strike", "upside_down", "slip_eject", "italic", "italic_off"))


def _oddities(raw: bytes, marks: list[Mark]) -> int:
    """How often commands are followed by what they never take: a switch by a letter, a feed by a digit's code."""
    odd = 0
    for at, (command, start, end) in enumerate(marks):
        name, last = command.name, raw[end - 1] if end <= len(raw) else 0
        if command is UNKNOWN:
            odd += 1
        elif name in _SWITCHES:
            odd += last not in b"\x00\x01\x02012"
        elif name == "feed_lines":
            odd += last >= 48
        elif name == "cut_full":
            odd += 2 * (at + 1 < len(marks) and raw[end : end + 1] < b"\x08")
        elif name in ("star_cut", "star_wide", "star_high"):
            odd += last not in b"\x00\x01\x02\x03\x04\x050123456"
        elif name == "star_size":
            odd += max(raw[start + 2 : end], default=0) > 53
        elif name == "page_area":
            odd += 2
    return odd
