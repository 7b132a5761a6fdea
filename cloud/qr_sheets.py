"""Sheets of QR codes to print and cut: red ones for tables, black ones for takeaway and delivery. A4, 300 dots an inch.

The picture is the same as PNG and in the PDF, whatever script a name is written in.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import segno
from PIL import Image, ImageDraw, ImageFont

PAGE = (2480, 3508)  # A4 at 300 dots an inch
MARGIN = 118  # 10 mm: what home printers leave white
PER_PAGE = {1: (1, 1), 2: (1, 2), 4: (2, 2), 6: (2, 3), 9: (3, 3), 12: (3, 4)}  # cards: columns, rows
RED, BLACK, INK, SOFT, MARK = "#8f2418", "#1d1a17", "#1d1a17", "#6b6256", "#9a948a"
FONTS = (
    "NotoSerifCJK-Bold.ttc",
    "NotoSansCJK-Bold.ttc",
    "NotoSansCJK-Regular.ttc",
    "DejaVuSerif-Bold.ttf",
    "DejaVuSans-Bold.ttf",
    "NotoSansArabic-Bold.ttf",
    "NotoSansThai-Bold.ttf",
)


@dataclass(frozen=True, slots=True)
class Card:
    """One code: what stands on it and where it leads."""

    shop: str
    small: str  # TABLE, or nothing
    big: str  # the table's name; "Takeaway"
    caption: str
    url: str
    red: bool


def png(cards: list[Card], per_page: int) -> bytes:
    """The first page."""
    out = io.BytesIO()
    next(iter(_pages(cards, per_page))).quantize(16).save(out, "PNG", dpi=(300, 300))
    return out.getvalue()


def pdf(cards: list[Card], per_page: int) -> bytes:
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4, pageCompression=1)
    canvas.setTitle(cards[0].shop if cards else "QR")
    for page in _pages(cards, per_page):
        canvas.drawImage(ImageReader(page), 0, 0, *A4)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def _pages(cards: list[Card], per_page: int) -> Iterable[Image.Image]:
    across, down = PER_PAGE[per_page]
    width, height = (PAGE[0] - 2 * MARGIN) // across, (PAGE[1] - 2 * MARGIN) // down
    for start in range(0, len(cards) or 1, per_page):
        page = Image.new("RGB", PAGE, "white")
        draw = ImageDraw.Draw(page)
        for n, card in enumerate(cards[start : start + per_page]):
            left, top = MARGIN + n % across * width, MARGIN + n // across * height
            _card(draw, card, left, top, width, height)
            _cut_marks(draw, left, top, width, height)
        yield page


def _card(draw: ImageDraw.ImageDraw, card: Card, left: int, top: int, width: int, height: int) -> None:
    colour, middle, pad = RED if card.red else BLACK, left + width // 2, width // 14
    band = height // 7
    draw.rectangle((left, top, left + width, top + band), fill=colour)
    _text(draw, card.shop, (middle, top + band // 2), width - 2 * pad, int(band * 0.46), "white")
    at = top + band + height // 40
    if card.small:
        _text(draw, card.small, (middle, at + height // 50), width - 2 * pad, height // 34, SOFT)
        at += height // 24
    big = height // (6 if card.red else 11)
    _text(draw, card.big, (middle, at + big // 2), width - 2 * pad, big, colour)
    at += big + height // 60
    foot = height // 12
    side = min(width - 2 * pad, top + height - foot - at)
    _code(draw, card.url, middle - side // 2, at, side)
    _text(draw, card.caption, (middle, top + height - foot // 2 - height // 80), width - 2 * pad, foot // 3, INK)


def _code(draw: ImageDraw.ImageDraw, url: str, left: int, top: int, side: int) -> None:
    """Modules are whole dots, with the quiet zone of 4 that ISO/IEC 18004 asks for."""
    rows = list(segno.make(url, error="m", micro=False).matrix)
    dot = max(1, side // (len(rows) + 8))
    edge = (side - dot * len(rows)) // 2
    for y, row in enumerate(rows):
        for x, dark in enumerate(row):
            if dark:
                a, b = left + edge + x * dot, top + edge + y * dot
                draw.rectangle((a, b, a + dot - 1, b + dot - 1), fill="black")


def _cut_marks(draw: ImageDraw.ImageDraw, left: int, top: int, width: int, height: int) -> None:
    for x in (left, left + width):
        for y in (top, top + height):
            draw.line((x - 40, y, x + 40, y), fill=MARK, width=3)
            draw.line((x, y - 40, x, y + 40), fill=MARK, width=3)


def _text(draw: ImageDraw.ImageDraw, text: str, middle: tuple[int, int], width: int, tall: int, colour: str) -> None:
    """One line around `middle`, as tall as `tall` allows and `width` holds."""
    size = tall
    while size > 12 and draw.textlength(text, _font(text, size)) > width:
        size = int(size * 0.92)
    draw.text(middle, text, colour, _font(text, size), anchor="mm")


@lru_cache(maxsize=256)
def _loaded(name: str, size: int) -> Any:
    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None


@lru_cache(maxsize=256)
def _font(text: str, size: int) -> Any:
    """The font that has most of these letters; Pillow's own where the machine has none."""
    best, most = None, -1
    for name in FONTS:
        font = _loaded(name, size)
        if font is None:
            continue
        missing = bytes(font.getmask("\U000ffffd"))
        shown = sum(bytes(font.getmask(letter)) != missing for letter in set(text) - {" "})
        if shown > most:
            best, most = font, shown
    return best or ImageFont.load_default(size)
