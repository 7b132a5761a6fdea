"""A printer's line buffer and page, and the rows that come out of it. Pure.

`layout` gives it the commands; what is kept here is what a printer keeps from one command to the next.
"""

from __future__ import annotations

from itertools import pairwise

from receipt.encoding import Encoding, cells, is_wide
from receipt.paper import CELL, PLAIN, Bitmap, Code, Line, Profile, Span

LINE = 30  # dots from a line to the next: ESC 2
MOST_DOTS = 4096 * CELL  # the widest line, where the paper's width is not known
MOST_SPANS = 500  # in a line: a printer's line buffer is full long before
_new = tuple.__new__
# Thin frames and rules read as what typists use for them; the spans keep the characters as printed.
_RULES = {
    **dict.fromkeys(range(0x250C, 0x254C), "+"),
    0x2500: "-",
    0x2502: "|",
    **dict.fromkeys(range(0x256D, 0x2571), "+"),
}


class Rows:
    """The state of a printer, and its paper so far."""

    def __init__(self, raw: bytes, profile: Profile) -> None:
        self.raw, self.profile = raw, profile
        self.encoding = Encoding(raw, profile)
        self.lines: list[Line] = []
        self.unknown = self.pulses = 0
        self.self_test = False
        self.cr_feeds = b"\n" not in raw and b"\r" in raw
        self.images: dict[str, Bitmap] = {}
        self.rows: list[bytes] = []
        self.rows_start = self.rows_end = 0
        told = profile.dots or (profile.columns or 0) * CELL
        self.told_width, self.dots = told > 0, told or MOST_DOTS
        self.page: list[tuple[int, int, int, Span | Line]] | None = None  # direction, y, x, what
        self.reset()

    def reset(self) -> None:
        """ESC @: as at power-on. What was stored stays."""
        self.spans: list[Span] = []
        self.pictures: list[Bitmap] = []
        self.x = 0
        self.line_start = 0
        self.style = PLAIN
        self.cell = CELL
        self.align = 0
        self.left = 0
        self.area = 0
        self.tabs: tuple[int, ...] = ()
        self.spacing = LINE
        self.char_space = 0
        self.national: dict[int, str] | None = None
        self.printing = True
        self.caption = False
        self.bar = self.bar_height = self.square = 0  # told for barcodes and 2-D codes, in dots
        self.symbols: dict[str, str] = {}
        self.vendor_symbol = 2
        self.encoding.reset()
        self.page = None
        self.page_y, self.page_direction, self.page_origin = 0, 0, (0, 0)

    def _argument(self, start: int, end: int) -> int:
        """The last byte of a command; 0 where it was cut short."""
        return self.raw[end - 1] if end <= len(self.raw) else 0

    def _line(self, end: int, feed: int = 0) -> None:
        """Print the line buffer."""
        spans, start = self.spans, self.line_start
        if self.rows:
            self._finish_rows()
        if self.page is not None:
            self._page_line()
            return
        if self.pictures:
            for picture in self.pictures:
                self.lines.append(
                    Line("", start, end, "image", self.align, image=picture, left=self.left, area=self.area)
                )
            self.pictures = []
            if not spans:
                self._fresh(end)
                return
        if not spans:
            text = ""
        elif len(spans) == 1 and spans[0][0] == 0:
            text = spans[0][1].rstrip()
        else:
            text = _compose(spans)
        if not text.isascii() and ("─" in text or "│" in text):
            text = text.translate(_RULES)
        self.lines.append(
            _new(
                Line,
                (
                    text,
                    start,
                    end,
                    "text",
                    self.align,
                    tuple(spans),
                    None,
                    None,
                    self.left,
                    feed,
                    self.spacing,
                    self.area,
                ),
            )
        )
        self._fresh(end)

    def _fresh(self, end: int) -> None:
        self.spans = []
        self.x = 0
        self.line_start = end

    def _wrap(self, end: int) -> None:
        """The last run of text is wider than the paper: what does not fit goes on in the next line."""
        if self.page is not None:
            return
        x, text, style, dots = self.spans.pop()
        narrow = max(dots // max(cells(text), 1), 1)
        begun, used, x0 = 0, 0, x
        for at, character in enumerate(text):
            wide = narrow * 2 if is_wide(character) else narrow
            if x + used + wide > self.dots and (used or x):
                if used:
                    self.spans.append(Span(x0, text[begun:at], style, used))
                self._line(end)
                begun, used, x, x0 = at, 0, 0, 0
            used += wide
        if begun < len(text):
            self.spans.append(Span(x0, text[begun:], style, used))
        self.x = x + used

    def columns(self) -> int:
        """Characters across: what the profile or GS W says, else the usual width that holds every line."""
        if self.told_width:
            return self.dots // CELL
        longest = 0
        for line in self.lines:
            for span in line.spans[-1:]:
                longest = max(longest, span.x + len(span.text.rstrip()) * span.style.cell)
            if line.image is not None:
                longest = max(longest, line.image.width)
        longest = -(-longest // CELL)
        return next((usual for usual in (32, 42, 48) if longest <= usual), 48)

    def _cut(self, start: int, end: int) -> None:
        if self.spans or self.pictures or self.rows:
            self._line(start)
        self.lines.append(Line("", start, end, "cut"))

    def _turn_upside_down(self) -> None:
        """Rows printed upside down are read from the last to the first: the paper is turned."""
        at, lines = 0, self.lines
        while at < len(lines):
            begin = at
            while at < len(lines) and any(span.style.upside_down for span in lines[at].spans):
                at += 1
                while at < len(lines) and not lines[at].spans and lines[at].kind == "text":
                    at += 1  # blank rows between them
            if at - begin > 1:
                block = lines[begin:at]
                while block and not block[-1].text:
                    block.pop()
                lines[begin : begin + len(block)] = block[::-1]
            at = max(at, begin + 1)

    def _picture(self, bitmap: Bitmap, start: int, end: int) -> None:
        if self.rows:
            self._finish_rows()
        if self.spans and self.page is None:
            self._line(start)
        self._place(Line("", start, end, "image", self.align, image=bitmap, left=self.left, area=self.area))

    def _place(self, line: Line) -> None:
        """A picture or code: the next row, or a place on the page."""
        if self.page is None:
            self.lines.append(line)
        else:
            across, top = self.page_origin
            self.page.append((self.page_direction, top + self.page_y, across + self.x, line))

    def _code(self, code: Code, start: int, end: int) -> None:
        if self.spans and self.page is None:
            self._line(start)
        self._place(Line("", start, end, "code", self.align, code=code, left=self.left, area=self.area))

    def _finish_rows(self) -> None:
        """The rows of dots that came one by one are a picture."""
        rows, self.rows = self.rows, []
        if rows:
            self._picture(Bitmap(len(rows[0]) * 8, len(rows), b"".join(rows)), self.rows_start, self.rows_end)

    def _page_line(self, down: int | None = None) -> None:
        """Put the line buffer on the page; go down by the line spacing."""
        assert self.page is not None
        across, top = self.page_origin
        for span in self.spans:
            self.page.append((self.page_direction, top + self.page_y, across + span.x, span))
        for picture in self.pictures:
            line = Line("", self.line_start, self.line_start, "image", image=picture._replace(x=0))
            self.page.append((self.page_direction, top + self.page_y, across + picture.x, line))
        if down is None or self.spans:
            self.x = 0
        self.page_y += self.spacing if down is None else down
        self.spans, self.pictures = [], []

    def _print_page(self, end: int) -> None:
        """Rows from what was set at places: what stands at most half a line apart is one row."""
        pieces = sorted(self.page or (), key=lambda piece: (piece[0], piece[1], piece[2]))
        if self.page is not None:
            self.page = []
        row: list[Span] = []
        aside: list[Line] = []  # pictures and codes: rows of their own, after the text beside them
        place = (0, 0)
        for direction, y, x, piece in pieces:
            if isinstance(piece, Line):
                aside.append(piece._replace(left=x, end=max(piece.end, self.line_start)))
                continue
            if row and (direction != place[0] or y - place[1] > CELL or len(row) >= MOST_SPANS):
                self.lines.append(Line(_compose(row), self.line_start, end, spans=tuple(row)))
                row = []
            if aside and not row:
                self.lines += aside
                aside = []
            if not row:
                place = (direction, y)
            row.append(piece._replace(x=x))
        if row:
            self.lines.append(Line(_compose(row), self.line_start, end, spans=tuple(row)))
        self.lines += aside
        self._fresh(end)


def _compose(spans: list[Span]) -> str:
    """The text of a row whose pieces stand at places: gaps become blanks, what is printed over stays readable."""
    spans = sorted(spans, key=lambda span: span.x) if any(b.x < a.x for a, b in pairwise(spans)) else spans
    text: list[str] = []
    reached, unit = 0, 9 if spans[0].style.font else CELL
    for x, piece, style, dots in spans:
        gap = x - reached
        if gap > 0:
            text.append(" " * min(max((2 * gap + unit) // (2 * unit), 1 if text else 0), 255))
        elif gap < 0 and text and -gap >= unit:
            piece = _over(text, piece, -gap // (style.cell or unit))
        text.append(piece)
        reached = max(reached, x + dots)
    return "".join(text).rstrip()


def _over(text: list[str], piece: str, cells: int) -> str:
    """What of `piece` is new where its first `cells` fall on printed text: the same again (bolder) is nothing new."""
    before = "".join(text)
    covered = before[-cells:]
    if covered.rstrip() == piece[: len(covered)].rstrip() or not piece.strip():
        return piece[len(covered) :]
    if not covered.strip():
        text[:] = [before[: len(before) - len(covered)]]
        return piece
    return piece if before.endswith(" ") else " " + piece
