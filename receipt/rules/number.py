"""number: the receipt's own number, by its label; not the shop's, terminal's, table's or customer's."""

from __future__ import annotations

import re

from receipt import words as w
from receipt.model import Finding
from receipt.page import Page, Row

_VALUE = re.compile(r"[\s:.#;=\-]{0,4}(?:n[or]?[.:o]?\s{0,2}|#\s?|:\s?)?([a-z]{0,6}[\w]{0,12}(?:[-/._ ]?[\w]+){0,5})")
_BAD = w.NOT_NUMBER | w.FISCAL | w.PHONE | w.FAX | w.MEMBER


def read(page: Page) -> Finding | None:
    best: tuple[float, Finding] | None = None
    for place, row in enumerate(page.rows):
        if not row.mask & w.NUMBER:
            continue
        for index, (start, end, phrase) in enumerate(row.matches):
            meaning = page.meanings[phrase]
            if not meaning & w.NUMBER or (meaning & (w.TAX | w.TOTAL)):
                continue
            before = row.matches[index - 1] if index else None
            if before is not None and start - before[1] <= 1 and page.meanings[before[2]] & _BAD:
                continue
            after = row.matches[index + 1] if index + 1 < len(row.matches) else None
            tail_start = end
            marked = phrase.endswith(
                ("no", "number", "nr", "#", "号", "號", "番号", "번호", "id", "num", "码", "碼")
            ) or (
                phrase.endswith("n") and bool(page.meanings.get(phrase[:-1], 0) & w.NUMBER)  # "fatura n"
            )
            if after is not None and after[0] - end <= 3 and page.meanings[after[2]] & w.NUMBER_MARK:
                tail_start, marked = after[1], True
            elif (
                after is not None
                and after[0] - end <= 1
                and page.meanings[after[2]] & (_BAD | w.NUMBER)
                and start != after[0]
            ):
                continue
            value = _token(row.text, tail_start, _taken(row))
            line, near = row.index, 1.0
            if value is None and place + 1 < len(page.rows) and not row.text[tail_start:].strip(" :.#"):
                following = page.rows[place + 1]
                if not following.mask & (w.NUMBER | w.TOTAL) and len(following.text.split()) <= 3:
                    value = _token(following.text, 0, _taken(following))
                    line, near = following.index, 0.6
            if value is None:
                continue
            score = (
                near
                + (1.0 if marked else 0.0)
                + (0.6 if row.text[tail_start : tail_start + 2].lstrip().startswith((":", "#")) else 0)
            )
            score += min(len(phrase), 14) * 0.02 - place * 0.004
            if len(value) < 3:
                score -= 0.5
            if best is None or score > best[0]:
                best = (
                    score,
                    Finding(value, line, 0.95 if score > 2.1 else 0.85 if score > 1.4 else 0.6, f"label {phrase}"),
                )
    return best[1] if best else None


def _taken(row: Row) -> list[tuple[int, int]]:
    """Where dates and times stand; eight digits may be a number as well."""
    spans = [(hit.start, hit.end) for hit in row.dates if not hit.text.isdigit()]
    return spans + [(hit.start, hit.end) for hit in row.times]


_TOKEN = re.compile(r"[\s:.#;=№-]{0,6}([^\s:,;]{1,40}(?: ?[-/] ?[^\s:,;]{1,20}){0,3})")


def _token(text: str, start: int, taken: list[tuple[int, int]]) -> str | None:
    """The word behind a label that has a digit in it."""
    match = _TOKEN.match(text, start)
    for _ in range(2):
        if match is None:
            return None
        first, last = match.span(1)
        for begin, stop in taken:
            if first < stop and begin < last:
                if begin <= first:
                    return None
                last = begin
        value = text[first:last].strip(" .:-#*()[]")
        if any(char.isdigit() for char in value) and not re.fullmatch(r"\d{1,3}[.,]\d{2}", value):
            return value
        if len(value) > 6:
            return None
        match = _TOKEN.match(text, match.end())
    return None
