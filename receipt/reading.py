"""One job, read: bytes in, lines and receipts out. Pure.

`receipt.read` is the `read` of this module.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from receipt.extract import RULES_VERSION, extract, link_copies
from receipt.layout import lay_out
from receipt.model import Kind, Receipt
from receipt.paper import Line, Profile
from receipt.split import split

MOST_READ = 2_000  # lines of one receipt, some 8 m of paper: what is longer is read so far, and costs no more

_PITCH = 30  # dots of a blank line
_TORN = 4 * _PITCH  # blank paper from which on it is worth a look


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
    Gives   a `Reading`; a job that holds a sale and a voucher has two receipts, one that prints nothing has none,
            or one that says that the drawer was opened.
    Raises  nothing, whatever the bytes. Time is linear in them.
    """
    paper = lay_out(raw, profile)
    known = profile or Profile()
    receipts: list[Receipt] = []
    for first, last in _pieces(raw, paper.lines, profile):
        found = extract(
            paper.lines[first : min(last, first + MOST_READ)],
            country=known.country,
            currency=known.currency,
            date_order=known.date_order,
            day=known.day,
        )
        receipts += (_moved(receipt, first) for receipt in found) if first else found
    if len(receipts) > 1:
        receipts = list(link_copies(receipts))  # also across pieces
    if not receipts and not paper.raster_only and (paper.self_test or paper.pulses):
        receipts.append(Receipt(Kind.SELFTEST if paper.self_test else Kind.DRAWER))  # nothing else is on it
    return Reading(paper.lines, tuple(receipts), paper.unknown, paper.raster_only, RULES_VERSION)


def _pieces(raw: bytes, lines: tuple[Line, ...], profile: Profile | None) -> list[tuple[int, int]]:
    """From which line to which the pieces of paper go: one piece, unless something ends one before the end."""
    if raw.count(b"\x1b@") < 2 and b"\x0c" not in raw and not _parted(lines):
        return [(0, len(lines))]
    ends = [part.end for part in split(raw, profile)]
    pieces: list[tuple[int, int]] = []
    first = at = 0
    for end in ends[:-1]:
        while at < len(lines) and lines[at].end <= end:
            at += 1
        if any(line.kind != "cut" and (line.text or line.kind != "text") for line in lines[first:at]):
            pieces.append((first, at))
            first = at
    return [*pieces, (first, len(lines))]


def _parted(lines: tuple[Line, ...]) -> bool:
    """Whether a cut, or blank paper that may be torn, stands somewhere before the end."""
    blank = 0
    for line in lines:
        if line.kind == "text" and not line.text:
            blank += _PITCH
        elif line.kind == "cut":
            blank = _TORN
        elif blank >= _TORN:
            return True
        else:
            blank = 0
        blank += line.feed
    return False


def _moved(receipt: Receipt, by: int) -> Receipt:
    """The receipt with its lines counted from the job's first."""
    return replace(
        receipt,
        first_line=receipt.first_line + by,
        last_line=receipt.last_line + by,
        items=tuple(replace(item, line=item.line + by) for item in receipt.items),
        findings={name: replace(found, line=found.line + by) for name, found in receipt.findings.items()},
    )
