"""receipt/picture.py: a job as text, HTML and PNG."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from receipt.layout import lay_out
from receipt.picture import as_html, as_png, as_text

SHOP = (
    b"\x1b@\x1ba\x01\x1b!\x38SHOP\n\x1b!\x00\x1ba\x00Tea" + b" " * 25 + b"4.50\n\x1ba\x02right\n\x1ba\x01"
    b"\x1d(k\x0b\x001P0http://x\x1d(k\x03\x001Q0\x1dH\x02\x1dkI\x06{B1234"
    b"\x1dv0\x00\x02\x00\x02\x00\xff\xff\x00\x00\x1dVA\x00"
)


def opened(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png))


def ink(picture: Image.Image) -> tuple[int, int, int, int] | None:
    return ImageOps.invert(picture.convert("L")).getbbox()


def test_text_is_aligned_and_names_what_is_not_text() -> None:
    rows = as_text(lay_out(SHOP).lines, 32).split("\n")
    assert rows[0] == " " * 12 + "SHOP"
    assert rows[1] == "Tea" + " " * 25 + "4.50"
    assert rows[2] == " " * 27 + "right"
    assert rows[3].strip() == "[qr: http://x]"
    assert rows[4].strip() == "[code128: 1234]"
    assert rows[5].strip() == "[picture 16 x 2]"
    assert rows[6].startswith("- - -")


def test_html_shows_looks_and_escapes_what_the_paper_says() -> None:
    page = as_html(lay_out(SHOP + b"\x1b!\x00<script>alert('1')</script>&\n").lines)
    assert "font-weight:bold" in page
    assert page.count('src="data:image/png;base64,') == 3
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_the_picture_is_as_wide_as_the_paper_and_as_long_as_the_lines() -> None:
    one = opened(as_png(b"Tea" + b" " * 25 + b"4.50\n"))
    two = opened(as_png(b"Tea" + b" " * 25 + b"4.50\nTea\n"))
    assert one.width == 32 * 12 + 48
    assert two.height - one.height == 30


def test_centred_text_stands_in_the_middle() -> None:
    picture = opened(as_png(b"\x1ba\x01HHHH\n" + b"\x1ba\x00" + b" " * 31 + b".\n"))
    box = ink(picture.crop((0, 0, picture.width, 54)))
    assert box is not None
    assert abs((box[0] + box[2]) / 2 - picture.width / 2) < 8


def test_dots_come_out_where_the_job_set_them() -> None:
    raster = b"\x1dv0\x00\x02\x00\x04\x00" + b"\xf0\x0f" * 4
    picture = opened(as_png(raster))
    assert [picture.getpixel((24 + x, 25)) for x in (0, 3, 4, 11, 12, 15, 16)] == [0, 0, 255, 255, 0, 0, 255]
    columns = b"\x1b*\x01\x02\x00\xf0\x0f\n"
    picture = opened(as_png(columns))
    assert [picture.getpixel((24, 24 + y)) for y in (0, 11, 12, 23)] == [0, 0, 255, 255]
    assert [picture.getpixel((25, 24 + y)) for y in (0, 11, 12, 23)] == [255, 255, 0, 0]


def test_a_qr_code_is_drawn_dot_for_dot() -> None:
    import segno

    picture = opened(as_png(b"\x1d(k\x0b\x001P0http://x\x1d(k\x03\x001Q0"))
    box = ink(picture)
    assert box is not None
    modules = [list(row) for row in segno.make_qr("http://x").matrix]
    drawn = [
        [picture.getpixel((box[0] + 5 * x + 2, box[1] + 5 * y + 2)) == 0 for x in range(len(modules))]
        for y in range(len(modules))
    ]
    assert drawn == [[bool(dark) for dark in row] for row in modules]


def test_inverse_is_white_on_black_and_the_second_colour_is_red() -> None:
    picture = opened(as_png(b"\x1dB\x01 \x1dB\x00\n"))
    assert picture.getpixel((30, 40)) == 0
    red = opened(as_png(b"\x1br\x01HHHH\n"))
    assert red.mode == "RGB"
    assert any(count for count, pixel in red.getcolors(100_000) or () if pixel[0] > 150 > pixel[1] + 60)


def test_a_code_that_cannot_be_drawn_is_written() -> None:
    assert ink(opened(as_png(b"\x1dk\x02letters\x00"))) is not None
    assert "letters" in as_text(lay_out(b"\x1dk\x02letters\x00").lines)


@pytest.mark.covers("A10")
@pytest.mark.parametrize(
    "job",
    [
        b"\x1dv0\x03\xff\xff\xff\xff" + bytes(100_000),
        b"a\n" * 60_000,
        b"\x1b*\x21\xff\xff" + bytes(90_000),
        b"x" * 100_000,
        b"\x1d!\x77" + b"W\n" * 2000,
    ],
)
def test_no_job_makes_a_picture_larger_than_three_metres_of_paper(job: bytes) -> None:
    picture = opened(as_png(job))
    assert picture.width <= 1664 + 48
    assert picture.height <= 24_048


ODD = [SHOP, b"\x1b{\x01ab\n", b"\x1bL", b"\x0c", b"\x1b$\xff\xff", b"\x1dL\xff\xff", b"\x1b\\\x00\xff"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(ODD) | st.binary(max_size=30), max_size=8).map(b"".join))
def test_any_job_has_a_picture(job: bytes) -> None:
    assert as_png(job).startswith(b"\x89PNG")
    lines = lay_out(job).lines
    assert as_html(lines).endswith("</div>")
    as_text(lines)


def test_nothing_is_imported_for_pictures_before_one_is_made() -> None:
    code = "import sys, receipt.picture; print([m for m in ('PIL', 'segno', 'barcode') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
