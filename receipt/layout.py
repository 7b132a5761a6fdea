"""From commands to paper: the lines of a job, as they come out of the printer. Pure.

`lay_out` walks the marks of a job once. It keeps what a printer keeps (size, code page, tabs, margins, page mode,
stored pictures) and gives a `Line` for every row that is printed. Sources: the ESC/POS and Star references, as named in
`receipt.commands` and `receipt.star`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

from receipt import symbols
from receipt.codepages import ESCPOS_PAGES, NATIONAL, STAR_PAGES, VENDOR_ENCODINGS
from receipt.commands import TEXT, UNKNOWN, Command, Effect
from receipt.encoding import Encoding, cells, is_wide, slices
from receipt.paper import CELL, PLAIN, Bitmap, Code, Line, Paper, Profile, Span, Style
from receipt.tokens import ALL_COMMANDS, LIKE_STAR, Dialect, Mark, Scanner, detect

_LINE = 30  # dots from a line to the next: ESC 2
_DEFAULT = Profile()
MOST_LINES = 50_000  # some 180 m of paper: a job that prints more is not a receipt
_MOST_DOTS = 4096 * CELL  # the widest line, where the paper's width is not known
_MOST_JUDGED = 262_144  # bytes of a job whose dialect is judged as a whole; a longer one's commands tell
_MOST_SPANS = 500  # in a line: a printer's line buffer is full long before
_new = tuple.__new__
_Handler = Callable[["_Printer", int, int], None]


def lay_out(raw: bytes, profile: Profile | None = None) -> Paper:
    """The lines of one job.

    Never raises, whatever the bytes; time and memory are linear in them. Nothing beyond `MOST_LINES` rows is laid out.
    """
    printer = _Printer(raw, profile or _DEFAULT)
    dialect, torn = printer.run()
    lines = tuple(printer.lines)
    text = any(line.text for line in lines)
    pictures = any(line.kind == "image" for line in lines)
    return Paper(
        lines,
        dialect,
        printer.unknown + torn,
        pictures and not text,
        printer.columns(),
        printer.pulses,
        printer.self_test,
    )


class _Printer:
    def __init__(self, raw: bytes, profile: Profile) -> None:
        if profile.dialect is Dialect.AUTO and len(raw) < _MOST_JUDGED and any(sign in raw for sign in LIKE_STAR):
            profile = replace(profile, dialect=detect(raw))
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
        self.told_width, self.dots = told > 0, told or _MOST_DOTS
        self.page: list[tuple[int, int, int, Span]] | None = None
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
        self.spacing = _LINE
        self.char_space = 0
        self.national: dict[int, str] | None = None
        self.printing = True
        self.caption = False
        self.symbols: dict[str, str] = {}
        self.vendor_symbol = 2
        self.encoding.reset()
        self.page = None
        self.page_y, self.page_direction, self.page_origin = 0, 0, (0, 0)

    def _initialise(self, start: int) -> None:
        if self.spans or self.pictures or self.rows:
            self._line(start)
        self.reset()

    def run(self) -> tuple[Dialect, bool]:
        """Walk the job. Gives its dialect, and whether it ends within a command."""
        raw = self.raw
        scanner = Scanner(self.profile.dialect)
        for part in slices(raw):
            self._walk(scanner.feed(part))
            if len(self.lines) >= MOST_LINES:
                break
        if self.spans or self.pictures or self.rows:
            self._line(len(raw))
        if self.page:
            self._print_page(len(raw))
        self._turn_upside_down()
        return scanner.dialect, not scanner.at_boundary

    def _walk(self, marks: list[Mark]) -> None:
        raw, encoding = self.raw, self.encoding
        for command, start, end in marks:
            if command is TEXT:
                if not self.printing:
                    continue
                run = raw[start:end]
                if run.isascii() and not encoding.jis and b"\\" not in run:
                    text, count = run.decode("ascii"), end - start
                else:
                    text, count = encoding.decode(run)
                if self.national is not None:
                    text = text.translate(self.national)
                dots = count * (self.cell + self.char_space)
                self.spans.append(_new(Span, (self.x, text, self.style, dots)))
                self.x += dots
                if self.x > self.dots:
                    self._wrap(end)
                elif len(self.spans) > _MOST_SPANS:
                    self._line(end)
                continue
            handler = _HANDLERS.get(command)
            if handler is not None:
                handler(self, start, end)
            elif command is UNKNOWN:
                self.unknown += 1
            elif Effect.CUTS in command.effect:
                self._cut(start, end)

    # ---- lines

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
                self.lines.append(Line("", start, end, "image", self.align, image=picture, left=self.left))
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
        self.lines.append(_new(Line, (text, start, end, "text", self.align, tuple(spans), None, None, self.left, feed)))
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

    def _line_feed(self, start: int, end: int) -> None:
        if self.printing:
            self._line(end)

    def _carriage_return(self, start: int, end: int) -> None:
        if self.cr_feeds and self.printing:
            self._line(end)

    def _feed_lines(self, start: int, end: int) -> None:
        """ESC d n: print, and feed n lines: blank paper after the line, not lines of their own."""
        count = self.raw[start + 2] if end <= len(self.raw) else 0
        if self.page is not None:
            self._page_line(count * self.spacing)
            return
        if self.spans or self.pictures or self.rows:
            self._line(end)
            count -= 1
        if self.lines and count > 0:
            last = self.lines[-1]
            self.lines[-1] = last._replace(feed=last.feed + count * self.spacing)

    def _feed_dots(self, start: int, end: int) -> None:
        """ESC J n: print, and feed n dots: a blank line where that is a line's height and more."""
        count = self.raw[start + 2] if end <= len(self.raw) else 0
        if self.page is not None:
            self.page_y += count
            self._page_line(0)
        elif self.spans or self.pictures:
            self._line(end)
        elif self.lines and count:
            last = self.lines[-1]
            self.lines[-1] = last._replace(feed=last.feed + count)

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

    # ---- places

    def _tab(self, start: int, end: int) -> None:
        cell = self.cell
        if self.tabs:
            for column in self.tabs:
                if column > self.x:
                    self.x = column
                    return
        else:
            self.x = (self.x // (8 * cell) + 1) * 8 * cell

    def _tab_stops(self, start: int, end: int) -> None:
        stops = self.raw[start + 2 : end].rstrip(b"\x00")
        self.tabs = tuple(stop * self.cell for stop in stops) or (0,)

    def _position(self, start: int, end: int) -> None:
        at = end - 2
        self.x = int.from_bytes(self.raw[at:end], "little")

    def _position_relative(self, start: int, end: int) -> None:
        self.x = max(0, self.x + int.from_bytes(self.raw[end - 2 : end], "little", signed=True))

    def _align(self, start: int, end: int) -> None:
        self.align = min(self._argument(start, end) & 15, 2) if self._argument(start, end) in _ALIGNS else self.align

    def _left_margin(self, start: int, end: int) -> None:
        self.left = int.from_bytes(self.raw[start + 2 : end], "little")

    def _area_width(self, start: int, end: int) -> None:
        if self.profile.columns is None and self.profile.dots is None:
            told = int.from_bytes(self.raw[start + 2 : end], "little")
            self.told_width = told >= 10 * CELL
            self.dots = told if self.told_width else _MOST_DOTS

    # ---- looks

    def _argument(self, start: int, end: int) -> int:
        """The last byte of a command; 0 where it was cut short."""
        return self.raw[end - 1] if end <= len(self.raw) else 0

    def _restyle(self, **changes: int | bool) -> None:
        self.style = self.style._replace(**changes)  # type: ignore[arg-type]
        self.cell = self.style.cell

    def _print_mode(self, start: int, end: int) -> None:
        n = self._argument(start, end)
        self.style = Style(
            2 if n & 32 else 1, 2 if n & 16 else 1, n & 8 > 0, n & 128 > 0, self.style.inverse, n & 1, self.style.red,
            self.style.upside_down, self.style.rotated,
        )  # fmt: skip
        self.cell = self.style.cell

    def _size(self, start: int, end: int) -> None:
        n = self._argument(start, end)
        self._restyle(width=(n >> 4 & 7) + 1, height=(n & 7) + 1)

    def _kanji_print_mode(self, start: int, end: int) -> None:
        n = self._argument(start, end)
        self._restyle(width=2 if n & 4 else 1, height=2 if n & 8 else 1)

    def _kanji_quadruple(self, start: int, end: int) -> None:
        size = 2 if self._argument(start, end) & 1 else 1
        self._restyle(width=size, height=size)

    def _bold(self, start: int, end: int) -> None:
        self._restyle(bold=self._argument(start, end) & 1 > 0)

    def _underline(self, start: int, end: int) -> None:
        self._restyle(underline=self._argument(start, end) & 3 > 0)

    def _inverse(self, start: int, end: int) -> None:
        self._restyle(inverse=self._argument(start, end) & 1 > 0)

    def _font(self, start: int, end: int) -> None:
        self._restyle(font=self._argument(start, end) & 3 and 1)

    def _colour(self, start: int, end: int) -> None:
        self._restyle(red=self._argument(start, end) & 1 > 0)

    def _rotate(self, start: int, end: int) -> None:
        self._restyle(rotated=self._argument(start, end) & 3 > 0)

    def _upside_down(self, start: int, end: int) -> None:
        self._restyle(upside_down=self._argument(start, end) & 1 > 0)

    def _star_size(self, start: int, end: int) -> None:
        high, wide = self.raw[start + 2 : start + 3] or b"\0", self.raw[start + 3 : end] or b"\0"
        self._restyle(width=(wide[0] & 7) + 1, height=(high[0] & 7) + 1)

    def _star_wide(self, start: int, end: int) -> None:
        self._restyle(width=(self._argument(start, end) & 7) + 1)

    def _star_high(self, start: int, end: int) -> None:
        self._restyle(height=(self._argument(start, end) & 7) + 1)

    def _character_space(self, start: int, end: int) -> None:
        self.char_space = self._argument(start, end) & 31

    # ---- characters

    def _code_page(self, start: int, end: int) -> None:
        number = self._argument(start, end)
        page = self.profile.code_pages.get(number)
        self.encoding.select("code_page", number, page or ESCPOS_PAGES.get(number), sure=page is not None)

    def _star_code_page(self, start: int, end: int) -> None:
        number = self._argument(start, end)
        page = self.profile.code_pages.get(number)
        self.encoding.select("star_code_page", number, page or STAR_PAGES.get(number), sure=page is not None)

    def _international(self, start: int, end: int) -> None:
        number = self._argument(start, end)
        self.encoding.national(number)
        self.national = NATIONAL.get(number) if number not in (8, 13, 15) else None

    def _kanji_on(self, start: int, end: int) -> None:
        self.encoding.kanji(True)

    def _kanji_off(self, start: int, end: int) -> None:
        self.encoding.kanji(False)

    def _kanji_code(self, start: int, end: int) -> None:
        self.encoding.kanji_code(self._argument(start, end) & 15)

    def _star_kanji(self, start: int, end: int) -> None:
        on = self._argument(start, end) & 1 > 0
        if on:
            self.encoding.kanji_code(1)
        self.encoding.kanji(on)

    def _vendor_encoding(self, start: int, end: int) -> None:
        number = self._argument(start, end)
        if number in VENDOR_ENCODINGS:
            self.encoding.select("encoding", number, VENDOR_ENCODINGS[number], sure=True)

    def _peripheral(self, start: int, end: int) -> None:
        """ESC = n: what follows is for the printer (bit 0), or for a display behind it."""
        self.printing = self._argument(start, end) & 1 > 0 or self._argument(start, end) == 0

    def _pulse(self, start: int, end: int) -> None:
        self.pulses += 1

    def _self_test(self, start: int, end: int) -> None:
        self.self_test = True

    def _star_reset(self, start: int, end: int) -> None:
        self.self_test = True
        self._initialise(start)

    # ---- codes and pictures

    def _picture(self, bitmap: Bitmap, start: int, end: int) -> None:
        if self.rows:
            self._finish_rows()
        if self.spans and self.page is None:
            self._line(start)
        self.lines.append(Line("", start, end, "image", self.align, image=bitmap, left=self.left))

    def _code(self, code: Code, start: int, end: int) -> None:
        if self.spans and self.page is None:
            self._line(start)
        self.lines.append(Line("", start, end, "code", self.align, code=code, left=self.left))

    def _barcode(self, start: int, end: int) -> None:
        self._code(symbols.barcode(self.raw[start:end], self.caption), start, end)

    def _barcode_text(self, start: int, end: int) -> None:
        self.caption = self._argument(start, end) & 3 > 0

    def _symbol_store(self, start: int, end: int) -> None:
        kind, value = symbols.symbol_data(self.raw[start:end])
        self.symbols[kind] = value

    def _symbol_print(self, start: int, end: int) -> None:
        kind = symbols.symbol_kind(self.raw[start:end])
        if kind in self.symbols:
            self._code(Code(kind, self.symbols[kind]), start, end)

    def _star_barcode(self, start: int, end: int) -> None:
        self._code(symbols.star_barcode(self.raw[start:end]), start, end)

    def _star_symbol_store(self, start: int, end: int) -> None:
        kind, value = symbols.star_symbol_data(self.raw[start:end])
        self.symbols[kind] = value

    def _star_symbol_print(self, start: int, end: int) -> None:
        kind = "qr" if self.raw[start + 2 : start + 3] == b"y" else "pdf417"
        if kind in self.symbols:
            self._code(Code(kind, self.symbols[kind]), start, end)

    def _vendor_symbol(self, start: int, end: int) -> None:
        self._code(symbols.vendor_symbol(self.raw[start:end], self.vendor_symbol), start, end)

    def _vendor_symbol_kind(self, start: int, end: int) -> None:
        self.vendor_symbol = self._argument(start, end)

    def _raster(self, start: int, end: int) -> None:
        """GS v 0 m xL xH yL yH d1..dk."""
        head = self.raw[start : start + 8]
        if len(head) < 8:
            return
        mode, across = head[3] & 3, int.from_bytes(head[4:6], "little")
        data = self.raw[start + 8 : end]
        down = min(int.from_bytes(head[6:8], "little"), len(data) // max(across, 1))
        if across and down:
            self._picture(Bitmap(across * 8, down, data, False, 2 if mode & 1 else 1, 2 if mode & 2 else 1), start, end)

    def _column_image(self, start: int, end: int) -> None:
        """ESC * m nL nH d1..dk: part of the line, at the place it has come to."""
        head = self.raw[start : start + 5]
        if len(head) < 5:
            return
        rows, across = 1 if head[2] < 32 else 3, head[3] + 256 * head[4]
        data = self.raw[start + 5 : end]
        across = min(across, len(data) // rows)
        if across:
            scale = 1 if head[2] & 1 else 2
            self.pictures.append(Bitmap(across, rows * 8, data, True, scale, 3 if rows == 1 else 1, self.x))
            self.x += across * scale

    def _star_image(self, start: int, end: int) -> None:
        """ESC K, ESC L: 8 dots high; ESC X: 24."""
        rows = 3 if self.raw[start + 1 : start + 2] == b"X" else 1
        data = self.raw[start + 4 : end]
        if len(data) >= rows:
            scale = 2 if self.raw[start + 1 : start + 2] == b"K" else 1
            self.pictures.append(Bitmap(len(data) // rows, rows * 8, data, True, scale, 1 if rows == 3 else 3, self.x))

    def _star_image_fine(self, start: int, end: int) -> None:
        """ESC k n1 0 d1..dk: n1 bytes across, 24 rows."""
        across, data = self.raw[start + 2 : start + 3], self.raw[start + 4 : end]
        if across and across[0]:
            self.pictures.append(Bitmap(across[0] * 8, len(data) // across[0], data))

    def _star_picture(self, start: int, end: int) -> None:
        """ESC GS S m xL xH yL yH n d1..dk."""
        head = self.raw[start : start + 9]
        across = int.from_bytes(head[4:6], "little")
        data = self.raw[start + 9 : end]
        if across and data:
            self._picture(Bitmap(across * 8, len(data) // across, data), start, end)

    def _star_raster_row(self, start: int, end: int) -> None:
        """b n1 n2 d1..dk: the rows of a picture come one by one."""
        row = self.raw[start + 3 : end]
        if self.rows and (self.rows_end != start or len(self.rows[0]) != len(row)):
            self._finish_rows()
        if row:
            if not self.rows:
                self.rows_start = start
            self.rows.append(row)
            self.rows_end = end

    def _finish_rows(self) -> None:
        """The rows of dots that came one by one are a picture."""
        rows, self.rows = self.rows, []
        if rows:
            self._picture(Bitmap(len(rows[0]) * 8, len(rows), b"".join(rows)), self.rows_start, self.rows_end)

    def _star_skip(self, start: int, end: int) -> None:
        self._finish_rows()

    def _stored_graphic(self, start: int, end: int) -> None:
        """GS ( L, GS 8 L fn 112 (raster to the buffer), 83 (to a key): m fn a [kc1 kc2 b] bx by c xL xH yL yH d."""
        raw = self.raw[start:end]
        at = 7 if raw[1:2] == b"8" else 5
        stored = raw[at + 1 : at + 2] in (b"S", b"C")
        head = at + (5 if stored else 2)
        if len(raw) < head + 8:
            return
        key = raw[at + 3 : at + 5].decode("latin-1") if stored else ""
        width = int.from_bytes(raw[head + (2 if stored else 4) : head + (4 if stored else 6)], "little")
        data_at = head + (7 if stored else 8)
        data = raw[data_at:]
        across = -(-width // 8)
        if across and data:
            scale = (1, 1) if stored else (min(raw[head + 1], 2) or 1, min(raw[head + 2], 2) or 1)
            self.images[key] = Bitmap(width, len(data) // across, data, False, *scale)

    def _print_graphic(self, start: int, end: int) -> None:
        """fn 50: what fn 112 stored; fn 69 and 85: what is kept under a key kc1 kc2."""
        raw = self.raw[start:end]
        at = 7 if raw[1:2] == b"8" else 5
        key = raw[at + 2 : at + 4].decode("latin-1") if raw[at + 1 : at + 2] in (b"E", b"U") else ""
        bitmap = self.images.get(key)
        if bitmap is None and key:
            bitmap = Bitmap(0, 0, b"", reference=f"logo {key}")
        if bitmap is not None:
            self._picture(bitmap, start, end)

    def _define_image(self, start: int, end: int) -> None:
        """GS * x y d1..dk: x * 8 dots across, y * 8 down, column by column."""
        raw = self.raw[start:end]
        if len(raw) > 4 and raw[2] and raw[3]:
            self.images["GS *"] = Bitmap(raw[2] * 8, raw[3] * 8, raw[4:], True)

    def _print_image(self, start: int, end: int) -> None:
        if "GS *" in self.images:
            mode = self._argument(start, end) & 3
            self._picture(self.images["GS *"]._replace(scale_x=1 + (mode & 1), scale_y=1 + (mode >> 1)), start, end)

    def _nv_image(self, start: int, end: int) -> None:
        number = self.raw[end - 2 : end - 1]
        self._picture(Bitmap(0, 0, b"", reference=f"logo {number[0] if number else 0}"), start, end)

    # ---- page mode

    def _page_mode(self, start: int, end: int) -> None:
        if self.page is None:
            if self.spans:
                self._line(start)
            self.page, self.page_y, self.page_direction, self.page_origin = [], 0, 0, (0, 0)

    def _standard_mode(self, start: int, end: int) -> None:
        """ESC S drops the page; Star printers in ESC/POS emulation are sent it outside page mode too."""
        self.page = None

    def _page_area(self, start: int, end: int) -> None:
        raw = self.raw[start + 2 : start + 6]
        if self.page is not None and len(raw) == 4:
            self._page_line(0)
            self.page_origin = (int.from_bytes(raw[:2], "little"), int.from_bytes(raw[2:], "little"))
            self.page_y = 0

    def _page_turn(self, start: int, end: int) -> None:
        if self.page is not None:
            self._page_line(0)
            self.page_direction = self._argument(start, end) & 3
            self.page_y = 0

    def _page_vertical(self, start: int, end: int) -> None:
        if self.page is not None:
            self._page_line(0)
            self.page_y = int.from_bytes(self.raw[start + 2 : end], "little")

    def _page_vertical_relative(self, start: int, end: int) -> None:
        if self.page is not None:
            self._page_line(0)
            self.page_y += int.from_bytes(self.raw[start + 2 : end], "little", signed=True)

    def _page_line(self, down: int | None = None) -> None:
        """Put the line buffer on the page; go down by the line spacing."""
        assert self.page is not None
        across, top = self.page_origin
        for span in self.spans:
            self.page.append((self.page_direction, top + self.page_y, across + span.x, span))
        if down is None or self.spans:
            self.x = 0
        self.page_y += self.spacing if down is None else down
        self.spans, self.pictures = [], []

    def _form_feed(self, start: int, end: int) -> None:
        if self.page is not None:
            self._page_line(0)
            self._print_page(end)
            self.page = None
        elif self.spans:
            self._line(end)

    def _page_print(self, start: int, end: int) -> None:
        if self.page is not None:
            self._page_line(0)
            self._print_page(end)

    def _cancel(self, start: int, end: int) -> None:
        if self.page is not None:
            self.page.clear()
            self.spans = []

    def _print_page(self, end: int) -> None:
        """Rows from what was set at places: what stands at most half a line apart is one row."""
        pieces = sorted(self.page or (), key=lambda piece: (piece[0], piece[1], piece[2]))
        if self.page is not None:
            self.page = []
        row: list[Span] = []
        place = (0, 0)
        for direction, y, x, span in pieces:
            if row and (direction != place[0] or y - place[1] > CELL or len(row) >= _MOST_SPANS):
                self.lines.append(Line(_compose(row), self.line_start, end, spans=tuple(row)))
                row = []
            if not row:
                place = (direction, y)
            row.append(span._replace(x=x))
        if row:
            self.lines.append(Line(_compose(row), self.line_start, end, spans=tuple(row)))
        self._fresh(end)


# Thin frames and rules read as what typists use for them; the spans keep the characters as printed.
_RULES = {
    **dict.fromkeys(range(0x250C, 0x254C), "+"),
    0x2500: "-",
    0x2502: "|",
    **dict.fromkeys(range(0x256D, 0x2571), "+"),
}
_ALIGNS = frozenset((0, 1, 2, 48, 49, 50))


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


_P = _Printer


def _styled(**changes: int | bool) -> _Handler:
    return lambda printer, start, end: printer._restyle(**changes)


_BY_NAME: dict[str, _Handler] = {
    "line_feed": _P._line_feed,
    "vertical_tab": _P._line_feed,
    "carriage_return": _P._carriage_return,
    "form_feed": _P._form_feed,
    "feed_lines": _P._feed_lines,
    "feed_dots": _P._feed_dots,
    "star_feed_quarter": _P._feed_dots,
    "star_feed_eighth": _P._feed_dots,
    "initialise": lambda printer, start, end: printer._initialise(start),
    "star_reset": _P._star_reset,
    "test_print": _P._self_test,
    "pulse": _P._pulse,
    "realtime_pulse": _P._pulse,
    "tab": _P._tab,
    "tab_stops": _P._tab_stops,
    "position": _P._position,
    "star_position": _P._position,
    "position_relative": _P._position_relative,
    "star_position_relative": _P._position_relative,
    "align": _P._align,
    "star_align": _P._align,
    "left_margin": _P._left_margin,
    "area_width": _P._area_width,
    "print_mode": _P._print_mode,
    "size": _P._size,
    "kanji_print_mode": _P._kanji_print_mode,
    "kanji_quadruple": _P._kanji_quadruple,
    "bold": _P._bold,
    "double_strike": _P._bold,
    "underline": _P._underline,
    "kanji_underline": _P._underline,
    "inverse": _P._inverse,
    "font": _P._font,
    "colour": _P._colour,
    "rotate": _P._rotate,
    "upside_down": _P._upside_down,
    "character_space": _P._character_space,
    "star_bold_on": _styled(bold=True),
    "star_bold_off": _styled(bold=False),
    "star_inverse_on": _styled(inverse=True),
    "star_inverse_off": _styled(inverse=False),
    "star_upside_down_on": _styled(upside_down=True),
    "star_upside_down_off": _styled(upside_down=False),
    "star_wide_on": _styled(width=2),
    "star_wide_off": _styled(width=1),
    "star_wide": _P._star_wide,
    "star_high": _P._star_high,
    "star_size": _P._star_size,
    "code_page": _P._code_page,
    "star_code_page": _P._star_code_page,
    "encoding": _P._vendor_encoding,
    "international": _P._international,
    "kanji_on": _P._kanji_on,
    "kanji_off": _P._kanji_off,
    "kanji_code": _P._kanji_code,
    "star_kanji_on": _P._kanji_on,
    "star_kanji_off": _P._kanji_off,
    "star_shift_jis": _P._star_kanji,
    "peripheral": _P._peripheral,
    "barcode": _P._barcode,
    "barcode_text": _P._barcode_text,
    "symbol_store": _P._symbol_store,
    "symbol_print": _P._symbol_print,
    "star_barcode": _P._star_barcode,
    "star_qr_data": _P._star_symbol_store,
    "star_pdf417_data": _P._star_symbol_store,
    "star_qr_print": _P._star_symbol_print,
    "star_pdf417_print": _P._star_symbol_print,
    "vendor_symbol": _P._vendor_symbol,
    "vendor_symbol_kind": _P._vendor_symbol_kind,
    "raster": _P._raster,
    "column_image": _P._column_image,
    "star_image": _P._star_image,
    "star_image_high": _P._star_image,
    "star_image_fine": _P._star_image_fine,
    "star_picture": _P._star_picture,
    "star_raster_row": _P._star_raster_row,
    "star_raster_off": _P._star_skip,
    "star_raster_skip": _P._star_skip,
    "graphics_raster": _P._stored_graphic,
    "graphics_define": _P._stored_graphic,
    "graphics_print": _P._print_graphic,
    "graphics_nv_print": _P._print_graphic,
    "graphics_defined_print": _P._print_graphic,
    "define_image": _P._define_image,
    "print_image": _P._print_image,
    "nv_image": _P._nv_image,
    "star_logo": _P._nv_image,
    "page_mode": _P._page_mode,
    "standard_mode": _P._standard_mode,
    "page_area": _P._page_area,
    "page_direction": _P._page_turn,
    "page_vertical": _P._page_vertical,
    "page_vertical_relative": _P._page_vertical_relative,
    "page_print": _P._page_print,
    "cancel": _P._cancel,
}
_HANDLERS: dict[Command, _Handler] = {row: _BY_NAME[row.name] for row in ALL_COMMANDS if row.name in _BY_NAME}
