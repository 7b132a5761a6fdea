"""Text of any script as printer bytes: in a code page the printer has, in double bytes (GB18030, Big5, Shift-JIS,
EUC-KR), or drawn as a picture.

Takes   clean text (no control characters) and what the printer can do.
Gives   bytes that hold printable ASCII, bytes from 80h on, and ESC t, FS C, FS &, FS . or one GS v 0 of our own
        making; a picture never holds a pair of bytes that a printer obeys at once (DLE EOT, DLE ENQ, DLE DC4).
Source: Epson ESC/POS reference (ESC t, FS C, FS &, FS ., GS v 0); GB18030-2005, two-byte area. Pure, but for the
        font files that Pillow finds on the machine.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from receipt.codepages import ESCPOS_PAGES

CELL, ROW = 12, 32  # dots of a column, and of a drawn line of normal height
FONTS = (  # (plain, bold), in the order in which they are tried
    ("DejaVuSansMono.ttf", "DejaVuSansMono-Bold.ttf"),
    ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"),
    ("NotoSansCJK-Regular.ttc", "NotoSansCJK-Bold.ttc"),
    ("NotoSerifCJK-Regular.ttc", "NotoSerifCJK-Bold.ttc"),
    ("wqy-microhei.ttc", ""),
    ("wqy-zenhei.ttc", ""),
    ("NotoSansThai-Regular.ttf", "NotoSansThai-Bold.ttf"),
    ("NotoSansDevanagari-Regular.ttf", "NotoSansDevanagari-Bold.ttf"),
    ("NotoSansBengali-Regular.ttf", "NotoSansBengali-Bold.ttf"),
    ("NotoSansTamil-Regular.ttf", "NotoSansTamil-Bold.ttf"),
    ("NotoSansKhmer-Regular.ttf", "NotoSansKhmer-Bold.ttf"),
    ("NotoSansMyanmar-Regular.ttf", "NotoSansMyanmar-Bold.ttf"),
    ("NotoSansLao-Regular.ttf", "NotoSansLao-Bold.ttf"),
    ("NotoSansArabic-Regular.ttf", "NotoSansArabic-Bold.ttf"),
    ("NotoSansHebrew-Regular.ttf", "NotoSansHebrew-Bold.ttf"),
    ("FreeSans.ttf", "FreeSansBold.ttf"),
    ("unifont.otf", ""),
    ("unifont.ttf", ""),
)
NUMBERS = re.compile(r"[*0-9][*0-9:./, -]*[0-9]")
NOBODYS = "\U000ffffd"  # a character that no font has
_AT_ONCE = re.compile(rb"\x10(?=[\x04\x05\x14])")


@dataclass(frozen=True, slots=True)
class Double:
    """A set of two-byte characters behind FS &."""

    codec: str
    low: int  # the first byte is not below it
    select: bytes = b""  # what chooses the set first


DOUBLES = {
    "gbk": Double("gbk", 0x81),
    "big5": Double("big5", 0xA1),
    "shift_jis": Double("cp932", 0x81, b"\x1cC\x01"),
    "euc_kr": Double("euc_kr", 0xA1),
}
READ_AS = {"gbk": "gb18030", "big5": "big5", "shift_jis": "cp932", "euc_kr": "cp949"}
"""What receipt.paper.Profile calls them."""


@dataclass(frozen=True, slots=True)
class Script:
    """What a printer can print."""

    pages: tuple[int, ...] = ()  # ESC t n, the first that fits is taken
    double: str = "gbk"  # a key of DOUBLES; "none": it has no two-byte characters
    raster: bool = True  # it prints GS v 0

    def encode(self, text: str) -> bytes | None:
        """The bytes of one line; None where it has to be drawn."""
        if text.isascii():
            return text.encode("ascii")
        for page in self.pages:
            raw = _paged(text, page)
            if raw is not None:
                return b"\x1c.\x1bt" + bytes([page]) + raw
        chosen = DOUBLES.get(self.double)
        if self.raster and _stretched(text, chosen):
            return None
        if chosen is not None and all(_two(c, chosen) for c in text):
            return _doubled(text, chosen)
        if self.raster:
            return None
        return _doubled(text, chosen) if chosen else b"".join(_plain(c) for c in text)

    def width(self, text: str) -> int:
        """Columns of the normal font that it takes."""
        if text.isascii() or any(_paged(text, page) is not None for page in self.pages):
            return len(text)
        chosen = DOUBLES.get(self.double)
        if self.raster and _stretched(text, chosen):
            chosen = None
        return sum(_cells(c, chosen) for c in text)


def draw(
    text: str, columns: int, *, wide: int = 1, tall: int = 1, bold: bool = False, centre: bool = False, right: str = ""
) -> bytes:
    """A line as a raster picture (GS v 0), so many columns of 12 dots wide; `right` stands at its right edge. Where the
    text runs from right to left it begins at that edge, and `right` stands at the left one."""
    from PIL import Image

    room = columns * CELL // 8 * 8
    leftwards = _leftwards(text)
    price = _letters(right, tall, bold) if right else None
    left_over = room - (price.width + CELL if price is not None else 0)
    line = _letters(text, tall, bold, leftwards)
    line = line.resize((max(1, min(line.width * wide // tall, left_over)), ROW * tall))
    paper = Image.new("L", (room, ROW * tall), 0)
    at = (room - line.width) // 2 if centre else room - line.width if leftwards else 0
    paper.paste(line, (at, 0))
    if price is not None:
        price = price.resize((min(price.width * wide // tall, room), ROW * tall))
        paper.paste(price, (0 if leftwards else room - price.width, 0))
    return raster(room, ROW * tall, paper.point(lambda level: 255 if level > 110 else 0).convert("1").tobytes())


def undrawn(text: str) -> str:
    """The characters of a text that no font of this machine has: on paper they would be empty boxes."""
    return "".join(sorted({c for c in text if not c.isspace() and not any(_has(plain, c) for plain, _ in FONTS)}))


def raster(width: int, height: int, data: bytes) -> bytes:
    """GS v 0 of rows of one bit a dot; `width`: a multiple of 8. Pairs that printers obey at once get a dot more."""
    while _AT_ONCE.search(data):
        data = _AT_ONCE.sub(b"\x18", data)
    return b"\x1dv0\x00" + (width // 8).to_bytes(2, "little") + height.to_bytes(2, "little") + data


def _letters(text: str, tall: int, bold: bool, leftwards: bool = False) -> Any:
    """The text on a picture of its own size, white on black. Each stretch of it in the first font that has it."""
    from PIL import Image, ImageDraw, features

    way: dict[str, Any] = {"direction": "rtl"} if leftwards and features.check("raqm") else {}
    if way:  # dates, times and amounts keep their order among letters that run the other way
        text = NUMBERS.sub("\u2066\\g<0>\u2069", text)
    runs = [(piece, *_font(names, 22 * tall, bold)) for piece, names in _runs(text)]
    widths = [round(font.getlength(piece, **way)) + twice for piece, font, twice in runs]
    line = Image.new("L", (max(sum(widths), 1), ROW * tall), 0)
    pen, at = ImageDraw.Draw(line), 0
    for (piece, font, twice), width in (
        reversed([*zip(runs, widths, strict=True)]) if leftwards else zip(runs, widths, strict=True)
    ):
        for shift in range(twice + 1):  # where there is no bold font: struck twice, as a printer does it
            pen.text((at + shift, 24 * tall), piece, fill=255, font=font, anchor="ls", **way)
        at += width
    return line


def _leftwards(text: str) -> bool:
    ways = [unicodedata.bidirectional(c) for c in text if c.isalpha()]
    return 2 * sum(way in ("R", "AL") for way in ways) > len(ways)


def _paged(text: str, page: int) -> bytes | None:
    """In that code page, one byte a character; None where it lacks one."""
    try:
        raw = text.encode(ESCPOS_PAGES[page])
    except (UnicodeEncodeError, LookupError):
        return None
    return raw if len(raw) == len(text) and all(byte >= 0x20 and byte != 0x7F for byte in raw) else None


def _two(character: str, chosen: Double) -> bytes:
    """ASCII, or two bytes whose first is no control; what lacks there goes without its accent. b"": not to be had."""
    if " " <= character <= "~":
        return character.encode("ascii")
    try:
        code = character.encode(chosen.codec)
        if len(code) == 2 and code[0] >= chosen.low and code[1] >= 0x40:
            return code
    except UnicodeEncodeError:
        pass
    return "".join(c for c in unicodedata.normalize("NFKD", character) if " " <= c <= "~").encode("ascii")


def _doubled(text: str, chosen: Double) -> bytes:
    out, double = bytearray(chosen.select), False
    for character in text:
        code = _two(character, chosen) or b"?"
        if (code[0] >= 0x81) != double:
            double = not double
            out += b"\x1c&" if double else b"\x1c."
        out += code
    return bytes(out + b"\x1c.") if double else bytes(out)


def _stretched(text: str, chosen: Double | None) -> bool:
    """Does it have letters that the set prints as wide as Chinese ones: Latin with accents, Greek, Cyrillic?"""
    return chosen is not None and any(
        c.isalpha() and not c.isascii() and unicodedata.east_asian_width(c) not in "WF" and len(_two(c, chosen)) == 2
        for c in text
    )


def _plain(character: str) -> bytes:
    return "".join(c for c in unicodedata.normalize("NFKD", character) if " " <= c <= "~").encode("ascii") or b"?"


def _cells(character: str, chosen: Double | None) -> int:
    if unicodedata.combining(character):
        return 0
    known = len(_two(character, chosen)) if chosen else 0
    return known or (2 if unicodedata.east_asian_width(character) in "WF" else 1)


@lru_cache(maxsize=64)
def _loaded(name: str, size: int) -> Any:
    from PIL import ImageFont

    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None


@lru_cache(maxsize=4096)
def _has(name: str, character: str) -> bool:
    font = _loaded(name, 16)
    return font is not None and bytes(font.getmask(character)) != bytes(font.getmask(NOBODYS))


def _runs(text: str) -> list[tuple[str, tuple[str, str]]]:
    """The text in stretches, each with the fonts that have it. The one that has most of it has all that it can."""
    characters = set(text) - {" "}
    best = max(FONTS, key=lambda names: sum(_has(names[0], c) for c in characters))
    runs: list[tuple[str, tuple[str, str]]] = []
    for c in text:
        names = runs[-1][1] if runs else best
        if not (c.isspace() or unicodedata.combining(c) or unicodedata.category(c) in ("Mn", "Cf")):
            names = best if _has(best[0], c) else next((fonts for fonts in FONTS if _has(fonts[0], c)), best)
        if runs and runs[-1][1] == names:
            runs[-1] = (runs[-1][0] + c, names)
        else:
            runs.append((c, names))
    return runs


def _font(names: tuple[str, str], size: int, bold: bool) -> tuple[Any, int]:
    """-> (the font; Pillow's own where the machine has none, dots by which it is to be struck twice)."""
    from PIL import ImageFont

    plain, heavy = names
    if bold and heavy and (found := _loaded(heavy, size)) is not None:
        return found, 0
    return _loaded(plain, size) or ImageFont.load_default(size), int(bold)
