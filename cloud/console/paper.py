"""A receipt as it looked, for pages and API: drawn from its raw bytes where we have them, else from its text."""

from __future__ import annotations

import html
import io

from PIL import Image, ImageDraw, ImageFont

from cloud.reader_door import Shared

MAX_LINES = 2000
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"  # styled paper, and nothing else


def html_of(pictures: Shared, raw: bytes | None, text: str) -> str:
    """A whole page; no scripts, nothing loaded from elsewhere. To be sent with POLICY."""
    paper = (pictures.html(raw) if raw is not None else None) or f"<pre>{html.escape(text)}</pre>"
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Receipt</title><body>{paper}</body></html>'


def png_of(pictures: Shared, raw: bytes | None, text: str) -> bytes:
    return (pictures.png(raw) if raw is not None else None) or _plain(text)


def _plain(text: str) -> bytes:
    """Black on white, as wide as the longest line."""
    font = ImageFont.load_default(18)
    lines = text.split("\n")[:MAX_LINES] or [""]
    step, margin = 24, 24
    width = int(max((font.getlength(line) for line in lines), default=0)) + 2 * margin
    picture = Image.new("L", (min(max(width, 240), 2000), step * len(lines) + 2 * margin), 255)
    draw = ImageDraw.Draw(picture)
    for n, line in enumerate(lines):
        draw.text((margin, margin + n * step), line, fill=0, font=font)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
