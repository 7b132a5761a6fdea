"""What stands on the paper, as values: lines, the pieces they are made of, pictures and codes. Pure data.

Places are in printer dots from the left edge of the print area; a character of font A is 12 dots wide, 24 high.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from receipt.tokens import Dialect

CELL = 12  # dots across of a character of font A


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a printer or its POS beforehand. Everything has a default: nothing known."""

    name: str = "auto"
    dialect: Dialect = Dialect.AUTO
    columns: int | None = None  # characters of font A in a line; None: lines are not wrapped
    dots: int | None = None  # the print area's width; None: columns * 12
    code_pages: Mapping[int, str] = field(default_factory=dict)  # numbers this printer counts in its own way
    encoding: str | None = None  # what the printer prints when no command selects anything
    double_byte: str | None = None  # what its Kanji mode prints: gb18030, big5, cp949, cp932
    country: str | None = None  # ISO 3166, for reading dates and amounts
    currency: str | None = None  # ISO 4217
    date_order: str | None = None  # what this printer's receipts have shown: receipt.habits
    day: str | None = None  # YYYY-MM-DD: when it was printed, where a clock that can be trusted says so


class Style(NamedTuple):
    """How characters look."""

    width: int = 1  # times wider
    height: int = 1  # times higher
    bold: bool = False
    underline: bool = False
    inverse: bool = False  # white on black
    font: int = 0  # 0: A, 12 x 24 dots; 1: B, 9 x 17
    red: bool = False  # the second colour
    upside_down: bool = False
    rotated: bool = False

    @property
    def cell(self) -> int:
        """Dots across of one narrow character."""
        return (9 if self.font else CELL) * self.width


PLAIN = Style()


class Span(NamedTuple):
    """A run of characters in one style."""

    x: int  # dots from the left edge of the line's text
    text: str
    style: Style
    dots: int  # how far it reaches


class Bitmap(NamedTuple):
    """A picture, as it came: one bit a dot, 1 is black."""

    width: int  # dots
    height: int
    data: bytes
    columns: bool = False  # bytes run down (8 dots each), not across
    scale_x: int = 1  # each dot is printed so many dots wide
    scale_y: int = 1
    x: int = 0
    reference: str = ""  # a picture stored in the printer: its name, and no data


class Code(NamedTuple):
    """A barcode or 2-D code."""

    kind: str  # qr, pdf417, datamatrix, aztec, maxicode, gs1, code128, code39, ean13, ean8, upca, upce, itf, codabar …
    value: str
    caption: bool = False  # its value is printed in plain characters too
    module: int = 0  # dots of its narrowest bar or square; 0: nobody told, as the printer does by itself
    height: int = 0  # dots of its bars; 0: as the printer does by itself


class Line(NamedTuple):
    """One printed row: text, or a picture, or a code, or the place of a cut.

    `text` is what stands there, columns kept with blanks, trailing blanks left out; alignment is not padded in.
    """

    text: str
    start: int = 0  # bytes of the job it was made by: start to end
    end: int = 0
    kind: str = "text"  # text, image, code, cut
    align: int = 0  # 0 left, 1 centre, 2 right
    spans: tuple[Span, ...] = ()
    image: Bitmap | None = None
    code: Code | None = None
    left: int = 0  # left margin in dots
    feed: int = 0  # dots of blank paper after it, beyond the line itself
    pitch: int = 30  # dots from it to the next line, where nothing in it is higher
    area: int = 0  # dots that it is aligned in, from the left margin on; 0: the rest of the paper

    @property
    def width(self) -> int:
        """The largest magnification across: headings are 2 and up."""
        return max((span.style.width for span in self.spans), default=1)

    @property
    def height(self) -> int:
        return max((span.style.height for span in self.spans), default=1)

    @property
    def bold(self) -> bool:
        """Something in it is bold."""
        return any(span.style.bold for span in self.spans)


@dataclass(frozen=True, slots=True)
class Paper:
    """A whole job, laid out."""

    lines: tuple[Line, ...]
    dialect: Dialect
    unknown: int  # tokens that no command explains
    raster_only: bool  # there are pictures and no text
    columns: int  # characters of font A across: told, or judged by what was printed
    pulses: int = 0  # how often the drawer is opened
    self_test: bool = False  # the printer is told to print its own test page
