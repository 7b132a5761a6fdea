"""A shop's logo: checked before a decoder sees it, then dots for the paper. Pure.

Takes   PNG bytes, as they came from a browser. Nothing else: no SVG, no GIF.
Gives   rows of one bit a dot, MSB first, dithered; or why it cannot be used.
Never   decodes what its own head says is larger than WIDEST x TALLEST.
"""

from __future__ import annotations

WIDEST, TALLEST = 576, 2000  # dots of an uploaded picture; on paper it is at most TALL high
TALL = 240
MOST_BYTES = 64 * 1024
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def problem(png: bytes) -> str:
    """Why these bytes are no logo, as the end of a sentence ("the logo ..."); "" when they are one."""
    if len(png) > MOST_BYTES:
        return f"has {len(png)} bytes, where {MOST_BYTES} are allowed"
    if png[:8] != SIGNATURE or png[12:16] != b"IHDR" or len(png) < 33:
        return "is no PNG picture"
    width, height = int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
    if not (0 < width <= WIDEST and 0 < height <= TALLEST):
        return f"is {width} x {height} dots, where {WIDEST} x {TALLEST} are allowed"
    try:
        dots(png, WIDEST)
    except (OSError, ValueError, SyntaxError) as error:
        return f"cannot be read: {error}"
    return ""


def tidy(png: bytes) -> bytes:
    """The same picture as a small PNG of one bit a dot, as it is kept and sent. Raises ValueError for what is none."""
    if wrong := problem(png):
        raise ValueError(f"the logo {wrong}")
    import io

    from PIL import Image

    width, height, data = dots(png, WIDEST)
    out = io.BytesIO()
    Image.frombytes("1", (width, height), bytes(255 - b for b in data)).save(out, "PNG", optimize=True)
    return out.getvalue()


def dots(png: bytes, widest: int) -> tuple[int, int, bytes]:
    """-> (width, height, rows): 1 is black; no wider than `widest`, no taller than TALL; width a multiple of 8."""
    import io

    from PIL import Image

    with Image.open(io.BytesIO(png), formats=["PNG"]) as opened:
        opened.load()
        picture = opened.convert("LA")
    paper = Image.new("L", picture.size, 255)
    paper.paste(picture.getchannel("L"), mask=picture.getchannel("A"))
    scale = min(1.0, widest / paper.width, TALL / paper.height)
    if scale < 1:
        paper = paper.resize((max(8, int(paper.width * scale)), max(1, int(paper.height * scale))))
    width = max(8, min((paper.width + 7) // 8 * 8, widest // 8 * 8))
    framed = Image.new("L", (width, paper.height), 255)
    framed.paste(paper, ((width - paper.width) // 2, 0))
    return width, paper.height, framed.point(lambda level: 255 - level).convert("1").tobytes()
