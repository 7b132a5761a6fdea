"""Tables as people send them: every encoding and separator that Excel and tills write, and files that are none."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from cloud import imports, spreadsheets
from cloud.spreadsheets import BadFile, decoded, read

SIMPLE = "昵称,积分,电话\n晓燕,12,13800138000\n李娜,7,\n"
TRADITIONAL = "姓名,電話\n張偉,0912345678\n"
WESTERN = "Näme;Straße;Ort\nMüller;Größe;São Paulo\nÖzgür;Çelik;Århus\n"
JAPANESE = "お名前,電話\nたなか,0312345678\n"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        *((SIMPLE, name) for name in ("utf-8", "utf-8-sig", "gb18030", "gbk", "utf-16", "utf-16-le", "utf-16-be")),
        *((TRADITIONAL, name) for name in ("utf-8", "big5", "utf-16-le")),
        *((WESTERN, name) for name in ("utf-8", "cp1252", "utf-16", "utf-16-le")),
        (JAPANESE, "shift_jis"),
    ],
)
def test_letters_are_right_in_whatever_encoding(text: str, encoding: str) -> None:
    assert decoded(text.encode(encoding)).removeprefix("\ufeff") == text
    sheet = read(text.encode(encoding))
    lines = [line.replace(";", ",").split(",") for line in text.split("\n")[:-1]]
    assert [[title.removeprefix("\ufeff") for title in sheet.head], *sheet.rows] == lines


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b'a,"b;c;d"\n1,2\n', [["a", "b;c;d"], ["1", "2"]]),
        (b"sep=;\r\na;b\r\n1;2\r\n", [["a", "b"], ["1", "2"]]),
        (b"a\tb\n1\t2,5\n", [["a", "b"], ["1", "2,5"]]),
        (b"a;b\n1,50;2,50\n", [["a", "b"], ["1,50", "2,50"]]),
        (b"a,b\r1,2\r", [["a", "b"], ["1", "2"]]),
        (b'a,b\n"x\ny",2\n', [["a", "b"], ["x\ny", "2"]]),
        (b"\n\na,b,,\n,,,\n1,2,,\n", [["a", "b"], ["1", "2"]]),
    ],
)
def test_columns_are_parted_by_what_parts_them(data: bytes, rows: list[list[str]]) -> None:
    assert spreadsheets.rows(data) == rows


def test_headings_in_three_kinds_of_chinese_and_german_are_understood() -> None:
    for text in (SIMPLE, TRADITIONAL, "Kunde;Mitgliedsnummer;Telefon\nLin;M1;1\n"):
        assert "phone" in imports.guess(read(text.encode()).head)


def workbook(change: Callable[[str, bytes], bytes] = lambda name, data: data) -> bytes:
    book, out, changed = Workbook(), io.BytesIO(), io.BytesIO()
    book.worksheets[0].append(["Name", "Phone", None])
    book.worksheets[0].append(["Lin", 13800138000, None])
    book.save(out)
    with zipfile.ZipFile(out) as parts, zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as into:
        for name in parts.namelist():
            into.writestr(name, change(name, parts.read(name)))
    return changed.getvalue()


def test_a_workbook_is_read() -> None:
    sheet = read(workbook())
    assert (sheet.head, sheet.rows) == (["Name", "Phone"], [["Lin", "13800138000"]])


@pytest.mark.parametrize(
    ("data", "key"),
    [
        (b"", "nothing"),
        (b"only,headings\n", "nothing"),
        (b"%PDF-1.7\n%\xe2\xe3\n", "not_text"),
        (b"<html><table><tr><td>a</td></tr></table>\n</html>", "not_text"),
        (b'[{"name": "Lin"},\n {"name": "Wei"}]', "not_text"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "not_text"),
        (b"PK\x03\x04" + bytes(200), "not_xlsx"),
        (workbook()[:900], "not_xlsx"),
        (workbook(lambda name, data: data + b" " * 70_000_000 if "sheet1" in name else data), "large"),
        (b"x" * 5_300_000, "large"),
        (b"a" + b",b" * 60 + b"\n" + b"1" + b",2" * 60 + b"\n", "columns"),
        (b'a,b\n"' + b"x" * 200_000 + b'",1\n', "not_text"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_table_is_told(data: bytes, key: str) -> None:
    with pytest.raises(BadFile, match=rf"customers\.wrong\.{key}"):
        read(data)


def test_a_workbook_cannot_read_our_files_or_grow() -> None:
    """Entities of its own are not taken; a cell far away is one row, not a million."""
    entity = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>'

    def hostile(name: str, data: bytes) -> bytes:
        if name.endswith("sharedStrings.xml"):
            return entity + data.replace(b"<t>Lin</t>", b"<t>&e;</t>")
        return data

    def far(name: str, data: bytes) -> bytes:
        return data.replace(b'r="B2"', b'r="XFD2"') if "sheet1" in name else data

    try:
        assert read(workbook(hostile)).rows[0][0] in ("", "Lin", "&e;")
    except BadFile:
        pass
    try:
        assert len(read(workbook(far)).rows) == 1
    except BadFile as error:
        assert error.key == "customers.wrong.columns"


@given(st.binary(max_size=400) | st.text(max_size=200).map(lambda text: text.encode("utf-16")))
def test_any_bytes_are_a_table_or_told_to_be_none(data: bytes) -> None:
    try:
        sheet = read(data)
    except BadFile:
        return
    assert sheet.rows and all(len(row) == len(sheet.head) for row in sheet.rows)
