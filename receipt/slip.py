"""An order as a slip: values in, ESC/POS bytes out. Pure. python-escpos is used as an encoder only, imported late.

What a customer wrote is data, never commands: control and format characters are taken out before encoding, and every
text goes out as printable ASCII, in a code page the printer has, as double bytes, or drawn (receipt/script.py).
A customer's words stand indented or behind a label, so that no note can pass for a head of ours.

Source: Epson ESC/POS reference (ESC @, ESC a, ESC E, GS !, FS &, FS ., ESC d, GS V, GS ( k); GB18030-2005.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from receipt import logo
from receipt.script import Script, draw, raster
from receipt.slip_words import words

COLUMNS = 42  # of the normal font on 80 mm paper; 32 on 58 mm
MOST_LINES = 400  # about 1.5 m of paper
MOST_DRAWN = 400_000  # bytes of lines that have to be drawn; the relay takes slips of 512 KiB
KINDS = ("dine_in", "takeaway", "delivery")
OWN = ("table", "shop")  # channels of our own: the order's kind says it already
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


@dataclass(frozen=True, slots=True)
class SlipItem:
    name: str
    quantity: int = 1
    unit_price: int | None = None  # minor units
    options: tuple[str, ...] = ()
    note: str = ""
    allergens: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Slip:
    """What one printer prints of one order."""

    number: str  # short, for people
    kind: str  # dine_in | takeaway | delivery
    items: tuple[SlipItem, ...]
    channel: str = ""
    table: str = ""
    customer: str = ""
    note: str = ""
    currency: str = ""
    total: int | None = None  # minor units
    placed_at: str = ""
    due_at: str = ""
    shop: str = ""
    part: str = ""  # "kitchen": shown where the order has more than one
    copy_number: int = 1
    copies: int = 1  # planned ones: "Kitchen 1/2"
    label: str = ""  # what people call the part; empty: its name
    phone: str = ""  # masked
    address: str = ""
    distance: str = ""
    link: str = ""  # as a QR code; empty: none
    header: tuple[str, ...] = ()
    footer: tuple[str, ...] = ()
    logo: bytes = b""  # PNG (receipt/logo.py)
    prices: bool = True
    language: str = "en"


def prepare() -> None:
    """Load the encoder (a third of a second), so that the first order does not wait for it."""
    _encoder()


def render(
    slip: Slip,
    mark: str = "",
    columns: int = COLUMNS,
    minor_digits: int = 2,
    script: Script = Script(),  # noqa: B008
    paper: Paper | None = None,
) -> bytes:
    """-> the job: ESC @, the slip, feed, cut.

    mark            what stands at its head and foot in large letters: "", "REPRINT", "COPY 1", "STOP PREPARING"
    minor_digits    decimals of the currency
    paper           what the printer can do; without it, `columns` and `script`
    """
    say = words(slip.language)
    out = _Writer(paper or Paper(columns, script), say["allergens"])
    if slip.logo and not mark:
        out.picture(slip.logo)
    for line in slip.header:
        out.middle(clean(line))
    if mark:
        out.big(f"** {clean(mark)} **")
        if mark.startswith("STOP") and say["stop"]:
            out.big(say["stop"])
    out.huge(say[slip.kind] if slip.kind in KINDS else clean(slip.kind).upper())
    if slip.table:
        out.huge(f"{say['table']} {clean(slip.table)}")
    out.big(f"#{clean(slip.number)}")
    if slip.copies > 1 or slip.part not in ("", "main"):
        name = clean(slip.label or slip.part.capitalize()) if slip.part not in ("", "main") else "Slip"
        out.middle(f"{name} {slip.copy_number}/{slip.copies}" if slip.copies > 1 else name, bold=True)
    out.middle(" - ".join(filter(None, (clean(slip.shop), "" if slip.channel in OWN else clean(slip.channel)))))
    if slip.due_at:
        out.tall(f"{say['due']}: {clean(slip.due_at)}")
    out.rule()
    for item in slip.items:
        out.item(item, minor_digits if slip.prices else None)
    out.rule()
    if slip.total is not None and slip.prices:
        value = f"{clean(slip.currency)} {money(slip.total, minor_digits)}".strip()
        out.total(say["total"], value)
    for label, text in (
        ("note", slip.note),
        ("customer", slip.customer),
        ("phone", slip.phone),
        ("address", slip.address),
        ("distance", slip.distance),
        ("ordered", slip.placed_at),
    ):
        if text:
            out.labelled(say[label], text)
    if slip.link:
        out.code(clean(slip.link))
    for line in slip.footer:
        out.middle(clean(line))
    if mark:
        out.big(f"** {clean(mark)} **")
    return out.cut()


def notice(title: str, pairs: Sequence[tuple[str, str]], code: str = "", paper: Paper | None = None) -> bytes:
    """A slip that is no order's: what the box says of itself. Pairs of label and text; no label: a plain line."""
    out = _Writer(paper or Paper())
    out.big(clean(title))
    out.rule()
    for label, text in pairs:
        if label:
            out.labelled(label, text)
        else:
            out.plain(clean(text) or " ")
    if code:
        out.code(clean(code))
    return out.cut()


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


class _Writer:
    """Writes through python-escpos's Dummy; counts lines."""

    def __init__(self, paper: Paper, allergens: str = "Allergens") -> None:
        self.allergens = allergens
        self.paper, self.columns, self.script, self.lines = paper, paper.columns, paper.script, 0
        self.drawn = 0  # bytes of pictures
        self.out = _encoder()()
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


def _encoder() -> Any:
    """python-escpos's Dummy: it only collects bytes.

    Loading it makes a folder for its printer database in /tmp, each time anew, and leaves it there: it is taken away.
    """
    first = "escpos.capabilities" not in sys.modules
    from escpos.printer import Dummy

    if first and "ESCPOS_CAPABILITIES_PICKLE_DIR" not in os.environ:
        shutil.rmtree(sys.modules["escpos.capabilities"].pickle_dir, ignore_errors=True)
    return Dummy
