"""What a printer says of itself: status bytes <-> values. Pure.

Source: Epson ESC/POS reference: DLE EOT n, GS r n, GS a n (automatic status back), GS I n, GS ( H (process id).
A printer's answers are told apart by fixed bits: bit 7 is always clear;
bits 4 and 1 set, bit 0 clear: one byte, DLE EOT · bit 4 set, bits 1 and 0 clear: four bytes, ASB ·
bit 4 clear: one byte, GS r and its kind · XON and XOFF · anything else with bit 4 set: a block, ended by NUL.

Star: Line Mode Command Specifications, appendix 2 (status specifications): ENQ (bit 4 clear), EOT (bit 4 set, bit 0
clear), and ASB, asked by ESC ACK SOH or sent at every change (first byte: bit 0 set, bit 4 clear, its length in bits
1 to 3, 5 and 6; bits 0, 4 and 7 of the bytes that follow are clear).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

XON, XOFF = 0x11, 0x13
MAX_BLOCK = 4096  # a longer "block" is no answer


@dataclass(frozen=True, slots=True)
class Status:
    """None where unknown; unknown never stops printing."""

    online: bool | None = None
    paper: str | None = None  # ok | near | out
    cover_open: bool | None = None
    error: bool | None = None
    drawer_open: bool | None = None
    feed_button: bool | None = None  # somebody holds it down; Star does not tell

    @property
    def trouble(self) -> str:
        """Why nothing will come out of this printer; "" when nothing is known to be wrong."""
        if self.paper == "out":
            return "paper out"
        if self.cover_open:
            return "cover open"
        if self.error:
            return "printer error"
        return "printer off-line" if self.online is False else ""

    def as_dict(self) -> dict[str, Any]:
        return {
            "online": self.online,
            "paper": self.paper,
            "cover_open": self.cover_open,
            "error": self.error,
            "drawer_open": self.drawer_open,
            "feed_button": self.feed_button,
        }


UNKNOWN = Status()


def from_eot(n: int, byte: int, was: Status) -> Status:
    """The answer to DLE EOT n (1 printer, 2 why off-line, 3 error, 4 roll paper)."""
    if n == 1:
        return replace(was, online=not byte & 0x08, drawer_open=not byte & 0x04, feed_button=bool(byte & 0x40))
    if n == 2:
        status = replace(was, cover_open=bool(byte & 0x04), error=bool(byte & 0x40))
        return replace(status, paper="out") if byte & 0x20 else status
    if n == 3:
        return replace(was, error=bool(byte & 0x6C))
    if n == 4:
        return replace(was, paper="out" if byte & 0x60 else "near" if byte & 0x0C else "ok")
    return was


def from_gs_r(n: int, byte: int, was: Status) -> Status:
    """The answer to GS r n: 1 or 49 paper sensors, 2 or 50 drawer. ESC v is GS r 1, ESC u is GS r 2."""
    if n in (1, 49):
        return replace(was, paper="out" if byte & 0x0C else "near" if byte & 0x03 else "ok")
    if n in (2, 50):
        return replace(was, drawer_open=not byte & 0x01)
    return was


def from_asb(four: bytes, was: Status) -> Status:
    """The four bytes that GS a enables."""
    first, second, third = four[0], four[1], four[2]
    return Status(
        online=not first & 0x08,
        paper="out" if third & 0x0C else "near" if third & 0x03 else "ok",
        cover_open=bool(first & 0x20),
        error=bool(second & 0x6C),
        drawer_open=not first & 0x04,
        feed_button=bool(first & 0x40 or second & 0x02),
    )


def eot_answer(n: int, status: Status, *, gone: bool = False) -> bytes:
    """What DLE EOT n says of a printer in this state; `gone`: it cannot be reached, hence off-line."""
    byte = 0x12
    if n == 1:
        byte |= 0 if status.drawer_open else 0x04
        byte |= 0x08 if gone or status.trouble else 0
    elif n == 2:
        byte |= 0x04 if status.cover_open else 0
        byte |= 0x20 if status.paper == "out" else 0
        byte |= 0x40 if status.error else 0
    elif n == 3:
        byte |= 0x40 if status.error else 0
    elif n == 4:
        byte |= {"near": 0x0C, "out": 0x6C}.get(status.paper or "", 0)
    return bytes([byte])


class Form(IntEnum):
    """How an answer looks."""

    REALTIME = 0
    ASB = 1
    BYTE = 2
    BLOCK = 3
    FLOW = 4
    NOISE = 5


def form(byte: int) -> Form:
    """Of the first byte of an answer."""
    if byte & 0x80:
        return Form.NOISE
    if not byte & 0x10:
        return Form.BYTE
    low = byte & 0x03
    if low == 2:
        return Form.REALTIME
    if low == 0:
        return Form.ASB
    return Form.FLOW if byte in (XON, XOFF) else Form.BLOCK


class Answers:
    """Cuts what a printer sends into answers, however it arrives. Joined, all answers and `pending` are the input."""

    def __init__(self) -> None:
        self.pending = b""

    def feed(self, data: bytes) -> list[tuple[Form, bytes]]:
        data = self.pending + data
        self.pending = b""
        answers: list[tuple[Form, bytes]] = []
        at = 0
        while at < len(data):
            kind = form(data[at])
            size = 1
            if kind is Form.ASB:
                size = 4
                if any(byte & 0x90 for byte in data[at + 1 : at + 4]):
                    kind, size = Form.NOISE, 1
            elif kind is Form.BLOCK:
                end = data.find(0, at, at + MAX_BLOCK)
                size = end + 1 - at if end >= 0 else MAX_BLOCK
            if at + size > len(data):
                self.pending = data[at:]
                break
            answers.append((kind, data[at : at + size]))
            at += size
        return answers


# ---------------------------------------------------------------------------------------------- Star

ENQ, EOT, STAR_ASK = b"\x05", b"\x04", b"\x1b\x06\x01"
STAR_SHORTEST, STAR_LONGEST = 7, 31


def star_length(first: int) -> int:
    """Of an ASB block, header included, by its first byte; 0: this is no such byte."""
    size = first >> 1 & 7 | first >> 2 & 0x18
    return size if first & 0x91 == 1 and size >= STAR_SHORTEST else 0


def from_star_asb(block: bytes, was: Status) -> Status:
    """Bytes 3 to 6: printer, errors, more errors, sensors. The drawer is open where its switch is closed (bit 2 set),
    as drawers are wired by custom."""
    printer, errors, more, sensors = block[2:6]
    return Status(
        online=not printer & 0x08,
        paper="out" if sensors & 0x08 else "near" if sensors & 0x06 else "ok",
        cover_open=bool(printer & 0x20),
        error=bool(errors & 0x6C or more & 0x0E),
        drawer_open=bool(printer & 0x04),
    )


def from_star_byte(byte: int, was: Status) -> Status:
    """The answer to EOT (bit 4 set: paper) or ENQ (bit 4 clear: paper, mechanics, drawer switch)."""
    if byte & 0x10:
        return replace(was, paper="out" if byte & 0x08 else "near" if byte & 0x06 else "ok")
    paper = "out" if byte & 0x08 else "ok" if was.paper == "out" else was.paper
    return replace(was, paper=paper, error=bool(byte & 0x04), drawer_open=bool(byte & 0x80))


def star_answer(question: bytes, status: Status, *, gone: bool = False) -> bytes:
    """What a Star printer in this state answers. b"" to ENQ and EOT of one that is gone: they cannot say off-line, and
    a till takes silence for it."""
    sensors = {"near": 0x06, "out": 0x0E}.get(status.paper or "", 0)
    if question == STAR_ASK:
        printer = 0x08 if gone or status.trouble else 0
        printer |= (0x20 if status.cover_open else 0) | (0x04 if status.drawer_open else 0)
        return bytes([0x0F, 0x06, printer, 0x20 if status.error else 0, 0, sensors, 0])
    if gone or question not in (ENQ, EOT):
        return b""
    if question == EOT:
        return bytes([0x10 | sensors])
    closed = 0x80 if status.drawer_open else 0
    return bytes([0x20 | closed | (0x08 if status.paper == "out" else 0) | (0x04 if status.error else 0)])


class StarAnswers:
    """As `Answers`, of a Star printer."""

    def __init__(self) -> None:
        self.pending = b""

    def feed(self, data: bytes) -> list[tuple[Form, bytes]]:
        data = self.pending + data
        self.pending = b""
        answers: list[tuple[Form, bytes]] = []
        at = 0
        while at < len(data):
            byte = data[at]
            kind, size = Form.REALTIME, 1
            if length := star_length(byte):
                so_far = data[at + 1 : at + length]
                if any(other & 0x91 for other in so_far):
                    kind = Form.NOISE
                elif len(so_far) < length - 1:
                    self.pending = data[at:]
                    break
                else:
                    kind, size = Form.ASB, length
            elif byte & 0x11 == 0x11:
                kind = Form.FLOW if byte in (XON, XOFF) else Form.NOISE
            answers.append((kind, data[at : at + size]))
            at += size
        return answers


# ---------------------------------------------------------------------------------------------- what else is asked


def process_id(answer: bytes) -> bytes | None:
    """The id in an answer to GS ( H fn 48 (37h 22h d1..d4 NUL); None: it is another answer."""
    return answer[2:6] if len(answer) == 7 and answer[:2] == b"\x37\x22" else None


def ask_process_id(number: bytes) -> bytes:
    """GS ( H fn 48: answer these four bytes (32..126 each) once all that came before is printed."""
    if len(number) != 4 or not all(32 <= byte <= 126 for byte in number):
        raise ValueError(f"a process id is four printable bytes, not {number!r}")
    return b"\x1d(H\x06\x00\x30\x30" + number


def info_text(answer: bytes) -> str | None:
    """The text in an answer to GS I 65..112 (5Fh text NUL); None: it is another answer."""
    return answer[1:-1].decode("ascii", "replace") if answer[:1] == b"\x5f" and answer[-1:] == b"\0" else None
