"""receipt/layout.py and the characters it reads: what stands on the paper, line by line."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import receipt
from receipt.codepages import decode
from receipt.layout import MOST_LINES, lay_out
from receipt.paper import Code, Line, Profile
from receipt.tokens import Dialect

CORPUS = Path(__file__).parents[3] / "shared" / "data" / "corpus"


def texts(raw: bytes, profile: Profile | None = None) -> list[str]:
    return [line.text for line in lay_out(raw, profile).lines if line.kind == "text"]


def only(raw: bytes, kind: str) -> list[Line]:
    return [line for line in lay_out(raw).lines if line.kind == kind]


def test_lines_end_where_the_printer_feeds() -> None:
    assert texts(b"one\ntwo\r\nthree\x1bd\x01four\x1bJ\x20five") == ["one", "two", "three", "four", "five"]


def test_carriage_returns_end_lines_where_nothing_else_does() -> None:
    assert texts(b"one\rtwo\r") == ["one", "two"]
    assert texts(b"one\r\ntwo\n\rthree\n") == ["one", "two", "three"]


def test_a_blank_line_stays_and_a_feed_is_blank_paper() -> None:
    assert texts(b"one\n\ntwo\n") == ["one", "", "two"]
    [one, two] = lay_out(b"one\n\x1bd\x03two\n").lines
    assert (one.text, two.text, one.feed) == ("one", "two", 90)


def test_amounts_set_at_places_stand_in_their_column() -> None:
    assert texts(b"Tea\x1b$\xf8\x0147.20\n") == ["Tea" + " " * 39 + "47.20"]
    assert texts(b"\x1b$\xf8\x0147.20\x1b$\x00\x00Tea\n") == ["Tea" + " " * 39 + "47.20"]
    assert texts(b"Tea\x1b\\\x78\x004.50\n") == ["Tea" + " " * 10 + "4.50"]
    assert texts(b"\x1b@\x1b\x1dt\x01Tea\x1b\x1dA\xf0\x004.50\n") == ["Tea" + " " * 17 + "4.50"]


def test_tabs_go_to_the_stops_or_every_eighth_column() -> None:
    assert texts(b"\x1bD\x18\x00Tea\t4.50\n") == ["Tea" + " " * 21 + "4.50"]
    assert texts(b"Tea\t4.50\n") == ["Tea     4.50"]


def test_double_byte_characters_take_two_columns() -> None:
    raw = b"\x1c&" + "合计".encode("gb18030") + b"\x1b$\x20\x0112.00\n"
    assert texts(raw) == ["合计" + " " * 20 + "12.00"]


def test_the_same_text_printed_over_itself_is_one_text() -> None:
    assert texts(b"TOTAL\x1b$\x00\x00TOTAL\n") == ["TOTAL"]


def test_lines_wrap_at_the_width_that_is_told() -> None:
    assert texts(b"x" * 40 + b"\n", Profile(columns=32)) == ["x" * 32, "x" * 8]
    assert texts(b"\x1dW\x80\x01" + b"y" * 33 + b"\n") == ["y" * 32, "y"]
    assert texts(b"\x1d!\x10" + b"w" * 20 + b"\n", Profile(columns=32)) == ["w" * 16, "w" * 4]


def test_looks_are_kept_for_the_picture() -> None:
    [line] = lay_out(b"\x1ba\x01\x1b!\x38BIG\x1b!\x00small\n").lines
    assert (line.align, line.width, line.height, line.bold) == (1, 2, 2, True)
    assert [(span.x, span.text) for span in line.spans] == [(0, "BIG"), (72, "small")]


@pytest.mark.parametrize(
    ("select", "encoding", "text"),
    [
        (b"\x1bt\x00", "cp437", "Caffè"),
        (b"\x1bt\x10", "cp1252", "Größe 5 €"),
        (b"\x1bt\x13", "cp858", "Menü 5,00 €"),
        (b"\x1bt\x11", "cp866", "ИТОГО к оплате"),
        (b"\x1bt\x0e", "cp737", "ΣΥΝΟΛΟ Γύρος"),
        (b"\x1bt\x0d", "cp857", "TOPLAM ÖDENEN ığş"),
        (b"\x1bt\x2d", "cp1250", "Łącznie żółć"),
        (b"\x1bt\x2e", "cp1251", "Спасибо за покупку"),
        (b"\x1b\x1dt\x20", "cp1252", "Größe 5 €"),
        (b"\x1b\x1dt\x0a", "cp866", "ИТОГО"),
        (b"\x1c&", "gb18030", "合计：￥12.00 谢谢惠顾"),
        (b"\x1c&\x1cC1", "cp932", "合計 領収書 ありがとう"),
        (b"\x1c&", "big5", "統一發票 合計 現金 找零 謝謝光臨"),
        (b"\x1c&", "cp949", "합계 금액 카드 감사합니다"),
        (b"\x1b9\x01", "utf-8", "合计 12.00"),
    ],
)
def test_characters_are_those_of_the_page_that_was_selected(select: bytes, encoding: str, text: str) -> None:
    assert texts(b"\x1b@" + select + text.encode(encoding) + b"\n") == [text]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", "Crème brûlée 5,00 €"),
        ("gb18030", "商品名称 数量 合计 现金 找零"),
        ("big5", "商品名稱 數量 合計 現金 找零"),
        ("cp949", "상품명 수량 합계 카드 감사합니다"),
        ("cp932", "領収書 合計 お預り お釣り ありがとうございました"),
        ("cp866", "ИТОГО К ОПЛАТЕ Наличными Спасибо за покупку"),
        ("cp1251", "ИТОГО К ОПЛАТЕ Наличными Спасибо за покупку"),
        ("cp737", "ΣΥΝΟΛΟ ΜΕΤΡΗΤΑ Ευχαριστούμε πολύ"),
        ("cp1252", "Größe für Käse, déjà vu"),
        ("cp857", "TEŞEKKÜR EDERİZ YİNE BEKLERİZ çığ"),
    ],
)
def test_an_encoding_that_nothing_selects_is_recognised(encoding: str, text: str) -> None:
    assert texts(b"\x1b@" + text.encode(encoding) + b"\n12.50\n") == [text, "12.50"]


def test_frames_are_not_mistaken_for_words() -> None:
    frame = "╔══════╗\n║ SHOP ║\n╚══════╝\n"
    assert texts(frame.encode("cp437")) == frame.split("\n")[:-1]
    assert texts(b"\x1bt\x00" + "┌──┐\n│ab│\n".encode("cp437")) == ["+--+", "|ab|"]


def test_a_profile_says_what_a_number_or_nothing_selects() -> None:
    raw = "Ω".encode("cp737")
    assert texts(b"\x1bt\x09" + raw, Profile(code_pages={9: "cp737"})) == ["Ω"]
    assert texts(raw, Profile(encoding="cp737")) == ["Ω"]


def test_kanji_mode_with_jis_codes_is_seven_bits() -> None:
    code = bytes(byte & 0x7F for byte in "領収書".encode("euc_jp"))
    assert texts(b"\x1cC0\x1c&" + code + b"\n\x1c.TOTAL\n") == ["領収書", "TOTAL"]


def test_national_characters_take_the_place_of_signs() -> None:
    assert texts(b"\x1bR\x02[]\n\x1bR\x00[]\n") == ["ÄÜ", "[]"]


def test_what_is_meant_for_the_display_is_not_on_paper() -> None:
    assert texts(b"\x1b=\x02DISPLAY\n\x1b=\x01paper\n") == ["paper"]


def test_page_mode_prints_where_things_were_set() -> None:
    area = b"\x1bL\x1bW\x00\x00\x00\x00\x40\x02\x40\x02"
    page = area + b"\x1d$\x50\x00below\x1d$\x10\x00\x1b$\x78\x00right\x1b$\x00\x00left\n\x0c"
    assert texts(page + b"after\n") == ["left      right", "below", "after"]


def test_rows_printed_upside_down_are_read_with_the_paper_turned() -> None:
    assert texts(b"head\n\x1b{\x01three\ntwo\none\n\x1b{\x00tail\n") == ["head", "one", "two", "three", "tail"]


def test_a_star_job_that_nothing_names_is_read_as_one() -> None:
    raw = b"\x1b@SHOP\n\x1bETOTAL 4.50\x1bF\n\x1bd3"
    assert texts(raw) == ["SHOP", "TOTAL 4.50"]
    assert lay_out(raw).lines[-1].kind == "cut"


def test_codes_say_what_they_hold() -> None:
    qr = b"\x1d(k\x0b\x001P0http://x\x1d(k\x03\x001Q0"
    codes = [
        line.code for line in only(qr + b"\x1dH\x02\x1dkI\x06{B1234\x1dk\x04AB1\x00\x1b\x1dyD1\x00\x03\x00abc", "code")
    ]
    assert codes == [Code("qr", "http://x"), Code("code128", "1234", True), Code("code39", "AB1", True)]
    star = b"\x1b\x1da\x01\x1bb42111234\x1e\x1b\x1dyD1\x00\x03\x00abc\x1b\x1dyP"
    assert [line.code for line in only(star, "code")] == [Code("code39", "1234", True), Code("qr", "abc")]


def test_pictures_keep_their_place_and_size() -> None:
    raster = b"\x1dv0\x00\x02\x00\x03\x00abcdef"
    column = b"\x1b*\x21\x08\x00" + bytes(24) + b"\n"
    stored = b"\x1d(L\x0c\x000p0\x01\x011\x08\x00\x02\x00\xaa\x55\x1d(L\x02\x0002"
    lines = lay_out(b"a\n" + raster + b"b\n" + column + stored).lines
    assert [line.kind for line in lines] == ["text", "image", "text", "image", "image"]
    sizes = [(line.image.width, line.image.height) for line in lines if line.image is not None]
    assert sizes == [(16, 3), (8, 24), (8, 2)]
    assert lay_out(raster).raster_only
    assert not lay_out(raster + b"b\n").raster_only


def test_rows_of_star_raster_mode_are_one_picture() -> None:
    rows = b"\x1b*rA\x00" + b"b\x02\x00\xf0\x0f" * 5 + b"\x1b*rB"
    [image] = [line.image for line in lay_out(rows).lines]
    assert image is not None
    assert (image.width, image.height, image.data) == (16, 5, b"\xf0\x0f" * 5)


def test_a_picture_that_was_cut_short_is_as_long_as_it_came() -> None:
    [line] = lay_out(b"\x1dv0\x00\x02\x00\xff\xff" + bytes(7)).lines
    assert line.image is not None
    assert line.image.height == 3


@pytest.mark.covers("A13")
@settings(deadline=None)
@given(st.binary(max_size=600), st.sampled_from([None, Profile(dialect=Dialect.STAR, columns=32)]))
def test_reading_never_raises_and_lines_point_into_the_job(raw: bytes, profile: Profile | None) -> None:
    for line in lay_out(raw, profile).lines:
        assert 0 <= line.start <= line.end


COMMANDS = st.sampled_from(
    [b"\x1b!\x30", b"\x1d!\x11", b"\x1ba\x01", b"\x1b$\x40\x00", b"\x1bL", b"\x1bT\x01", b"\x1d$\x20\x00", b"\x0c",
     b"\x1b{\x01", b"\x1b{\x00", b"\x1c&", b"\x1c.", b"\x1bt\x11", b"\t", b"\n", b"\x1bd\xff", b"\x1dW\x20\x00",
     b"\x1d(L\x02\x0002", b"\x1b*\x01\x04\x00abcd", b"\x1dVA\x00", b"\x1b@", b"\x1b\x1dt\x20", b"\x1b*rA",
     b"\x1bS", b"b\x01\x00a", b"\x1b*rB", b"\x1dW\xf0\x00"]
)  # fmt: skip


@pytest.mark.covers("A13")
@settings(deadline=None)
@given(st.lists(COMMANDS | st.binary(min_size=1, max_size=6), max_size=60).map(b"".join))
def test_no_order_of_commands_breaks_the_reading(raw: bytes) -> None:
    reading = receipt.read(raw)
    assert all(line.text == line.text.rstrip() for line in reading.lines)


@pytest.mark.covers("A11", "A13")
@pytest.mark.parametrize(
    "piece", [b"\n", b"a\n", b"a\x1bd\xff", b"a\x1b$\x00\x00", b"\xbf\xa8", b"\x1dv0", b"\x1bt\x11\xe0"]
)
def test_a_megabyte_of_one_thing_is_laid_out_in_bounds(piece: bytes) -> None:
    lines = lay_out(piece * (300_000 // len(piece))).lines
    assert len(lines) < 2 * MOST_LINES


def corpus(name: str) -> list[dict[str, Any]]:
    path = CORPUS / name
    if not path.exists():
        pytest.skip("the development data is not beside the project")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.mark.parametrize("name", ["escpos_corpus_dev.jsonl.gz", "receiptline_corpus_dev.jsonl.gz"])
def test_the_lines_of_real_receipts_are_those_on_the_paper(name: str) -> None:
    right = total = 0
    for record in corpus(name)[::4]:
        if record["kind"] != "receipt" or record["style"].startswith("raster"):
            continue
        got = "\n".join(texts(base64.b64decode(record["bytes_b64"]))).rstrip("\n").split("\n")
        wanted = "\n".join(record["expected_text"]).rstrip("\n").split("\n")
        total += len(wanted)
        right += sum(a == b for a, b in zip(got, wanted, strict=False)) if len(got) == len(wanted) else 0
    assert right / total > 0.995


def test_every_page_that_the_printer_profiles_of_python_escpos_describe_is_decoded_as_they_say() -> None:
    capabilities = pytest.importorskip("escpos.capabilities")
    upper, checked = bytes(range(128, 256)), 0
    for name, page in capabilities.CAPABILITIES["encodings"].items():
        if "data" in page:
            wanted = "".join(page["data"])
        elif "python_encode" in page:
            wanted = upper.decode(page["python_encode"], "replace")
        else:
            continue  # a name only
        assert decode(upper, name.lower()) == wanted, name
        checked += 1
    assert checked > 10


def test_pictures_and_codes_of_a_page_stand_where_they_were_set() -> None:
    qr = b"\x1d(k\x08\x001P0hello\x1d(k\x03\x001Q0"
    paper = lay_out(b"\x1bLtop\n" + qr + b"\n\nmiddle\n\x1b*\x00\x08\x00abcdefgh\nend\n\x0cafter\n")
    assert [(line.kind, line.text) for line in paper.lines] == [
        ("text", "top"), ("code", ""), ("text", "middle"), ("image", ""), ("text", "end"), ("text", "after"),
    ]  # fmt: skip


def test_places_beyond_the_print_area_are_ignored() -> None:
    assert [line.text for line in lay_out(b"Tea\x1b$\xff\xff 4.50\n", Profile(columns=32)).lines] == ["Tea 4.50"]


def test_italics_stand_bare_or_with_a_flag() -> None:
    assert [line.text for line in lay_out(b"\x1b4Italic\x1b5\n\x1b4\x01Italic\x1b5\x00\n\x1dVA\x00").lines[:2]] == [
        "Italic", "Italic",
    ]  # fmt: skip


def test_sizes_of_codes_spacing_and_the_area_are_kept_for_the_picture() -> None:
    paper = lay_out(
        b"\x1b3\x18\x1dW\x80\x01\x1dh\x40\x1dw\x03\x1dkI\x07{B12345\x1d(k\x03\x001C\x06\x1d(k\x08\x001P0hello\x1d(k\x03\x001Q0ok\n"
    )
    bars, square, text = paper.lines
    assert bars.code is not None and (bars.code.module, bars.code.height, bars.area) == (3, 64, 384)
    assert square.code is not None and square.code.module == 6
    assert (text.pitch, text.area) == (24, 384)


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("Rückgeld 1,00", "cp1252"), ("Vielen Dank für Ihren Einkauf", "latin1"), ("Año 2024", "cp1252"),
        ("Café crème", "cp437"), ("Größe 2", "cp850"), ("Quantità", "cp1252"), ("ИТОГО 12.50", "cp866"),
        ("Спасибо за покупку", "cp1251"), ("Ευχαριστούμε", "cp737"), ("Teşekkür ederiz", "cp857"),
        ("谢谢惠顾", "gb18030"), ("感謝您的光臨", "big5"), ("お買い上げありがとうございます", "cp932"),
        ("감사합니다", "cp949"), ("谢谢惠顾", "utf-8"),
    ],
)  # fmt: skip
def test_one_line_is_enough_to_recognise_its_encoding(text: str, page: str) -> None:
    assert texts(b"\x1b@" + text.encode(page) + b"\n") == [text]
