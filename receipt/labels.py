"""Values behind a label ("Table: 12", "KASSIERER 07"): one search for all the rules that need it. Pure."""

from __future__ import annotations

import re
from typing import Final

from receipt.model import Finding
from receipt.page import Page, Row

_LEAD: Final = " \t:.#=*-№|[("
_STOP = re.compile(r"\s{3,}|[|\]]")


def behind(page: Page, row: Row, match: int) -> str:
    """The text behind a phrase of a line: up to a gap or the next label that is followed by a colon."""
    end = row.matches[match][1]
    text = row.text[end:]
    bare = text.lstrip(_LEAD)
    stop = _STOP.search(bare)
    value = bare[: stop.start()] if stop else bare
    offset = end + len(text) - len(bare)
    for start, other_end, _ in row.matches[match + 1 :]:
        if offset < start < offset + len(value) and row.text[other_end : other_end + 2].lstrip()[:1] in (":", "#"):
            value = value[: start - offset]
            break
    return value.strip(" \t:.,*-|")


def labelled(
    page: Page, concept: int, pattern: re.Pattern[str], avoid: int = 0, rows: slice | None = None
) -> Finding | None:
    """The first value behind a label of this concept that has the pattern."""
    for row in page.rows[rows] if rows else page.rows:
        if not row.mask & concept or row.mask & avoid:
            continue
        for number, (_, _, phrase) in enumerate(row.matches):
            if page.meanings[phrase] & concept:
                found = pattern.match(behind(page, row, number))
                if found is not None:
                    return Finding(
                        found.group(1) if found.re.groups else found.group(), row.index, 0.85, f"label {phrase}"
                    )
    return None


def dominated(page: Page, row: Row, concept: int) -> bool:
    """Whether phrases of a concept are most of a line: a heading, not a sentence."""
    known = sum(end - start for start, end, phrase in row.matches if page.meanings[phrase] & concept)
    return known > 0 and known * 10 >= sum(not char.isspace() and char.isalnum() for char in row.folded) * 6
