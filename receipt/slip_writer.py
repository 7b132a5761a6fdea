"""How a slip is put on a printer's paper: sizes, lines, wrapping, pictures and codes. python-escpos is used as an
encoder only, imported late.

Every text goes out as printable ASCII, in a code page the printer has, as double bytes, or drawn (receipt/script.py).

Source: Epson ESC/POS reference (ESC @, ESC a, ESC E, GS !, FS &, FS ., ESC d, GS V, GS ( k); GB18030-2005.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from receipt import logo
from receipt.script import Script, draw, raster

if TYPE_CHECKING:
    from receipt.slip import SlipItem

COLUMNS = 42  # of the normal font on 80 mm paper; 32 on 58 mm
MOST_LINES = 400  # about 1.5 m of paper
MOST_DRAWN = 400_000  # bytes of lines that have to be drawn; the relay takes slips of 512 KiB
CLOSING = frozenset("，。、；：？！）］｝」』】》〉ー々")  # begin no line
OPENING = frozenset("（［｛「『【《〈")  # end no line
COMMANDS = (
    "init",
    "align",
    "bold",
    "size",
    "kanji_on",
    "kanji_off",
    "kanji_code",
    "code_page",
    "text",
    "line_feed",
    "raster",
    "symbol_settings",
    "symbol_store",
    "symbol_print",
    "feed",
    "cut",
)
"""All that a slip is made of: ESC @, a, E, t, d, GS !, v 0, ( k, V, FS &, ., C, text and LF."""


class Model(Protocol):
    """What has to be known of a printer (config.models.Model)."""

    @property
    def columns(self) -> int: ...
    @property
    def dots(self) -> int: ...
    @property
    def code_pages(self) -> str: ...
    @property
    def double(self) -> str: ...
    @property
    def raster(self) -> bool: ...
    @property
    def qr(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Paper:
    """What a printer puts on paper."""

    columns: int = COLUMNS  # characters in a line of the normal font
    script: Script = field(default_factory=Script)
    dots: int = 0  # in a line; 0: 12 for each column
    qr: bool = True  # it draws QR codes by itself; else they are sent as pictures

    @property
    def width(self) -> int:
        return self.dots or self.columns * 12


def paper_of(model: Model) -> Paper:
    pages = tuple(int(n) for n in model.code_pages.split())
    return Paper(model.columns, Script(pages, model.double, model.raster), model.dots, model.qr)


def clean(text: str) -> str:
    """Printable characters on one line: controls, format and private characters gone, space runs made one space."""
    kept = (" " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c)[0] != "C")
    return re.sub(" {2,}", " ", "".join(kept)).strip()


def money(minor: int, digits: int) -> str:
    """
    >>> money(-1205, 2), money(950, 0)
    ('-12.05', '950')
    """
    sign, value = "-" if minor < 0 else "", abs(minor)
    return f"{sign}{value // 10**digits}.{value % 10**digits:0{digits}}" if digits else f"{sign}{value}"


def wrap(text: str, columns: int, script: Script = Script()) -> list[str]:  # noqa: B008
    """Lines of at most `columns`, broken at spaces where there are some, and between Chinese or Japanese letters."""
    width = script.width
    lines, line = [], ""
    for word in re.findall(r"\S+", text):
        while word:
            room = columns - width(line) - (1 if line else 0)
            if width(word) <= room:
                line, word = f"{line} {word}" if line else word, ""
            elif line and (head := _fits(word, room, width)):
                lines.append(f"{line} {head}")
                line, word = "", word[len(head) :]
            elif line:
                lines.append(line)
                line = ""
            else:
                head = _fits(word, columns, width) or word[:columns]
                while width(head) > columns and len(head) > 1:
                    head = head[:-1]
                lines.append(head)
                word = word[len(head) :]
    return [*lines, line] if line else lines


def _fits(word: str, room: int, width: Callable[[str], int]) -> str:
    """The longest beginning of a word that may end a line, before a Chinese or Japanese letter; "" if there is none."""
    found = ""
    for end in range(1, len(word)):
        if width(word[:end]) > room:
            break
        here = unicodedata.east_asian_width(word[end]) in "WF" and word[end] not in CLOSING
        if here and word[end - 1] not in OPENING:
            found = word[:end]
    return found


class Writer:
    """Writes through python-escpos's Dummy; counts lines."""

    def __init__(self, paper: Paper, allergens: str = "Allergens") -> None:
        self.allergens = allergens
        self.paper, self.columns, self.script, self.lines = paper, paper.columns, paper.script, 0
        self.drawn = 0  # bytes of pictures
        self.out = encoder()()
        self.out.hw("INIT")

    def huge(self, text: str) -> None:
        """Three times the normal size where it fits on one line, else twice."""
        size = 3 if self.script.width(text) <= self.columns // 3 else 2
        self._block(text, self.columns // size, align="center", bold=True, custom_size=True, width=size, height=size)

    def big(self, text: str) -> None:
        self._block(text, self.columns // 2, align="center", bold=True, custom_size=True, width=2, height=2)

    def tall(self, text: str) -> None:
        self._block(text, self.columns, align="center", bold=True, custom_size=True, width=1, height=2)

    def middle(self, text: str, bold: bool = False) -> None:
        if text:
            self._block(text, self.columns, align="center", bold=bold, custom_size=True, width=1, height=1)

    def plain(self, text: str, indent: str = "", hanging: str = "", bold: bool = False) -> None:
        self._block(text, self.columns, indent, hanging, align="left", bold=bold, custom_size=True, width=1, height=1)

    def rule(self) -> None:
        self.plain("-" * self.columns)

    def labelled(self, label: str, text: str) -> None:
        self.plain(f"{label}: {clean(text)}", hanging="  ")

    def item(self, item: SlipItem, digits: int | None) -> None:
        """`digits`: decimals of its price; None: no prices."""
        price = "" if item.unit_price is None or digits is None else money(item.quantity * item.unit_price, digits)
        self._block(
            f"{item.quantity} x {clean(item.name)}", self.columns, "", "    ", price,
            align="left", bold=True, custom_size=True, width=1, height=2,
        )  # fmt: skip
        for option in item.options:
            self.plain(clean(option), "    + ", "      ")
        if item.allergens:
            self.plain(f"{self.allergens}: " + ", ".join(map(clean, item.allergens)), "    ", "      ", bold=True)
        if item.note:
            self.plain(clean(item.note), "    ! ", "      ", bold=True)

    def total(self, label: str, value: str) -> None:
        self._block(label, self.columns, "", "", value, align="left", bold=True, custom_size=True, width=1, height=2)

    def picture(self, png: bytes) -> None:
        if not self.script.raster:
            return
        try:
            width, height, data = logo.dots(png, self.paper.width)
        except (OSError, ValueError, SyntaxError):  # it was checked when it was stored; an order never waits for it
            return
        self.out.set(align="center")
        self.out._raw(raster(width, height, data))
        self.drawn += len(data)

    def code(self, text: str) -> None:
        """A QR code of printable ASCII."""
        text = "".join(c for c in text if " " <= c <= "~")[:300]
        if not text or self.lines >= MOST_LINES:
            return
        self.out.set(align="center", bold=False, custom_size=True, width=1, height=1)
        if self.paper.qr:
            self.out.qr(text, native=True, size=5 if self.columns > 36 else 4)
            return
        if self.script.raster:
            width, height, data = _qr_dots(text, self.paper.width)
            self.out._raw(raster(width, height, data))

    def cut(self) -> bytes:
        self.out.set(align="left", bold=False, custom_size=True, width=1, height=1)
        self.out.cut()
        output: bytes = self.out.output
        return output

    def _block(
        self, text: str, columns: int, indent: str = "", hanging: str = "", right: str = "", **style: Any
    ) -> None:
        """`right` stands at the right edge of the first line; the text leaves it room."""
        self.out.set(**style)
        lead = max(len(indent), len(hanging))
        room = columns - lead - (len(right) + 1 if right else 0)
        for number, line in enumerate(wrap(text, max(8, room), self.script)):
            self.lines += 1
            if self.lines < MOST_LINES and self.drawn > MOST_DRAWN:
                self.lines = MOST_LINES
            if self.lines == MOST_LINES:
                self.out._raw(b"... (cut short)\n")
            if self.lines >= MOST_LINES:
                return
            self._line((hanging if number else indent) + line, "" if number else right, style)

    def _line(self, text: str, right: str, style: dict[str, Any]) -> None:
        raw = self.script.encode(text)
        if raw is None:
            raw = draw(
                text, self.columns, wide=style["width"], tall=style["height"], bold=style["bold"],
                centre=style["align"] == "center", right=right,
            )  # fmt: skip
            self.drawn += len(raw)
            self.out._raw(raw)
            return
        gap = self.columns // style["width"] - self.script.width(text) - len(right)
        self.out._raw(raw + (b" " * max(1, gap) + right.encode("ascii") if right else b"") + b"\n")


def _qr_dots(text: str, widest: int) -> tuple[int, int, bytes]:
    """A QR code as rows of dots, each of its squares 4 or 8 dots wide."""
    import segno

    squares = [bytes(row) for row in segno.make_qr(text, error="m").matrix_iter(border=2)]
    scale = 8 if len(squares) * 8 <= min(widest, 320) else 4
    width = (len(squares) * scale + 7) // 8 * 8
    rows = bytearray()
    for row in squares:
        bits = "".join(("1" if square else "0") * scale for square in row).ljust(width, "0")
        rows += int(bits, 2).to_bytes(width // 8, "big") * scale
    return width, len(squares) * scale, bytes(rows)


def encoder() -> Any:
    """python-escpos's Dummy: it only collects bytes.

    Loading it makes a folder for its printer database in /tmp, each time anew, and leaves it there: it is taken away.
    """
    first = "escpos.capabilities" not in sys.modules
    from escpos.printer import Dummy

    if first and "ESCPOS_CAPABILITIES_PICKLE_DIR" not in os.environ:
        shutil.rmtree(sys.modules["escpos.capabilities"].pickle_dir, ignore_errors=True)
    return Dummy
