"""A table that somebody sends: CSV or XLSX, whatever its encoding and separator, as rows of texts.

Files that cannot be used raise BadFile with the string that says why.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from dataclasses import dataclass
from typing import Any

from cloud.facts import clean

MOST_BYTES = 5 * 1024 * 1024
MOST_ROWS = 50_000
MOST_COLUMNS = 60
MOST_UNPACKED = 60 * 1024 * 1024
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")  # what no table of texts holds
SEPARATORS = ",;\t|"
NO_TABLES = (b"%PDF", b"<", b"{", b"[")  # what is no table begins so


class BadFile(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


@dataclass(frozen=True, slots=True)
class Sheet:
    head: list[str]
    rows: list[list[str]]


def read(data: bytes) -> Sheet:
    """Raises BadFile."""
    found = rows(data)
    if len(found) < 2:
        raise BadFile("customers.wrong.nothing")
    wide = max(map(len, found))
    head = [clean(cell, 60) or f"#{n + 1}" for n, cell in enumerate(found[0] + [""] * (wide - len(found[0])))]
    return Sheet(head, [row + [""] * (wide - len(row)) for row in found[1:]])


def rows(data: bytes) -> list[list[str]]:
    """Those that say something, each up to its last cell that does. Raises BadFile."""
    if len(data) > MOST_BYTES:
        raise BadFile("customers.wrong.large")
    if not data.strip():
        raise BadFile("customers.wrong.nothing")
    if data.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(NO_TABLES):
        raise BadFile("customers.wrong.not_text")
    found = _xlsx(data) if data[:4] == b"PK\x03\x04" else _csv(data)
    ends = [max((n for n, cell in enumerate(row, 1) if cell.strip()), default=0) for row in found]
    found = [row[:end] for row, end in zip(found, ends, strict=True) if end]
    if len(found) > MOST_ROWS + 1:
        raise BadFile("customers.wrong.many")
    if max(ends, default=0) > MOST_COLUMNS:
        raise BadFile("customers.wrong.columns")
    return found


def _csv(data: bytes) -> list[list[str]]:
    text = decoded(data)
    if CONTROL.search(text):
        raise BadFile("customers.wrong.not_text")
    try:
        return _parted(text)
    except csv.Error:
        raise BadFile("customers.wrong.not_text") from None


def _parted(text: str) -> list[list[str]]:
    """By the separator that parts the first rows into the most columns; or the one that Excel's first line names."""
    said = text[:20].split("\n")[0].strip()
    if said.lower().startswith("sep=") and len(said) == 5:
        return list(csv.reader(io.StringIO(text.split("\n", 1)[-1], newline=""), delimiter=said[4]))
    start = "\n".join(text[:20_000].replace("\r\n", "\n").replace("\r", "\n").split("\n")[:6])

    def columns(separator: str) -> tuple[int, int]:
        wide = [len(row) for row in csv.reader(io.StringIO(start, newline=""), delimiter=separator) if row] or [0]
        return min(wide), wide[0]

    return list(csv.reader(io.StringIO(text, newline=""), delimiter=max(SEPARATORS, key=columns)))


def decoded(data: bytes) -> str:
    """UTF-8 and UTF-16 are known by their form; else it is the one of the others whose letters make sense.
    Raises BadFile."""
    wide = _utf_16(data)
    try:
        return data.decode(wide or "utf-8-sig")
    except UnicodeDecodeError:
        if wide:
            raise BadFile("customers.wrong.encoding") from None
    best = max(_COMMON, key=lambda encoding: _sense(data, encoding))
    try:
        return data.decode(best if _sense(data, best) > 0.8 else "cp1252")
    except UnicodeDecodeError:
        raise BadFile("customers.wrong.encoding") from None


def _utf_16(data: bytes) -> str:
    """By its mark; without one by the zeros that Latin letters and separators leave at every other place."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    start = data[:2000]
    zeros = start[1::2].count(0), start[::2].count(0)
    if max(zeros) < max(3, len(start) // 10) or min(zeros):
        return ""
    return "utf-16-le" if zeros[0] else "utf-16-be"


_COMMON = {  # encoding -> whether a letter is one that people write in it, and not only one that it has
    "gb18030": lambda c: _in(c, "gb2312"),
    "big5": lambda c: b"\xa1" <= _bytes(c, "big5")[:1] <= b"\xc6",  # its signs and the frequent half of its letters
    "shift_jis": lambda c: "\u3040" <= c <= "\u30ff" or _in(c, "shift_jis"),
}


def _sense(data: bytes, encoding: str) -> float:
    """How many of the letters that are not ASCII are common ones; 0 where it cannot be this encoding."""
    try:
        letters = [c for c in data.decode(encoding) if ord(c) > 0x7F]
    except UnicodeDecodeError:
        return 0.0
    score = sum(map(_COMMON[encoding], letters)) / len(letters) if letters else 0.0
    kana = any("\u3040" <= c <= "\u30ff" for c in letters)
    return score if encoding != "shift_jis" else score * kana


def _in(c: str, encoding: str) -> bool:
    return bool(_bytes(c, encoding))


def _bytes(c: str, encoding: str) -> bytes:
    try:
        return c.encode(encoding)
    except UnicodeEncodeError:
        return b""


def _xlsx(data: bytes) -> list[list[str]]:
    from openpyxl import load_workbook

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as book:
            if sum(info.file_size for info in book.infolist()) > MOST_UNPACKED:
                raise BadFile("customers.wrong.large")
        sheet = load_workbook(io.BytesIO(data), read_only=True, data_only=True).worksheets[0]
        out = []
        for row in sheet.iter_rows(max_row=MOST_ROWS + 2):  # with max_col each row would be filled up to it
            cells = row[: MOST_COLUMNS + 1]
            out.append([_cell(cell.value, "" if cell.value is None else str(cell.number_format)) for cell in cells])
        return out
    except BadFile:
        raise
    except (zipfile.BadZipFile, KeyError, ValueError, IndexError, OSError, TypeError, AttributeError, SyntaxError):
        raise BadFile("customers.wrong.not_xlsx") from None


def _cell(value: Any, shown_as: str) -> str:
    """`shown_as`: the number format; 00000 shows the zeros in front that a member number has and its cell has not.

    >>> _cell(42.0, "00000"), _cell(42.0, "General"), _cell("042", "General")
    ('00042', '42', '042')
    """
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).zfill(len(shown_as)) if isinstance(value, int) and set(shown_as) == {"0"} else str(value)
