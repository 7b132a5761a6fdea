"""Customers from a file: CSV or XLSX, whatever its encoding, separator and headings; a preview before anything is kept.

Wrong files raise BadFile with the string that says why; wrong rows are counted and named, and the others go in.
"""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from cloud import crm
from cloud.crm import BadCustomer, Customer
from cloud.facts import clean

MOST_BYTES = 5 * 1024 * 1024
MOST_ROWS = 50_000
MOST_COLUMNS = 60
MOST_UNPACKED = 60 * 1024 * 1024
TARGETS = ("name", "external_id", "member", "card", "phone", "email", "birthday", "note", "consent")
GUESSES = {
    "name": ("name", "fullname", "customer", "customername", "kunde", "姓名", "顾客", "客户"),
    "external_id": ("id", "externalid", "customerid", "customerno", "kundennummer", "编号", "客户编号"),
    "member": ("member", "memberno", "membernumber", "mitglied", "mitgliedsnummer", "会员", "会员号", "会员编号"),
    "card": ("card", "loyaltycard", "cardtoken", "kundenkarte", "卡", "卡号", "会员卡"),
    "phone": ("phone", "mobile", "telephone", "tel", "telefon", "handy", "电话", "手机", "手机号"),
    "email": ("email", "mail", "emailaddress", "邮箱", "电子邮件"),
    "birthday": ("birthday", "birthdate", "dateofbirth", "geburtstag", "geburtsdatum", "生日", "出生日期"),
    "note": ("note", "notes", "comment", "remark", "notiz", "备注"),
    "consent": ("consent", "newsletter", "optin", "marketing", "einwilligung", "同意", "同意接收"),
}


class BadFile(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


@dataclass(frozen=True, slots=True)
class Sheet:
    head: list[str]
    rows: list[list[str]]


@dataclass(slots=True)
class Outcome:
    new: int = 0
    known: int = 0
    twice: int = 0  # rows whose customer an earlier row had
    wrong: list[tuple[int, str, str]] = None  # type: ignore[assignment]  # (line, key of the string, value)

    def __post_init__(self) -> None:
        self.wrong = []


def read(data: bytes) -> Sheet:
    """Raises BadFile."""
    if len(data) > MOST_BYTES:
        raise BadFile("customers.wrong.large")
    if not data.strip():
        raise BadFile("customers.wrong.nothing")
    rows = _xlsx(data) if data[:4] == b"PK\x03\x04" else _csv(data)
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if len(rows) < 2:
        raise BadFile("customers.wrong.nothing")
    if len(rows) > MOST_ROWS + 1:
        raise BadFile("customers.wrong.many")
    wide = max(n for row in rows for n, cell in enumerate(row, 1) if cell.strip())
    if wide > MOST_COLUMNS:
        raise BadFile("customers.wrong.columns")
    head = [clean(cell, 60) or f"#{n + 1}" for n, cell in enumerate(rows[0][:wide] + [""] * (wide - len(rows[0])))]
    return Sheet(head, [row[:wide] + [""] * (wide - len(row)) for row in rows[1:]])


def _csv(data: bytes) -> list[list[str]]:
    text = _decoded(data)
    if "\x00" in text:
        raise BadFile("customers.wrong.not_text")
    first = text.split("\n", 1)[0]
    separator = max(";,\t|", key=first.count)
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error:
        raise BadFile("customers.wrong.not_text") from None


def _decoded(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError:
            raise BadFile("customers.wrong.encoding") from None
    for encoding in ("utf-8-sig", "gb18030", "cp1252"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding != "gb18030" or _chinese(text):
            return text
    raise BadFile("customers.wrong.encoding")


def _chinese(text: str) -> bool:
    """Western letters read as GB18030 become rare signs; real Chinese is mostly common ones."""
    odd = [c for c in text if ord(c) > 0x7F]
    return (
        bool(odd)
        and sum("\u4e00" <= c <= "\u9fa5" or "\u3000" <= c <= "\u303f" for c in odd) / len(odd) > 0.9
        and (sum(1 for c in odd if c in _COMMON) > 0)
    )


_COMMON = frozenset("名姓会员电话手机号码生日备注王李张刘陈杨赵黄周吴徐孙马朱胡林郭何高罗男女是否先小")


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


def guess(head: list[str]) -> list[str]:
    """What each column is taken for: one of TARGETS, or "" (kept as a field of its own)."""
    out: list[str] = []
    for title in head:
        plain = crm.folded(title)
        found = next((t for t, names in GUESSES.items() if plain in names and t not in out), "")
        out.append(found)
    return out


def customer(head: list[str], mapping: list[str], row: list[str], country: str = "") -> Customer:
    """`mapping`: per column one of TARGETS, "" for a field of its own, "-" to leave it out. Raises BadCustomer."""
    one = Customer()
    for title, target, value in zip(head, mapping, row, strict=True):
        text = value.strip()
        if target == "-" or not text:
            continue
        if target == "":
            one.fields[title] = text
        elif target == "consent":
            one.consent = text.casefold() in crm.YES
        else:
            setattr(one, target, text)
    return crm.checked(one, country)


def take(connection: sa.Connection, merchant: str, sheet: Sheet, mapping: list[str], source: str = "file") -> Outcome:
    out, country, seen = Outcome(), crm.country_of(connection, merchant), set[str]()
    for n, row in enumerate(sheet.rows):
        try:
            key, new = crm.keep(connection, merchant, customer(sheet.head, mapping, row, country), source)
        except BadCustomer as error:
            out.wrong.append((n + 2, error.key, error.value))
            continue
        out.new += new
        out.known += not new and key not in seen
        out.twice += key in seen
        seen.add(key)
    return out
