"""Pictures and codes: the commands that print dots or symbols. Pure."""

from __future__ import annotations

from receipt import symbols
from receipt.paper import Bitmap, Code
from receipt.rows import Rows


class Imaging(Rows):
    """Each method carries out one command: bytes `start` to `end` of the job, the payload perhaps cut short."""

    def _barcode(self, start: int, end: int) -> None:
        code = symbols.barcode(self.raw[start:end], self.caption)
        self._code(code._replace(module=self.bar, height=self.bar_height), start, end)

    def _barcode_text(self, start: int, end: int) -> None:
        self.caption = self._argument(start, end) & 3 > 0

    def _barcode_width(self, start: int, end: int) -> None:
        self.bar = self._argument(start, end)

    def _barcode_height(self, start: int, end: int) -> None:
        self.bar_height = self._argument(start, end)

    def _symbol_settings(self, start: int, end: int) -> None:
        """GS ( k pL pH cn fn n: of QR codes, fn 67 tells how large a module is."""
        if self.raw[start + 5 : start + 7] == b"1C":
            self.square = self._argument(start, end)

    def _star_symbol_settings(self, start: int, end: int) -> None:
        """ESC GS y S 2 n."""
        if self.raw[start + 3 : start + 5] == b"S2":
            self.square = self._argument(start, end)

    def _symbol_store(self, start: int, end: int) -> None:
        kind, value = symbols.symbol_data(self.raw[start:end])
        self.symbols[kind] = value

    def _symbol_print(self, start: int, end: int) -> None:
        kind = symbols.symbol_kind(self.raw[start:end])
        if kind in self.symbols:
            self._code(Code(kind, self.symbols[kind], module=self.square if kind == "qr" else 0), start, end)

    def _star_barcode(self, start: int, end: int) -> None:
        self._code(symbols.star_barcode(self.raw[start:end]), start, end)

    def _star_symbol_store(self, start: int, end: int) -> None:
        kind, value = symbols.star_symbol_data(self.raw[start:end])
        self.symbols[kind] = value

    def _star_symbol_print(self, start: int, end: int) -> None:
        kind = "qr" if self.raw[start + 2 : start + 3] == b"y" else "pdf417"
        if kind in self.symbols:
            self._code(Code(kind, self.symbols[kind], module=self.square if kind == "qr" else 0), start, end)

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
