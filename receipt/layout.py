"""From commands to paper: the lines of a job, as they come out of the printer. Pure.

`lay_out` walks the marks of a job once, in parts, and carries out each command: here what moves, looks and selects, in
`imaging` what prints pictures and codes; `rows` keeps the line buffer and makes the lines. Sources: the ESC/POS and
Star references, as named in `receipt.commands` and `receipt.star`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from receipt.codepages import ESCPOS_PAGES, NATIONAL, STAR_PAGES, VENDOR_ENCODINGS
from receipt.commands import TEXT, UNKNOWN, Command, Effect
from receipt.encoding import slices
from receipt.imaging import Imaging
from receipt.paper import CELL, Paper, Profile, Span, Style
from receipt.rows import LINE, MOST_DOTS, MOST_SPANS
from receipt.tokens import ALL_COMMANDS, LIKE_STAR, Dialect, Mark, Scanner, detect

_DEFAULT = Profile()
MOST_LINES = 50_000  # some 180 m of paper: a job that prints more is not a receipt
_MOST_JUDGED = 262_144  # bytes of a job whose dialect is judged as a whole; a longer one's commands tell
_new = tuple.__new__
_Handler = Callable[["_Printer", int, int], None]
_ALIGNS = frozenset((0, 1, 2, 48, 49, 50))


def lay_out(raw: bytes, profile: Profile | None = None) -> Paper:
    """The lines of one job.

    Never raises, whatever the bytes; time and memory are linear in them. Nothing beyond `MOST_LINES` rows is laid out.
    """
    profile = profile or _DEFAULT
    if profile.dialect is Dialect.AUTO and len(raw) < _MOST_JUDGED and any(sign in raw for sign in LIKE_STAR):
        profile = replace(profile, dialect=detect(raw))
    printer = _Printer(raw, profile)
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


class _Printer(Imaging):
    """A printer that carries out commands: each method one of them, bytes `start` to `end` of the job."""

    def _initialise(self, start: int) -> None:
        if self.spans or self.pictures or self.rows:
            self._line(start)
        self.reset()

    def run(self) -> tuple[Dialect, bool]:
        """Walk the job. Gives its dialect, and whether it ends within a command."""
        raw = self.raw
        scanner = Scanner(self.profile.dialect)
        for part in slices(raw):
            marks = scanner.feed(part)
            if len(part) == len(raw):
                self.encoding.marks = marks
            self._walk(marks)
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
                elif len(self.spans) > MOST_SPANS:
                    self._line(end)
                continue
            handler = _HANDLERS.get(command)
            if handler is not None:
                handler(self, start, end)
            elif command is UNKNOWN:
                self.unknown += 1
            elif Effect.CUTS in command.effect:
                self._cut(start, end)

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

    def _line_spacing(self, start: int, end: int) -> None:
        """ESC 3 n; ESC 2: the usual."""
        self.spacing = self._argument(start, end) if end - start > 2 else LINE

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
        at = int.from_bytes(self.raw[end - 2 : end], "little")
        if at <= self.dots:  # a place beyond the print area is none: ignored
            self.x = at

    def _position_relative(self, start: int, end: int) -> None:
        self.x = max(0, self.x + int.from_bytes(self.raw[end - 2 : end], "little", signed=True))

    def _align(self, start: int, end: int) -> None:
        self.align = min(self._argument(start, end) & 15, 2) if self._argument(start, end) in _ALIGNS else self.align

    def _left_margin(self, start: int, end: int) -> None:
        self.left = int.from_bytes(self.raw[start + 2 : end], "little")

    def _area_width(self, start: int, end: int) -> None:
        if self.profile.columns is None and self.profile.dots is None:
            told = int.from_bytes(self.raw[start + 2 : end], "little")
            self.area = told
            self.told_width = told >= 10 * CELL
            self.dots = told if self.told_width else MOST_DOTS

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
    "line_spacing": _P._line_spacing,
    "line_spacing_default": _P._line_spacing,
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
    "barcode_width": _P._barcode_width,
    "barcode_height": _P._barcode_height,
    "symbol_settings": _P._symbol_settings,
    "star_qr": _P._star_symbol_settings,
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
