"""A receipt's lines made ready for the rules: folded, with their phrases, numbers, dates and times. Pure.

Every rule reads a `Page` and nothing else; what one rule found stands in it for the next.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Protocol

from receipt.dates import DateHit, TimeHit, find_dates, find_times
from receipt.model import NO_MINOR, minor_digits
from receipt.numbers import SCALE, Num, decimal_sign, measure, scan
from receipt.parts import Parts
from receipt.words import ENGLISH, LANGUAGES, PAYS, Match, fold, places, vocabulary, wide, widen, words_of

# Printed without decimals, though the currency has them
_SPARSE: Final = frozenset(["IDR", "TWD", "HUF", "COP", "CLP"])

MAX_ROWS: Final = 4000  # of one receipt: thirteen metres of paper. What comes behind is not read.

_SPREAD = re.compile(r"\S \S \S \S(?: |$)")
_LETTER_SPACED = re.compile(r"(?:(?<=\s)|^)(?:\S ){3,}\S(?=\s|$)")


class LineLike(Protocol):
    """What the rules need of a line; `receipt.paper.Line` is one. width, height, bold, kind, code may be missing."""

    @property
    def text(self) -> str: ...


@dataclass(slots=True)
class Row:
    """One line."""

    index: int  # in the job's lines
    text: str
    folded: str
    line: object = None  # as it came: sizes are looked up where they matter
    matches: list[Match] = field(default_factory=list)
    mask: int = 0  # the concepts of its phrases
    nums: list[Num] = field(default_factory=list)
    dates: list[DateHit] = field(default_factory=list)
    times: list[TimeHit] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    letters: int = 0
    head: bool | None = None  # whether it is the heads of columns, once columns.is_head was asked
    rule: bool = False  # a line of dashes
    amounts: list[Num] = field(default_factory=list)  # numbers that look like money

    def at(self, index: int, line: object) -> Row:
        """A copy for a line of a job: what pages change is its own."""
        nums = [Num(n.start, n.end, n.raw, 0, 0, n.negative, n.symbol, n.percent, n.unit, n.glued) for n in self.nums]
        row = Row(
            index, self.text, self.folded, line, self.matches, 0, nums, self.dates, self.times, self.words, self.letters
        )
        row.rule = self.rule
        return row

    @property
    def width(self) -> int:
        """Magnification across."""
        return int(getattr(self.line, "width", 1))

    @property
    def height(self) -> int:
        return int(getattr(self.line, "height", 1))

    @property
    def bold(self) -> bool:
        return bool(getattr(self.line, "bold", False))

    @property
    def last(self) -> Num | None:
        """The amount on the right."""
        return self.amounts[-1] if self.amounts else None


class Page:
    """The lines of one receipt and what all rules want to know of them."""

    def __init__(
        self, lines: Sequence[LineLike], start: int = 0, country: str | None = None, currency: str | None = None
    ) -> None:
        self.rows: list[Row] = []
        self.codes: list[str] = []
        self.country_hint, self.currency_hint = country, currency
        book = vocabulary()
        for index, line in enumerate(lines, start):
            kind = getattr(line, "kind", "text")
            code = getattr(line, "code", None)
            if code is not None:
                value = getattr(code, "value", "")
                if value and value not in self.codes:
                    self.codes.append(value)
            if kind != "text":
                continue
            text = line.text
            if not text or text.isspace():
                continue
            if len(self.rows) >= MAX_ROWS:
                break
            row = _analyse(text)
            self.rows.append(row.at(index, line))
        self.countries: dict[str, float] = {}
        self.symbols: dict[str, int] = {}
        self.votes = [0.0] * len(LANGUAGES)
        self.languages, self.meanings = ENGLISH, book.meanings(ENGLISH)
        self.sign, self.decimals = ".", True
        self.parts: dict[int, Parts] = {}  # lines of the item list, taken apart
        if not self.rows:
            return
        self.languages = self._speak()
        meanings = book.meanings(self.languages)
        for row in self.rows:
            mask = 0
            for _, _, phrase in row.matches:
                mask |= meanings[phrase]
            row.mask = mask
        self.meanings = meanings
        self.sign, self.decimals = decimal_sign(
            num.raw for row in self.rows for num in row.nums if not num.percent and not num.glued
        )
        if currency in NO_MINOR and not any(num.raw[-3:-2] in (".", ",") for row in self.rows for num in row.nums[-1:]):
            self.decimals = False
        for row in self.rows:
            for num in row.nums:
                measure(num, self.sign, self.decimals)
            ends = {end for _, end, _ in row.matches}
            for num in row.nums:
                if num.glued and num.places == 2 and num.start in ends:
                    num.glued = False  # "TOTAL2.67"
        self.countries = self._countries()
        self.money_rows()

    def _speak(self) -> int:
        """The languages (bits) the receipt is written in: English and those that say most of the other words."""
        book = vocabulary()
        votes = [0.0] * len(LANGUAGES)
        for phrase in {phrase for row in self.rows for _, _, phrase in row.matches}:
            size = len(phrase)
            if phrase[0] > "\u3000":
                weight = min(size * 3.0, 10.0)
            else:
                weight = 0.3 if size <= 3 else min(size - 1.5, 8.0)
            speakers = book.speakers(phrase)
            weight /= speakers.bit_count() ** 2
            place = 0
            while speakers:
                if speakers & 1:
                    votes[place] += weight
                speakers >>= 1
                place += 1
        self.votes = votes
        best = max(votes[1:], default=0.0)
        languages = 0
        if best < votes[0] * 0.2:
            best = 0.0
        for place, vote in enumerate(votes):
            if place and vote >= best * 0.5 and vote > 3:
                languages |= 1 << place
        return languages | ENGLISH

    @property
    def language(self) -> str:
        """The language that says most."""
        return LANGUAGES[max(range(len(LANGUAGES)), key=lambda place: self.votes[place])]

    def _countries(self) -> dict[str, float]:
        book = places()
        votes: dict[str, float] = {}
        if self.country_hint:
            votes[self.country_hint] = 20.0
        words = [word for row in self.rows for word in row.words]
        text = "".join(row.folded for row in self.rows if not row.folded.isascii() and wide(row.folded))
        for phrase in book.seen(words, text):
            countries = book.countries[phrase]
            for country in countries:
                votes[country] = votes.get(country, 0.0) + (1.0 if len(phrase) > 3 else 0.4) / len(countries)
        return votes

    @property
    def country(self) -> str | None:
        """The country with the most evidence, if any."""
        if not self.countries:
            return None
        best = max(self.countries.items(), key=lambda pair: pair[1])
        return best[0] if best[1] >= 1 else None

    def money_rows(self) -> None:
        """Mark the numbers that look like money."""
        decimals = self.decimals
        cents = sum(num.places == 2 for row in self.rows for num in row.nums) > 2
        groups = not decimals and any(
            len(num.raw) > 5 and not num.raw.isdigit() for row in self.rows for num in row.nums
        )
        for row in self.rows:
            amounts = []
            for num in row.nums:
                if num.symbol:
                    self.symbols[num.symbol] = self.symbols.get(num.symbol, 0) + 1
                if num.percent or (num.glued and not num.symbol):
                    continue
                if num.places == 2 or num.symbol:
                    amounts.append(num)
                elif decimals:
                    if num.places and num.places != 3 and not (cents and num.places == 1) and not num.raw.isdigit():
                        amounts.append(num)
                elif (
                    len(num.raw) <= 12
                    and num.value < 10**8 * SCALE
                    and (num.places == 0)
                    and not (
                        num.raw.isdigit()
                        and (
                            len(num.raw) > 7
                            or (num.raw[0] == "0" and len(num.raw) > 1)
                            or (groups and len(num.raw) < 3 and num.value)
                        )
                    )
                ):
                    amounts.append(num)
            row.amounts = amounts

    def minor(self, value: int, currency: str | None) -> int:
        """Ten-thousandths as minor units."""
        unit: int = 10 ** minor_digits(currency)
        product = value * unit
        return (product + SCALE // 2) // SCALE if product >= 0 else -((-product + SCALE // 2) // SCALE)

    def has_pay(self, row: Row) -> bool:
        return bool(row.mask & PAYS)


def _join_letters(match: re.Match[str]) -> str:
    text = match.group()
    return text[::2] if all(char == " " for char in text[1::2]) else text


@lru_cache(2048)  # the same shop prints the same lines all day
def _analyse(text: str) -> Row:
    """All that a line says by itself. The page takes a copy."""
    text = widen(text) if not text.isascii() else text
    if _SPREAD.search(text):
        for piece in text.split("  "):
            if len(piece) > 6 and piece.count(" ") * 2 >= len(piece) - 1:
                text = _LETTER_SPACED.sub(_join_letters, text)
                break
    folded = fold(text)
    row = Row(0, text, folded)
    row.words = words = words_of(folded)
    digits = letters = 0
    for word in words:
        if word.isdigit():
            digits += len(word)
        else:
            letters += len(word)
    if folded.isascii():
        row.letters = letters - folded.count("#") - folded.count("%")
    else:
        row.letters = sum(map(str.isalpha, folded))
    if not row.letters and not digits:
        row.rule = True
        return row
    row.matches = vocabulary().find(folded, row.words)
    if digits:
        spans = []
        if digits > 2:
            row.dates = find_dates(folded, row.words) if digits > 3 else []
            row.times = find_times(folded)
            spans = [(hit.start, hit.end) for hit in row.dates] + [
                (hit.start, hit.end) for hit in row.times if hit.clear
            ]
        row.nums = scan(folded, spans)
    return row
