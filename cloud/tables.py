"""Tables to take away: CSV, XLSX, PDF. What a receipt says may look like a formula: it stays text in all of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from litestar import Response

from receipt.model import minor_digits

KINDS = ("csv", "xlsx", "pdf")
MEDIA = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pdf": "application/pdf",
}
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
MOST_OF_PDF = 2000  # rows: more paper helps nobody
Cell = str | int | float | Decimal | None


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    head: list[str]
    rows: list[list[Cell]]
    note: str = ""


def money(amount: int | None, currency: str) -> Decimal | None:
    """Minor units -> a number that a spreadsheet adds up."""
    return None if amount is None else Decimal(amount).scaleb(-minor_digits(currency))


def answer(table: Table, kind: str, name: str) -> Response[bytes]:
    """`name` of the file, without its ending; ASCII."""
    data = {"csv": as_csv, "xlsx": as_xlsx, "pdf": as_pdf}[kind](table)
    headers = {"Content-Disposition": f'attachment; filename="{name}.{kind}"', "Cache-Control": "no-store"}
    return Response(data, media_type=MEDIA[kind], headers=headers)


def as_csv(table: Table) -> bytes:
    """UTF-8 with the mark that Excel looks for."""
    out = io.StringIO()
    writer = csv.writer(out)
    for row in [list[Cell](table.head), *table.rows]:
        writer.writerow([harmless(cell) if isinstance(cell, str) else cell for cell in row])
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def harmless(text: str) -> str:
    """A text that no spreadsheet takes for a formula.

    >>> harmless("=1+1"), harmless("Soup")
    ("'=1+1", 'Soup')
    """
    plain = text.replace("\x00", "")
    return "'" + plain if plain.lstrip(" ").startswith(FORMULA) else plain


def as_xlsx(table: Table) -> bytes:
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font

    book = Workbook(write_only=True)
    sheet = book.create_sheet(_printable(table.title)[:28].translate(str.maketrans("", "", "[]:*?/\\")) or "Tillwire")
    sheet.freeze_panes = "A2"

    def cell(value: Cell, bold: bool = False) -> Any:
        if isinstance(value, str):
            made = WriteOnlyCell(sheet, value=harmless(_printable(value)))
            made.data_type = "s"  # never "f"
        else:
            made = WriteOnlyCell(sheet, value=value)
        if bold:
            made.font = Font(bold=True)
        return made

    sheet.append([cell(name, bold=True) for name in table.head])
    for row in table.rows:
        sheet.append([cell(value) for value in row])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def as_pdf(table: Table) -> bytes:
    """A4 across. Chinese by a font that PDF readers bring themselves."""
    from reportlab.lib import colors
    from reportlab.lib.pagesizes import A4, landscape
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.platypus import LongTable, Paragraph, SimpleDocTemplate, Spacer, TableStyle

    rows = table.rows[:MOST_OF_PDF]
    everything = table.title + table.note + "".join(str(c) for row in [list[Cell](table.head), *rows] for c in row)
    font = "Helvetica"
    if any(ord(c) > 0xFF for c in everything.replace("€", "").replace("–", "").replace("…", "")):
        font = "STSong-Light"
        pdfmetrics.registerFont(UnicodeCIDFont(font))
    style = ParagraphStyle("cell", fontName=font, fontSize=8, leading=10)

    def text(value: Cell) -> Any:
        shown = "" if value is None else _printable(str(value))[:200]
        escaped = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return Paragraph(escaped, style) if isinstance(value, str) else shown

    body = [[text(c) for c in row] for row in [list[Cell](table.head), *rows]]
    drawn = LongTable(body, repeatRows=1)
    drawn.setStyle(
        TableStyle(
            [
                ("FONT", (0, 0), (-1, -1), font, 8),
                ("LINEBELOW", (0, 0), (-1, -1), 0.25, colors.lightgrey),
                ("LINEBELOW", (0, 0), (-1, 0), 0.8, colors.black),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ]
        )
    )
    out = io.BytesIO()
    pages = SimpleDocTemplate(out, pagesize=landscape(A4), title=_printable(table.title), margin=36)
    heading = ParagraphStyle("head", fontName=font, fontSize=14, leading=18)
    note = table.note + (f" ({len(rows)} / {len(table.rows)})" if len(rows) < len(table.rows) else "")
    story: Iterable[Any] = [Paragraph(_escaped(table.title), heading), Paragraph(_escaped(note), style)]
    pages.build([*story, Spacer(1, 8), drawn])
    return out.getvalue()


def _escaped(text: str) -> str:
    return _printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _printable(text: str) -> str:
    """Spreadsheets and PDF hold no control characters."""
    return "".join(c if c.isprintable() else " " for c in text)
