"""An order as a slip: values in, ESC/POS bytes out. Pure. python-escpos is used as an encoder only, imported late.

What a customer wrote is data, never commands: control and format characters are taken out before encoding, and every
text goes out as printable ASCII, in a code page the printer has, as GBK double bytes, or drawn (receipt/script.py).
A customer's words stand indented or behind a label, so that no note can pass for a head of ours.

Source: Epson ESC/POS reference (ESC @, ESC a, ESC E, GS !, FS &, FS ., ESC d, GS V); GB18030-2005, two-byte area.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from receipt.script import Script, draw

COLUMNS = 42  # of the normal font on 80 mm paper; 32 on 58 mm
MOST_LINES = 400  # about 1.5 m of paper
MOST_DRAWN = 400_000  # bytes of lines that have to be drawn; the relay takes slips of 512 KiB
KINDS = {"dine_in": "DINE IN", "takeaway": "TAKEAWAY", "delivery": "DELIVERY"}
COMMANDS = (
    "init",
    "align",
    "bold",
    "size",
    "kanji_on",
    "kanji_off",
    "code_page",
    "text",
    "line_feed",
    "raster",
    "feed",
    "cut",
)
"""All that a slip is made of: ESC @, ESC a, ESC E, GS !, FS &, FS ., ESC t, text, LF, GS v 0, ESC d, GS V."""


@dataclass(frozen=True, slots=True)
class SlipItem:
    name: str
    quantity: int = 1
    unit_price: int | None = None  # minor units
    options: tuple[str, ...] = ()
    note: str = ""


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


def prepare() -> None:
    """Load the encoder (a third of a second), so that the first order does not wait for it."""
    _encoder()


def render(
    slip: Slip,
    mark: str = "",
    columns: int = COLUMNS,
    minor_digits: int = 2,
    script: Script = Script(),  # noqa: B008
) -> bytes:
    """-> the job: ESC @, the slip, feed, cut.

    mark            what stands at its head in the largest font: "", "REPRINT", "COPY 1", "STOP PREPARING"
    columns         characters in a line of the normal font
    minor_digits    decimals of the currency
    script          what the printer has letters for
    """
    paper = _Paper(columns, script)
    if mark:
        paper.big(f"** {clean(mark)} **")
    paper.big(KINDS.get(slip.kind, clean(slip.kind).upper()))
    if slip.table:
        paper.big(f"TABLE {clean(slip.table)}")
    paper.big(f"#{clean(slip.number)}")
    if slip.copies > 1 or slip.part not in ("", "main"):
        name = clean(slip.part).capitalize() if slip.part not in ("", "main") else "Slip"
        paper.middle(f"{name} {slip.copy_number}/{slip.copies}" if slip.copies > 1 else name)
    paper.middle(" ".join(filter(None, (clean(slip.shop), clean(slip.channel)))))
    paper.rule()
    for item in slip.items:
        paper.item(item)
    paper.rule()
    if slip.note:
        paper.labelled("Note", slip.note)
    if slip.customer:
        paper.labelled("Customer", slip.customer)
    if slip.total is not None:
        paper.plain(f"Total: {clean(slip.currency)} {money(slip.total, minor_digits)}".replace("  ", " "))
    if slip.due_at:
        paper.labelled("Due", slip.due_at)
    if slip.placed_at:
        paper.labelled("Ordered", slip.placed_at)
    if mark:
        paper.big(f"** {clean(mark)} **")
    return paper.cut()


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
    """Lines of at most `columns`, broken at spaces where there are some."""
    width = script.width
    lines, line = [], ""
    for word in re.findall(r"\S+", text):
        while word:
            room = columns - width(line) - (1 if line else 0)
            if width(word) <= room:
                line, word = f"{line} {word}" if line else word, ""
            elif line:
                lines.append(line)
                line = ""
            else:
                head = word
                while width(head) > columns and len(head) > 1:
                    head = head[:-1]
                lines.append(head)
                word = word[len(head) :]
    return [*lines, line] if line else lines


class _Paper:
    """Writes through python-escpos's Dummy; counts lines."""

    def __init__(self, columns: int, script: Script) -> None:
        self.columns, self.script, self.lines = columns, script, 0
        self.drawn = 0  # bytes of pictures
        self.out = _encoder()()
        self.out.hw("INIT")

    def big(self, text: str) -> None:
        self._block(text, self.columns // 2, align="center", bold=True, custom_size=True, width=2, height=2)

    def middle(self, text: str) -> None:
        if text:
            self._block(text, self.columns, align="center", bold=False, custom_size=True, width=1, height=1)

    def plain(self, text: str, indent: str = "", hanging: str = "") -> None:
        self._block(text, self.columns, indent, hanging, align="left", bold=False, custom_size=True, width=1, height=1)

    def rule(self) -> None:
        self.plain("-" * self.columns)

    def labelled(self, label: str, text: str) -> None:
        self.plain(f"{label}: {clean(text)}", hanging="  ")

    def item(self, item: SlipItem) -> None:
        self._block(
            f"{item.quantity} x {clean(item.name)}", self.columns, "", "    ",
            align="left", bold=True, custom_size=True, width=1, height=2,
        )  # fmt: skip
        for option in item.options:
            self.plain(clean(option), "    + ", "      ")
        if item.note:
            self.plain(clean(item.note), "    ! ", "      ")

    def cut(self) -> bytes:
        self.out.set(align="left", bold=False, custom_size=True, width=1, height=1)
        self.out.cut()
        output: bytes = self.out.output
        return output

    def _block(self, text: str, columns: int, indent: str = "", hanging: str = "", **style: Any) -> None:
        self.out.set(**style)
        lead = max(len(indent), len(hanging))
        for number, line in enumerate(wrap(text, columns - lead, self.script)):
            self.lines += 1
            if self.lines < MOST_LINES and self.drawn > MOST_DRAWN:
                self.lines = MOST_LINES
            if self.lines == MOST_LINES:
                self.out._raw(b"... (cut short)\n")
            if self.lines >= MOST_LINES:
                return
            self._line((hanging if number else indent) + line, style)

    def _line(self, text: str, style: dict[str, Any]) -> None:
        raw = self.script.encode(text)
        if raw is None:
            raw = draw(
                text, self.columns, wide=style["width"], tall=style["height"], bold=style["bold"],
                centre=style["align"] == "center",
            )  # fmt: skip
            self.drawn += len(raw)
            self.out._raw(raw)
        else:
            self.out._raw(raw + b"\n")


def _encoder() -> Any:
    """python-escpos's Dummy: it only collects bytes."""
    from escpos.printer import Dummy

    return Dummy
