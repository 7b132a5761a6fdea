"""An order as a slip: values in, ESC/POS bytes out. Pure. How it gets onto the paper is receipt/slip_writer.py.

What a customer wrote is data, never commands: control and format characters are taken out before encoding. A customer's
words stand indented or behind a label, so that no note can pass for a head of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from receipt.script import Script
from receipt.slip_words import words
from receipt.slip_writer import COLUMNS, Paper, Writer, clean, encoder, money

KINDS = ("dine_in", "takeaway", "delivery")
OWN = ("table", "shop")  # channels of our own: the order's kind says it already


@dataclass(frozen=True, slots=True)
class SlipItem:
    name: str
    quantity: int = 1
    unit_price: int | None = None  # minor units
    options: tuple[str, ...] = ()
    note: str = ""
    allergens: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Slip:
    """What one printer prints of one order."""

    number: str  # short, for people
    kind: str  # dine_in | takeaway | delivery
    items: tuple[SlipItem, ...]
    channel: str = ""
    table: str = ""
    customer: str = ""
    note: str = ""
    currency: str = ""
    total: int | None = None  # minor units
    placed_at: str = ""
    due_at: str = ""
    shop: str = ""
    part: str = ""  # "kitchen": shown where the order has more than one
    copy_number: int = 1
    copies: int = 1  # planned ones: "Kitchen 1/2"
    label: str = ""  # what people call the part; empty: its name
    phone: str = ""  # masked
    address: str = ""
    distance: str = ""
    link: str = ""  # as a QR code; empty: none
    header: tuple[str, ...] = ()
    footer: tuple[str, ...] = ()
    logo: bytes = b""  # PNG (receipt/logo.py)
    prices: bool = True
    language: str = "en"


def prepare() -> None:
    """Load the encoder (a third of a second), so that the first order does not wait for it."""
    encoder()


def render(
    slip: Slip,
    mark: str = "",
    columns: int = COLUMNS,
    minor_digits: int = 2,
    script: Script = Script(),  # noqa: B008
    paper: Paper | None = None,
) -> bytes:
    """-> the job: ESC @, the slip, feed, cut.

    mark            what stands at its head and foot in large letters: "", "REPRINT", "COPY 1", "STOP PREPARING"
    minor_digits    decimals of the currency
    paper           what the printer can do; without it, `columns` and `script`
    """
    say = words(slip.language)
    out = Writer(paper or Paper(columns, script), say["allergens"])
    if slip.logo and not mark:
        out.picture(slip.logo)
    for line in slip.header:
        out.middle(clean(line))
    if mark:
        out.big(f"** {clean(mark)} **")
        if mark.startswith("STOP") and say["stop"]:
            out.big(say["stop"])
    out.huge(say[slip.kind] if slip.kind in KINDS else clean(slip.kind).upper())
    if slip.table:
        out.huge(f"{say['table']} {clean(slip.table)}")
    out.big(f"#{clean(slip.number)}")
    if slip.copies > 1 or slip.part not in ("", "main"):
        name = clean(slip.label or slip.part.capitalize()) if slip.part not in ("", "main") else "Slip"
        out.middle(f"{name} {slip.copy_number}/{slip.copies}" if slip.copies > 1 else name, bold=True)
    out.middle(" - ".join(filter(None, (clean(slip.shop), "" if slip.channel in OWN else clean(slip.channel)))))
    if slip.due_at:
        out.tall(f"{say['due']}: {clean(slip.due_at)}")
    out.rule()
    for item in slip.items:
        out.item(item, minor_digits if slip.prices else None)
    out.rule()
    if slip.total is not None and slip.prices:
        value = f"{clean(slip.currency)} {money(slip.total, minor_digits)}".strip()
        out.total(say["total"], value)
    for label, text in (
        ("note", slip.note),
        ("customer", slip.customer),
        ("phone", slip.phone),
        ("address", slip.address),
        ("distance", slip.distance),
        ("ordered", slip.placed_at),
    ):
        if text:
            out.labelled(say[label], text)
    if slip.link:
        out.code(clean(slip.link))
    for line in slip.footer:
        out.middle(clean(line))
    if mark:
        out.big(f"** {clean(mark)} **")
    return out.cut()


def notice(title: str, pairs: Sequence[tuple[str, str]], code: str = "", paper: Paper | None = None) -> bytes:
    """A slip that is no order's: what the box says of itself. Pairs of label and text; no label: a plain line."""
    out = Writer(paper or Paper())
    out.big(clean(title))
    out.rule()
    for label, text in pairs:
        if label:
            out.labelled(label, text)
        else:
            out.plain(clean(text) or " ")
    if code:
        out.code(clean(code))
    return out.cut()
