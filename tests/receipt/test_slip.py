"""receipt/slip.py: an order on paper. What a customer wrote is data, never commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from receipt.script import Script, draw, undrawn
from receipt.slip import Slip, SlipItem, render
from receipt.slip_writer import Paper, clean, wrap

ORDER = Slip(
    number="A12",
    kind="dine_in",
    table="7",
    items=(SlipItem("宫保鸡丁", 2, 1250, ("no peanuts",), "quick please"), SlipItem("Café crème")),
    note="birthday",
    customer="Li",
    currency="EUR",
    total=2800,
    placed_at="2026-11-22 10:00",
    shop="面馆",
)
WORDS = st.text(max_size=60)
SLIPS = st.builds(
    Slip,
    number=WORDS,
    kind=st.sampled_from(["dine_in", "takeaway", "delivery"]) | WORDS,
    items=st.lists(
        st.builds(SlipItem, WORDS, st.integers(0, 999), options=st.lists(WORDS, max_size=2).map(tuple), note=WORDS),
        max_size=4,
    ).map(tuple),
    table=WORDS,
    customer=WORDS,
    note=WORDS,
    channel=WORDS,
    shop=WORDS,
    placed_at=WORDS,
)
ALLOWED = re.compile(
    rb"\x1b@|\x1cC\x01|\x1d\(k.\x00[\x20-\x7e\x00-\x08]+?(?=\x1d|\n|\x1b)|\x1c\.\x1bt[\x00-\x30][\x20-\x7e\x80-\xff]+|\x1ba[\x00-\x02]|\x1bE[\x00\x01]|\x1d![\x00-\x77]|\x1bd[\x00-\x0a]|\x1dV\x00"
    rb"|\x1c&(?:[\x81-\xfe][\x40-\x7e\x80-\xfe])+\x1c\.|[\x20-\x7e]+|\n",
    re.S,
)


def commands(job: bytes) -> list[bytes]:
    """Cut by a second, independent reading of what a slip may be made of; fails on anything else."""
    found, at = [], 0
    while at < len(job):
        if job.startswith(b"\x1dv0\x00", at):
            end = (
                at + 8 + int.from_bytes(job[at + 4 : at + 6], "little") * int.from_bytes(job[at + 6 : at + 8], "little")
            )
            assert end <= len(job) and not re.search(rb"\x10[\x04\x05\x14]", job[at:end])
            found.append(job[at:end])
            at = end
            continue
        match = ALLOWED.match(job, at)
        assert match, f"byte {at}: {job[at : at + 12]!r} is no command of a slip"
        found.append(match.group())
        at = match.end()
    return found


def lines(job: bytes) -> list[str]:
    text = b"".join(c for c in commands(job) if c[:1] not in b"\x1b\x1d")
    return text.replace(b"\x1c&", b"").replace(b"\x1c.", b"").decode("gbk").splitlines()


def test_type_and_table_come_first_and_largest() -> None:
    job = render(ORDER)
    assert lines(job)[:3] == ["DINE IN", "TABLE 7", "#A12"]
    assert job.index(b"\x1d!\x22") < job.index(b"DINE IN") < job.index(b"\x1d!\x11") < job.index(b"\x1d!\x00")


def test_it_says_what_is_to_be_cooked() -> None:
    said = lines(render(ORDER))
    for line in ("    + no peanuts", "    ! quick please", "Note: birthday"):
        assert line in said
    squeezed = [" ".join(line.split()) for line in said]
    assert "2 x 宫保鸡丁 25.00" in squeezed and "TOTAL EUR 28.00" in squeezed
    assert "Ordered: 2026-11-22 10:00" in said


@pytest.mark.parametrize("mark", ["REPRINT", "COPY 1", "STOP PREPARING"])
def test_a_mark_stands_at_the_head_and_at_the_foot(mark: str) -> None:
    said = lines(render(ORDER, mark))
    heads = [line for line in said if mark.split()[0] in line]
    assert said[0].startswith(f"** {mark.split()[0]}") and len(heads) == 2
    assert mark not in "\n".join(lines(render(ORDER)))


def test_it_ends_with_feed_and_cut() -> None:
    assert render(ORDER).endswith(b"\x1bd\x06\x1dV\x00") and render(ORDER).startswith(b"\x1b@")


def test_planned_copies_are_counted() -> None:
    import dataclasses

    assert "Kitchen 1/2" in lines(render(dataclasses.replace(ORDER, part="kitchen", copies=2)))


@pytest.mark.covers("A1", "A4", "A5")
@given(slip=SLIPS, mark=st.sampled_from(["", "COPY 1"]))
def test_only_commands_of_a_slip_come_out_whatever_was_written(slip: Slip, mark: str) -> None:
    commands(render(slip, mark))


@pytest.mark.covers("A1")
@pytest.mark.parametrize("control", [*range(32), *range(127, 160)])
def test_no_control_character_reaches_the_printer(control: int) -> None:
    evil = f"x{chr(control)}p\0{chr(control)}y"
    slip = Slip(number=evil, kind=evil, items=(SlipItem(evil, 1, 1, (evil,), evil),), table=evil, note=evil, shop=evil)
    commands(render(slip))


@pytest.mark.covers("A5")
def test_a_note_cannot_pass_for_a_head_of_ours() -> None:
    note = "\n\n\n** COPY 1 **\n\u202eDIAP\u200b"
    slip = Slip(number="1", kind="takeaway", items=(), note=note)
    said = lines(render(slip))
    assert not any(line.startswith("** COPY") for line in said)
    assert "Note: ** COPY 1 ** DIAP" in said


@pytest.mark.covers("A6")
def test_a_slip_has_an_end_whatever_is_ordered() -> None:
    slip = Slip(number="1", kind="takeaway", items=tuple(SlipItem(f"item {n}") for n in range(10_000)))
    assert len(lines(render(slip))) <= 401


@given(text=WORDS, columns=st.integers(8, 48))
def test_no_line_is_wider_than_the_paper(text: str, columns: int) -> None:
    assert all(Script().width(line) <= columns for line in wrap(clean(text), columns))


@given(text=WORDS)
def test_the_width_is_what_is_sent(text: str) -> None:
    sent = Script().encode(clean(text))
    if sent is not None:
        assert len(sent.replace(b"\x1c&", b"").replace(b"\x1c.", b"")) == Script().width(clean(text))


EPSON = Script((0, 2, 16, 18, 17), double="none")


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        ("Crème brûlée", b"\x1c.\x1bt\x00Cr\x8ame br\x96l\x82e"),
        ("Ação", b"\x1c.\x1bt\x02A\x87\xc6o"),
        ("Борщ", b"\x1c.\x1bt\x11\x81\xae\xe0\xe9"),
        ("plain", b"plain"),
    ],
)
def test_the_first_code_page_that_has_all_of_a_line_is_selected(text: str, raw: bytes) -> None:
    assert EPSON.encode(text) == raw and EPSON.width(text) == len(text)


@pytest.mark.parametrize("text", ["ต้มยำกุ้ง", "שקשוקה", "حمص", "김치찌개", "मसाला चाय", "🍕 pizza"])
@pytest.mark.parametrize("script", [Script(), EPSON])
def test_what_the_printer_has_no_letters_for_is_drawn_and_never_a_question_mark(text: str, script: Script) -> None:
    slip = Slip(number="1", kind="dine_in", items=(SlipItem(text, 2),), table=text, note=text)
    job = render(slip, script=script)
    pictures = [c for c in commands(job) if c.startswith(b"\x1dv0")]
    assert len(pictures) == 3 and all(any(picture[8:]) for picture in pictures)
    assert not any(b"?" in c for c in commands(job) if c not in pictures)


def dots(text: str, **style: object) -> Image.Image:
    """A drawn line as a picture, black on white."""
    raw = draw(text, 32, **style)  # type: ignore[arg-type]
    width, height = 8 * int.from_bytes(raw[4:6], "little"), int.from_bytes(raw[6:8], "little")
    return Image.frombytes("1", (width, height), raw[8:])


def ink(picture: Image.Image) -> int:
    return sum(level > 0 for level in picture.convert("L").tobytes())


@pytest.mark.parametrize("text", ["알레르기: 대두", "مسببات الحساسية", "Сельдерей"])
def test_bold_is_bold_where_it_is_drawn(text: str) -> None:
    assert ink(dots(text, bold=True)) > 1.15 * ink(dots(text))


def test_arabic_begins_at_the_right_edge_and_its_price_stands_at_the_left_one() -> None:
    left, _, right, _ = dots("2 x شاورما", right="37.00").getbbox() or (0, 0, 0, 0)
    assert right >= 382 and left <= 4
    assert (dots("2 x شاورما").getbbox() or (0,))[0] > 150
    assert (dots("2 x Борщ", right="37.00").crop((0, 0, 60, 32)).getbbox() or (99,))[0] < 10


def test_a_date_keeps_its_order_among_arabic_letters() -> None:
    def tail(text: str) -> bytes:
        """The leftmost stretch: what is read last."""
        picture = dots(text)
        left = (picture.getbbox() or (0,))[0]
        return picture.crop((left, 0, left + 100, 32)).tobytes()

    assert tail("الوقت 2026-11-22") == tail("الموعد 2026-11-22")
    day = dots("2026-11-22").getbbox() or (0, 0, 0, 0)
    seen = dots("ا 2026-11-22").getbbox() or (0, 0, 0, 0)
    first = dots("2026-11-22").crop((day[0], 0, day[0] + 40, 32)).tobytes()
    assert dots("ا 2026-11-22").crop((seen[0], 0, seen[0] + 40, 32)).tobytes() == first  # the year comes first


def test_each_letter_of_a_line_is_drawn_in_a_font_that_has_it() -> None:
    if undrawn("ไทย한국漢"):
        pytest.skip("this machine has no Thai font (apt install fonts-noto-core)")
    one, two = dots("ไทย"), dots("한국 ไทย")
    assert (two.getbbox() or (0, 0, 0))[2] > (one.getbbox() or (0, 0, 0))[2]
    assert undrawn("Soup ไทย \U000ffffd") == "\U000ffffd"


def test_a_printer_without_pictures_gets_what_can_be_spelled() -> None:
    job = render(Slip(number="1", kind="dine_in", items=(SlipItem("김치 soup", 2),)), script=Script(raster=False))
    assert b"soup" in job and b"\x1dv0" not in job


def test_a_slip_of_pictures_fits_what_the_relay_takes() -> None:
    slip = Slip(number="1", kind="takeaway", items=tuple(SlipItem(f"ต้มยำกุ้ง {n}") for n in range(10_000)))
    assert len(render(slip)) < 512 * 1024


JAPAN, KOREA, TAIWAN = Script(double="shift_jis"), Script(double="euc_kr"), Script(double="big5")


def test_a_long_chinese_name_fills_the_line_behind_its_quantity_and_no_line_begins_with_a_stop() -> None:
    item = "2 x 招牌红烧牛肉面，大份加面加牛腱子加溏心蛋不要香菜"
    lines = wrap(item, 22, Script())
    assert lines[0] == "2 x 招牌红烧牛肉面，大"
    assert "".join(lines).replace(" ", "") == item.replace(" ", "")
    assert wrap("2 x 招牌红烧牛肉面，大份", 18, Script())[1].startswith("面，"), "the comma stays behind its word"
    assert wrap("2 x 牛肉面（大份）", 12, Script()) == ["2 x 牛肉面", "（大份）"], "a bracket opens no line's end"


@pytest.mark.parametrize("text", ["Crème brûlée", "Бефстроганов", "Ελληνικά"])
def test_european_letters_are_drawn_where_the_printer_has_them_only_as_wide_as_chinese_ones(text: str) -> None:
    assert Script().encode(text) is None and Script().width(text) == len(text)
    assert Script(pages=(2, 17, 38)).width(text) == len(text)
    assert Script(raster=False).encode(text)


@pytest.mark.covers("A4")
@pytest.mark.parametrize(
    ("script", "text", "raw"),
    [
        (JAPAN, "味噌", b"\x1cC\x01\x1c&\x96\xa1\x91X\x1c."),
        (KOREA, "비빔밥", b"\x1c&\xba\xf1\xba\xf6\xb9\xe4\x1c."),
        (TAIWAN, "奶茶 x", b"\x1c&\xa5\xa4\xaf\xf9\x1c. x"),
    ],
)
def test_asian_printers_get_their_own_two_byte_letters(script: Script, text: str, raw: bytes) -> None:
    assert script.encode(text) == raw
    job = render(Slip(number="1", kind="dine_in", items=(SlipItem(text),), note=text), script=script)
    assert b"\x1dv0" not in job


@pytest.mark.covers("A4")
@pytest.mark.parametrize("double", ["gbk", "big5", "shift_jis", "euc_kr"])
def test_no_letter_of_a_two_byte_page_ends_as_a_control_character(double: str) -> None:
    """Every character of the basic plane that the printer has: its bytes are one printable byte, or two that no command
    begins with and none can be cut out of."""
    script = Script(double=double, raster=False)
    wrong = []
    for code in range(0xA0, 0x10000):
        if 0xD800 <= code < 0xE000 or clean(chr(code)) != chr(code):
            continue
        raw = script.encode(chr(code)) or b""
        body = raw.replace(b"\x1cC\x01", b"").replace(b"\x1c&", b"").replace(b"\x1c.", b"")
        if not all(byte >= 0x20 and byte != 0x7F for byte in body):
            wrong.append(hex(code))
    assert not wrong


@pytest.mark.covers("A2")
def test_pictures_and_codes_hold_nothing_that_a_printer_obeys_at_once() -> None:
    from receipt.script import raster

    for pair in (b"\x10\x04", b"\x10\x05", b"\x10\x14"):
        assert not re.search(rb"\x10[\x04\x05\x14]", raster(16, 8, pair * 8)[8:])
        assert not re.search(rb"\x10[\x04\x05\x14]", raster(24, 3, (b"\x00" + pair) * 3)[8:])
    slip = Slip(number="1", kind="takeaway", items=(SlipItem("김치 \u1004\u1014"),), link="https://e.example/\x10\x14x")
    for paper in (Paper(qr=True), Paper(qr=False)):
        assert not re.search(rb"\x10[\x04\x05\x14]", render(slip, paper=paper))


@pytest.mark.covers("A7")
@pytest.mark.parametrize(
    "bomb",
    [
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (50_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0" + bytes(40),
        b"GIF89a" + bytes(60),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>" + bytes(40),
        b"\x89PNG\r\n\x1a\n" + bytes(100_000),
        b"",
    ],
    ids=["50,000 x 50,000", "gif", "svg", "too many bytes", "empty"],
)
def test_a_logo_that_is_a_bomb_is_refused_before_it_is_decoded(bomb: bytes) -> None:
    from receipt import logo

    assert logo.problem(bomb)
    with pytest.raises(ValueError, match="the logo"):
        logo.tidy(bomb)


def test_a_logo_is_black_and_white_and_fits_the_paper() -> None:
    import io

    from receipt import logo

    out = io.BytesIO()
    Image.new("RGB", (500, 300), "black").save(out, "PNG")
    png = logo.tidy(out.getvalue())
    assert len(png) < 2000 and logo.tidy(png) == png
    width, height, data = logo.dots(png, 384)
    assert width <= 384 and height <= 240 and len(data) == width // 8 * height and data.count(255) > len(data) * 0.9
    assert b"\x1dv0" in render(Slip(number="1", kind="takeaway", items=(), logo=png))


@pytest.mark.covers("A9")
@pytest.mark.parametrize("text", ["{{7*7}}", "{% for x in y %}", "${7*7}", "%s%n", "#{7*7}", "__import__('os')"])
def test_what_looks_like_a_template_is_printed_as_it_is(text: str) -> None:
    slip = Slip(number="1", kind="takeaway", items=(SlipItem(text),), note=text, header=(text,))
    assert sum(text in line for line in lines(render(slip))) == 3


@pytest.mark.parametrize("columns", [32, 48])
def test_prices_stand_at_the_right_edge_of_both_papers(columns: int) -> None:
    job = render(ORDER, paper=Paper(columns))
    rows = lines(job)
    for row in (next(r for r in rows if r.endswith("25.00")), next(r for r in rows if r.endswith("28.00"))):
        assert Script().width(row) == columns
    assert all(Script().width(row) <= columns for row in rows)


@pytest.mark.parametrize(
    ("language", "table"), [("de", "TISCH 7"), ("zh", "桌号 7"), ("en", "TABLE 7"), ("xx", "TABLE 7")]
)
def test_a_slip_speaks_the_shops_language(language: str, table: str) -> None:
    import dataclasses

    said = lines(render(dataclasses.replace(ORDER, language=language), "STOP PREPARING"))
    assert table in said and said[0] == "** STOP PREPARING **"


def test_no_folder_is_left_in_tmp_by_a_process_that_makes_slips(tmp_path: Path) -> None:
    slip = "from receipt.slip import Slip, render; render(Slip('1', 'dine_in', ()))"
    subprocess.run([sys.executable, "-c", slip], env=os.environ | {"TMPDIR": str(tmp_path)}, check=True, timeout=60)
    assert list(tmp_path.iterdir()) == []
