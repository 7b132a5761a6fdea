"""One job, read: bytes in, lines and receipts out. Pure.

`receipt.read` is the `read` of this module.
"""

from __future__ import annotations

from dataclasses import dataclass

from receipt.extract import RULES_VERSION, extract
from receipt.layout import lay_out
from receipt.model import Receipt
from receipt.paper import Line, Profile


@dataclass(frozen=True, slots=True)
class Reading:
    """What a job says."""

    lines: tuple[Line, ...]
    receipts: tuple[Receipt, ...]
    unknown: int  # tokens that no command explains
    raster_only: bool  # pictures and no text: there is nothing to read
    rules_version: str  # of the rules that made `receipts`: better rules read history again


def read(raw: bytes, profile: Profile | None = None) -> Reading:
    """The lines and receipts of one captured job.

    Takes   the bytes of one job; the printer's or shop's profile where there is one.
    Gives   a `Reading`; a job that holds a sale and a voucher has two receipts, one that prints nothing has none.
    Raises  nothing, whatever the bytes. Time is linear in them.
    """
    paper = lay_out(raw, profile)
    country, currency = (profile.country, profile.currency) if profile is not None else (None, None)
    receipts = extract(paper.lines, country=country, currency=currency)
    return Reading(paper.lines, receipts, paper.unknown, paper.raster_only, RULES_VERSION)
