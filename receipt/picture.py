"""A job as it looks on paper: text, HTML or PNG. Pure, but for the font files that Pillow finds on the machine.

Pillow, segno and python-barcode are imported when a picture is made, not before: the relay and the reader do without.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Any

from receipt.encoding import cells, is_wide
from receipt.layout import lay_out
from receipt.paper import CELL, Bitmap, Code, Line, Profile, Span

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

_ROW = 24  # dots down of font A
_LINE = 30  # dots from line to line
_MARGIN = 24
_MOST_WIDTH = 1664  # 8 inches at 203 dpi; what is set wider is cut off
_MOST_HEIGHT = 24_000  # 3 m of paper; a longer job's picture ends there
_FONTS = ("DejaVuSansMono.ttf", "LiberationMono-Regular.ttf", "NotoSansMono-Regular.ttf", "FreeMono.ttf")
_BOLD_FONTS = ("DejaVuSansMono-Bold.ttf", "LiberationMono-Bold.ttf", "NotoSansMono-Bold.ttf", "FreeMonoBold.ttf")
_WIDE_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKsc-Regular.otf",
    "NotoSerifCJK-Regular.ttc",
    "NotoSerifCJK-Bold.ttc",
    "wqy-zenhei.ttc",
    "wqy-microhei.ttc",
    "uming.ttc",
    "DroidSansFallbackFull.ttf",
    "unifont.otf",
    "unifont.ttf",
)
_BARCODES = {"gs1-128": "gs1_128", "codabar": "codabar", "code93": "", "gs1-databar": "", "upce": ""}


def as_text(lines: Sequence[Line], columns: int | None = None) -> str:
    """The paper as plain text, alignment padded in; pictures, codes and cuts are named in brackets."""
    columns = columns or _columns(lines)
    out = []
    for line in lines:
        if line.kind == "cut":
            out.append("- " * (columns // 2))
        elif line.kind == "image" and line.image is not None:
            out.append(_aligned(f"[{_image_name(line.image)}]", line, columns))
        elif line.kind == "code" and line.code is not None:
            out.append(_aligned(f"[{line.code.kind}: {line.code.value}]", line, columns))
        else:
            out.append(_aligned(line.text, line, columns))
    return "\n".join(text.rstrip() for text in out) + "\n"


def as_html(lines: Sequence[Line], columns: int | None = None) -> str:
    """The paper as one <div class="paper">; every text escaped, pictures as data URLs, no script, no link."""
    columns = columns or _columns(lines)
    out = [f'<div class="paper" style="width:{columns}ch;font-family:monospace;white-space:pre;line-height:1.25">']
    for line in lines:
        style = ("left", "center", "right")[line.align]
        if line.kind == "cut":
            out.append('<div class="cut" style="border-top:1px dashed;margin:.6em 0"></div>')
        elif line.kind == "image" and line.image is not None:
            out.append(f'<div style="text-align:{style}">{_image_html(line.image)}</div>')
        elif line.kind == "code" and line.code is not None:
            value = escape(line.code.value)
            picture = _data_url(_code_picture(line.code))
            caption = f"<br>{value}" if line.code.caption else ""
            image = f'<img alt="{escape(line.code.kind)}: {value}" src="{picture}">'
            out.append(f'<div style="text-align:{style}">{image}{caption}</div>')
        else:
            out.append(f'<div style="text-align:{style}">{_text_html(line)}</div>')
    out.append("</div>")
    return "\n".join(out)


def as_png(job: bytes | Sequence[Line], profile: Profile | None = None) -> bytes:
    """The paper as a PNG, one dot of the printer a pixel.

    Takes   a job's bytes, or its lines.
    Gives   a PNG of at most 1,664 x 24,000 pixels, grey (or with red, where the job prints in two colours).
    Raises  ImportError where Pillow is not installed; nothing because of the job.
    """
    from PIL import Image

    lines: Sequence[Line]
    if isinstance(job, bytes | bytearray | memoryview):
        paper = lay_out(bytes(job), profile)
        lines, width = paper.lines, paper.columns * CELL
    else:
        lines, width = job, _columns(job) * CELL
    width = min(max(width, *(_reach(line) for line in lines), CELL * 16) if lines else width, _MOST_WIDTH)
    strips: list[Picture] = []
    height = 2 * _MARGIN
    for line in lines:
        strip = _strip(line, width)
        height += strip.height
        if height > _MOST_HEIGHT:
            break
        strips.append(strip)
    mode = "RGB" if any(strip.mode == "RGB" for strip in strips) else "L"
    page = Image.new(mode, (width + 2 * _MARGIN, sum(strip.height for strip in strips) + 2 * _MARGIN), "white")
    y = _MARGIN
    for strip in strips:
        page.paste(strip, (_MARGIN, y))
        y += strip.height
    return _png(page)


# ---------------------------------------------------------------------------------------------- text and HTML


def _columns(lines: Sequence[Line]) -> int:
    reach = max((_reach(line) for line in lines), default=0)
    columns = -(-reach // CELL)
    return next((usual for usual in (32, 42, 48) if columns <= usual), min(columns, _MOST_WIDTH // CELL))


def _reach(line: Line) -> int:
    """How far to the right a line prints, in dots."""
    if line.image is not None:
        return line.left + line.image.x + line.image.width * line.image.scale_x
    if line.spans:
        last = max(line.spans, key=lambda span: span.x + span.dots)
        blanks = len(last.text) - len(last.text.rstrip())
        return line.left + last.x + last.dots - blanks * last.style.cell
    return 0


def _aligned(text: str, line: Line, columns: int) -> str:
    width = max((sum(cells(span.text) * span.style.width for span in line.spans), cells(text)))
    room = max(columns - width - line.left // CELL, 0)
    return " " * (line.left // CELL + (0, room // 2, room)[line.align]) + text


def _image_name(image: Bitmap) -> str:
    return image.reference or f"picture {image.width} x {image.height}"


def _image_html(image: Bitmap) -> str:
    if not image.data:
        return escape(f"[{_image_name(image)}]")
    return f'<img alt="{escape(_image_name(image))}" src="{_data_url(_bitmap(image, _MOST_WIDTH))}">'


def _text_html(line: Line) -> str:
    if not line.spans:
        return "&nbsp;"
    placed = [span for span in line.spans if span.x]
    if len(placed) != len(line.spans) - 1 or any(
        a.x + a.dots != b.x for a, b in zip(line.spans, line.spans[1:], strict=False)
    ):
        return _span_html(line.text, line.spans[0]) or "&nbsp;"  # set at places: the text has the columns
    return "".join(_span_html(span.text, span) for span in line.spans)


def _span_html(text: str, span: Span) -> str:
    style = span.style
    rules = []
    if style.bold:
        rules.append("font-weight:bold")
    if style.underline:
        rules.append("text-decoration:underline")
    if style.inverse:
        rules.append("background:#000;color:#fff")
    if style.red:
        rules.append("color:#c00")
    if style.width > 1 or style.height > 1:
        rules.append(f"font-size:{max(style.width, style.height) * 100}%")
    return f'<span style="{";".join(rules)}">{escape(text)}</span>' if rules else escape(text)


def _data_url(picture: Picture) -> str:
    return "data:image/png;base64," + base64.b64encode(_png(picture)).decode()


def _png(picture: Picture) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


# ---------------------------------------------------------------------------------------------- pictures


def _strip(line: Line, width: int) -> Picture:
    """One line as a picture of the paper's width."""
    from PIL import Image

    if line.kind == "cut":
        strip = Image.new("L", (width, 21), 255)
        for x in range(0, width, 12):
            strip.paste(0, (x, 10, x + 6, 11))
        return strip
    if line.kind == "image" and line.image is not None:
        inside = _bitmap(line.image, width) if line.image.data else _label(f"[{_image_name(line.image)}]")
        return _placed(inside, line, width, 0)
    if line.kind == "code" and line.code is not None:
        return _placed(_code_picture(line.code, width), line, width, 8)
    feed = min(line.feed, 8 * _LINE)
    tall = max((span.style.height * _ROW for span in line.spans), default=0)
    high = max(line.pitch, tall) + feed
    colour = any(span.style.red for span in line.spans)
    strip = Image.new("RGB" if colour else "L", (width, high), "white")
    if line.spans:
        start = line.left + _offset(line, _reach(line) - line.left, width)
        for span in line.spans:
            _draw(strip, span, start + span.x, tall)
        if line.spans[0].style.upside_down:
            strip = strip.transpose(Image.Transpose.ROTATE_180)
    return strip


def _draw(strip: Picture, span: Span, x: int, tall: int) -> None:
    """Set a run of characters, each in its cell, on one baseline."""
    from PIL import Image

    style = span.style
    high = (17 if style.font else _ROW) * style.height
    narrow = 9 if style.font else CELL
    count = max(cells(span.text), 1)
    step = span.dots / count  # with the space between characters, where there is one
    ink = (200, 0, 0) if style.red else 0
    top = tall - high
    place = float(x)
    for character in span.text:
        across = 2 if is_wide(character) else 1
        left, place = round(place), place + step * across
        if left >= strip.width:
            return
        if character != " " or style.inverse:
            size = (narrow * across * style.width, high)
            glyph = _glyph(character, across, style.bold).resize(size, Image.Resampling.BILINEAR)
            if style.inverse:
                strip.paste(ink, (left, top, round(place), top + high))
            strip.paste("white" if style.inverse else ink, (left, top), glyph)
    if style.underline:
        strip.paste(ink, (x, top + high, round(place), top + high + 2))


@lru_cache(maxsize=4096)
def _glyph(character: str, across: int, bold: bool) -> Picture:
    """One character as a mask, 12 or 24 dots wide and 24 high."""
    from PIL import Image, ImageDraw

    glyph = Image.new("L", (CELL * across, _ROW), 0)
    font = _font(across == 2, bold)
    draw = ImageDraw.Draw(glyph)
    if character.isprintable():
        draw.text((CELL * across / 2, _ROW - 5), character, fill=255, font=font, anchor="ms")
    if bold and across == 2:
        draw.text((CELL + 1, _ROW - 5), character, fill=255, font=font, anchor="ms")
    return glyph


@lru_cache(maxsize=4)
def _font(wide: bool, bold: bool) -> Any:
    """The first font of the lists that this machine has; Pillow's own where it has none."""
    from PIL import ImageFont

    names = _WIDE_FONTS if wide else _BOLD_FONTS if bold else _FONTS
    for name in names:
        try:
            return ImageFont.truetype(name, 22 if wide else 20)
        except OSError:
            continue
    return ImageFont.load_default(20)


def _label(text: str) -> Picture:
    from PIL import Image

    strip = Image.new("L", (max(cells(text), 1) * CELL, _LINE), 255)
    x = 0
    for character in text[:200]:
        across = 2 if is_wide(character) else 1
        strip.paste(0, (x, 3), _glyph(character, across, False))
        x += CELL * across
    return strip


def _placed(inside: Picture, line: Line, width: int, above: int) -> Picture:
    from PIL import Image

    strip = Image.new("L", (width, inside.height + 2 * above), 255)
    offset = line.image.x if line.image is not None else 0
    strip.paste(inside, (line.left + offset + _offset(line, inside.width, width), above))
    return strip


def _offset(line: Line, inside: int, width: int) -> int:
    """Where alignment sets what is `inside` dots wide, from the left margin on."""
    room = min(line.area or width, width - line.left) - inside
    return max((0, room // 2, room)[line.align], 0)


def _bitmap(image: Bitmap, width: int) -> Picture:
    """The dots of a picture, scaled as the printer does, no wider than the paper."""
    from PIL import Image, ImageOps

    if image.columns:
        down = image.height // 8
        across = max(len(image.data) // max(down, 1), 1)
        picture = Image.frombytes("1", (down * 8, across), image.data[: down * across].ljust(down * across, b"\0"))
        picture = picture.transpose(Image.Transpose.TRANSPOSE)
    else:
        row = -(-image.width // 8)
        high = max(min(image.height, len(image.data) // row), 1)
        picture = Image.frombytes("1", (row * 8, high), image.data[: row * high].ljust(row * high, b"\0"))
    picture = picture.crop((0, 0, min(image.width, width), min(picture.height, _MOST_HEIGHT)))
    picture = ImageOps.invert(picture.convert("L"))
    if image.scale_x > 1 or image.scale_y > 1:
        picture = picture.resize(
            (picture.width * image.scale_x, picture.height * image.scale_y), Image.Resampling.NEAREST
        )
        picture = picture.crop((0, 0, min(picture.width, width), min(picture.height, _MOST_HEIGHT)))
    return picture


def _code_picture(code: Code, width: int = 48 * CELL) -> Picture:
    """A code that a camera can read; its text where it cannot be drawn: wrong data, or a rare kind."""
    picture = _qr(code.value, code.module, width) if code.kind == "qr" else _bars(code, width)
    return picture or _label(f"[{code.kind}: {code.value}]")


def _qr(value: str, module: int, width: int) -> Picture | None:
    import segno
    from PIL import Image

    try:
        symbol = segno.make_qr(value)
    except (ValueError, segno.DataOverflowError):
        return None
    rows = [list(row) for row in symbol.matrix_iter(scale=1, border=2)]
    picture = Image.new("L", (len(rows[0]), len(rows)))
    picture.putdata([0 if dark else 255 for row in rows for dark in row])
    scale = max(min(module or 5, 16, width // picture.width), 1)
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def _bars(code: Code, width: int) -> Picture | None:
    from PIL import Image

    name = _BARCODES.get(code.kind, code.kind)
    try:
        import barcode
        from barcode.errors import BarcodeError
    except ImportError:
        return None
    if name not in barcode.PROVIDED_BARCODES:
        return None
    options = {"add_checksum": False} if name == "code39" else {}
    try:
        bars_of = barcode.get_barcode_class(name)(code.value, **options)
        [pattern] = bars_of.build()
    except (BarcodeError, ValueError, KeyError, IndexError, TypeError):
        return None
    bars = Image.new("L", (len(pattern) + 20, 1), 255)
    bars.putdata([255] * 10 + [0 if bar == "1" else 255 for bar in pattern] + [255] * 10)
    scale = max(min(code.module or 2, 6, width // bars.width), 1)
    picture = bars.resize((bars.width * scale, code.height or 80), Image.Resampling.NEAREST)
    if not code.caption:
        return picture
    label = _label(bars_of.get_fullcode() if name.startswith(("ean", "upc")) else code.value)  # with its check digit
    whole = Image.new("L", (max(picture.width, label.width), picture.height + label.height), 255)
    whole.paste(picture, ((whole.width - picture.width) // 2, 0))
    whole.paste(label, ((whole.width - label.width) // 2, picture.height))
    return whole
