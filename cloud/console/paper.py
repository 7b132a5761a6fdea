"""A receipt as it looked, for the pages: from its raw bytes where we have them, else from its text."""

from __future__ import annotations

import html
import io

from PIL import Image, ImageDraw, ImageFont

MAX_PICTURE_LINES = 2000


def html_of(raw: bytes | None, text: str) -> str:
    """A whole page, no scripts, nothing loaded from elsewhere."""
    body = html.escape(text)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Receipt</title>'
        '<link rel="stylesheet" href="/static/app.css"><body class="one"><main class="beside">'
        f'<div class="sheet whole w48"><div class="paper strip"><pre>{body}</pre></div></div></main></body></html>'
    )


def png_of(raw: bytes | None, text: str) -> bytes:
    """Black on white, as wide as the longest line."""
    font = ImageFont.load_default(18)
    lines = text.split("\n")[:MAX_PICTURE_LINES] or [""]
    step, margin = 24, 24
    width = int(max((font.getlength(line) for line in lines), default=0)) + 2 * margin
    picture = Image.new("L", (min(max(width, 240), 2000), step * len(lines) + 2 * margin), 255)
    draw = ImageDraw.Draw(picture)
    for n, line in enumerate(lines):
        draw.text((margin, margin + n * step), line, fill=0, font=font)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
