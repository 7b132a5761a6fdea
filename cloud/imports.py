"""Customers from a spreadsheet (cloud/spreadsheets.py): what its columns are, and its rows as customers.

Wrong rows are counted and named, and the others go in.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import sqlalchemy as sa

from cloud import crm
from cloud.crm import BadCustomer, Customer
from cloud.spreadsheets import Sheet

AT_ONCE = 500
TARGETS = ("name", "external_id", "member", "card", "phone", "email", "birthday", "note", "consent")
GUESSES = {  # our field -> headings, folded, with spaces between
    "name": "name fullname customer customername kunde 姓名 顾客 客户 顧客 客戶",
    "external_id": "id externalid customerid customerno kundennummer 编号 客户编号",
    "member": "member memberno membernumber mitglied mitgliedsnummer 会员 会员号 会员编号 會員 會員號 會員編號",
    "card": "card loyaltycard cardtoken kundenkarte 卡 卡号 会员卡",
    "phone": "phone mobile telephone tel telefon handy 电话 手机 手机号 電話 手機 手機號",
    "email": "email mail emailaddress 邮箱 电子邮件",
    "birthday": "birthday birthdate dateofbirth geburtstag geburtsdatum 生日 出生日期",
    "note": "note notes comment remark notiz 备注 備註",
    "consent": "consent newsletter optin marketing einwilligung 同意 同意接收",
}


@dataclass(slots=True)
class Outcome:
    new: int = 0
    known: int = 0
    twice: int = 0  # rows whose customer an earlier row had
    wrong: list[tuple[int, str, str]] = field(default_factory=list)  # (line, key of the string, value)
    seen: set[str] = field(default_factory=set)


def guess(head: list[str]) -> list[str]:
    """What each column is taken for: one of TARGETS, or "" (kept as a field of its own)."""
    out: list[str] = []
    for title in head:
        plain = crm.folded(title)
        found = next((t for t, names in GUESSES.items() if plain in names.split() and t not in out), "")
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


def take(
    connection: sa.Connection, merchant: str, sheet: Sheet, mapping: list[str], out: Outcome, begin: int = 0
) -> None:
    """At most AT_ONCE rows from row `begin` on, added to `out`: a transaction of all would keep receipts waiting."""
    country = crm.country_of(connection, merchant)
    for n, row in enumerate(sheet.rows[begin : begin + AT_ONCE], begin + 2):
        try:
            key, new = crm.keep(connection, merchant, customer(sheet.head, mapping, row, country), "file")
        except BadCustomer as error:
            out.wrong.append((n, error.key, error.value))
            continue
        out.new += new
        out.known += not new and key not in out.seen
        out.twice += key in out.seen
        out.seen.add(key)
