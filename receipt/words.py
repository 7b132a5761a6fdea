"""The words of receipts: TOML files in `vocabulary/` become one search per script. Pure, read at first use.

A phrase is compared folded: lower case, without accents, full-width letters as plain ones; between its words any two
signs may
stand or none ("SUB-TOTAL", "Sub Total", "SUBTOTAL"). The longest phrase wins. In scripts with spaces a phrase ends
where a
word ends; in Chinese, Japanese and Korean it may stand inside a longer run, but a single character stands alone.

What a phrase means depends on the language ("bar" is cash in German): find() gives the phrases, meaning() their
concepts in
the languages that a receipt speaks.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from functools import cache
from importlib.resources import files
from typing import Final

# Concepts: one bit each. The names are the keys of the vocabulary files.
_NAMES = """
    total weak_total subtotal part_total excl incl tax tax_summary tax_name_only discount saved service tip tip_hint
    rounding change tendered deposit cash card wallet wechat_pay alipay transit_card e_money voucher account count
    number number_mark not_number date not_date time not_time began table covers cashier member customer points phone
    fax fiscal branch col_name col_qty col_price col_amount col_tax title greeting company address refund void report
    kitchen voucher_kind copy drawer selftest unit_kg unit_l unit_pc
"""
NAMES: Final = tuple(_NAMES.split())
BIT: Final = {name: 1 << place for place, name in enumerate(NAMES)}

TOTAL, WEAK_TOTAL, SUBTOTAL, PART_TOTAL = (BIT[name] for name in ("total", "weak_total", "subtotal", "part_total"))
EXCL, INCL, TAX, TAX_SUMMARY, TAX_NAME = (BIT[n] for n in ("excl", "incl", "tax", "tax_summary", "tax_name_only"))
DISCOUNT, SAVED, SERVICE, TIP, TIP_HINT = (BIT[n] for n in ("discount", "saved", "service", "tip", "tip_hint"))
ROUNDING, CHANGE, TENDERED, DEPOSIT = (BIT[n] for n in ("rounding", "change", "tendered", "deposit"))
CASH, CARD, WALLET, WECHAT, ALIPAY = (BIT[n] for n in ("cash", "card", "wallet", "wechat_pay", "alipay"))
TRANSIT, E_MONEY, VOUCHER, ACCOUNT = (BIT[n] for n in ("transit_card", "e_money", "voucher", "account"))
COUNT, NUMBER, NUMBER_MARK, NOT_NUMBER = (BIT[n] for n in ("count", "number", "number_mark", "not_number"))
DATE, NOT_DATE, TIME, NOT_TIME, BEGAN = (BIT[n] for n in ("date", "not_date", "time", "not_time", "began"))
TABLE, COVERS, CASHIER, MEMBER = (BIT[n] for n in ("table", "covers", "cashier", "member"))
CUSTOMER, POINTS, PHONE, FAX = (BIT[n] for n in ("customer", "points", "phone", "fax"))
FISCAL, BRANCH = BIT["fiscal"], BIT["branch"]
COL_NAME, COL_QTY, COL_PRICE, COL_AMOUNT, COL_TAX = (
    BIT[n] for n in ("col_name", "col_qty", "col_price", "col_amount", "col_tax")
)
TITLE, GREETING, COMPANY, ADDRESS = (BIT[n] for n in ("title", "greeting", "company", "address"))
REFUND, VOID, REPORT, KITCHEN = (BIT[n] for n in ("refund", "void", "report", "kitchen"))
VOUCHER_KIND, COPY, DRAWER, SELFTEST = (BIT[n] for n in ("voucher_kind", "copy", "drawer", "selftest"))
UNIT_KG, UNIT_L, UNIT_PC = (BIT[n] for n in ("unit_kg", "unit_l", "unit_pc"))

PAYS: Final = CASH | CARD | WALLET | WECHAT | ALIPAY | TRANSIT | E_MONEY | VOUCHER | ACCOUNT
_SUFFIXES: Final = COMPANY | ADDRESS | UNIT_PC | UNIT_KG  # a single character that may end a longer word ("店")
LANGUAGES: Final = ("en", "ms", "de", "fr", "es", "pt", "it", "nl", "ru", "tr", "el", "zh", "ja", "ko")
ENGLISH: Final = 1

_HALF_KANA = re.compile("[｡-ﾟ]")


def _folding() -> dict[int, str]:
    table: dict[int, str] = {}
    for code in (*range(0xA0, 0x530), *range(0x1E00, 0x2000), *range(0xFF01, 0xFF5F)):
        char = chr(code)
        plain = "".join(c for c in unicodedata.normalize("NFKD", char) if not unicodedata.combining(c)).lower()
        if len(plain) == 1 and plain != char:
            table[code] = plain
    for code in range(0x400, 0x460):  # Russian keeps its own letters: й is no и
        table[code] = chr(code).lower()
    for char, plain in zip(
        "İIıςøØđłŁ№µ°º’‘`´−–—―‐‑‒×✕✖：（）　￥＄％～．，", "iiiσoodllnuoo''''-------xxx:() ¥$%~.,", strict=True
    ):
        table[ord(char)] = plain
    return table


_FOLDS: Final = _folding()


def widen(text: str) -> str:
    """Half-width katakana, which printers love, as plain katakana; every other text as it is."""
    return unicodedata.normalize("NFKC", text) if _HALF_KANA.search(text) else text


def fold(text: str) -> str:
    """The text to compare: as many characters as before."""
    if text.isascii():
        return text.lower()
    folded = text.translate(_FOLDS)
    lower = folded.lower()
    return lower if len(lower) == len(folded) else folded


def key(phrase: str) -> str:
    """What is compared of a phrase: its letters and digits (and the few signs that mean something)."""
    return "".join(c for c in phrase if c.isalnum() or c in "#%〒℡")


Phrases = dict[str, tuple[tuple[int, int], ...]]  # phrase -> (language bit, concepts) pairs
_WIDE_CHARS: Final = "\u3041-\u9fff\uac00-\ud7af〒々"
_WIDE = re.compile(f"[{_WIDE_CHARS}]")
_WORD = re.compile(f"[^\\W\\d_{_WIDE_CHARS}]+|\\d+|[#%℡]")
_MOST_WORDS: Final = 6  # of one phrase
_WIDEST_GAP: Final = 3  # signs between two words of a phrase
_RUN_TOGETHER: Final = 7  # letters of a word from which on it may be several
_GLUE: Final = frozenset(("eur", "euro", "euros", "usd", "myr", "the", "you", "for", "and"))


def words_of(folded: str) -> list[str]:
    """The words and numbers of a folded line; a run of Chinese, Japanese or Korean is none."""
    return _WORD.findall(folded)


def wide(folded: str) -> bool:
    """Whether a line has characters of scripts without spaces."""
    return _WIDE.search(folded) is not None


class Phrasebook:
    """Finds the longest phrases in a folded line: by words where words have spaces, else by characters."""

    def __init__(self) -> None:
        self.phrases: set[str] = set()
        self._begun: set[str] = set()  # what a phrase's first words joined may look like
        self._wide: dict[str, list[str]] = {}  # first two characters -> phrases, longest first
        self._lone: set[str] = set()
        self._tails: set[str] = set()
        self._run: dict[str, tuple[int, ...]] = {}  # words run together, and where they part

    def add(self, phrase: str, tail: bool = False) -> str:
        """Take a phrase as the vocabulary writes it; give its key."""
        folded = fold(phrase)
        name = key(folded)
        if not name:
            return name
        self.phrases.add(name)
        if _WIDE.match(name):
            if len(name) > 1:
                group = self._wide.setdefault(name[:2], [])
                if name not in group:
                    group.append(name)
                    group.sort(key=len, reverse=True)
            else:
                (self._tails if tail else self._lone).add(name)
            return name
        words = _WORD.findall(folded)
        for count in range(1, len(words)):
            self._begun.add("".join(words[:count]))
        if len(name) <= 5:  # "G.S.T."
            self._begun.update(name[:end] for end in range(1, len(name)))
        return name

    def find(self, folded: str, known: list[str] | None = None) -> list[Match]:
        """(start, end, phrase), in order; `known` are the words of the line, where the caller has them. Linear in
        the line.
        """
        found: list[Match] = []
        phrases, begun = self.phrases, self._begun
        texts = _WORD.findall(folded) if known is None else known
        if not (phrases.isdisjoint(texts) and begun.isdisjoint(texts)):
            found = self._find_spaced(folded, texts)
        else:
            for text in texts:
                if len(text) >= _RUN_TOGETHER and self._parts(text):
                    found = self._find_spaced(folded, texts)
                    break
        if not folded.isascii() and _WIDE.search(folded):
            wide = self._find_wide(folded)
            if wide:
                found = sorted(wide + [m for m in found if not any(s <= m[0] < e for s, e, _ in wide)])
        return found

    def _find_spaced(self, folded: str, texts: list[str]) -> list[Match]:
        found: list[Match] = []
        phrases, begun = self.phrases, self._begun
        words: list[tuple[str, int, int]] = []
        at = 0
        for text in texts:  # in order, and nothing but signs between them: each is found where it stands
            start = folded.find(text, at)
            at = start + len(text)
            words.append((text, start, at))
        place, last = 0, len(words)
        while place < last:
            first, start, end = words[place]
            joined, ends, best = first, end, 0
            if joined in phrases:
                best, name = place + 1, joined
            follower = place + 1
            while joined in begun and follower < last and follower - place < _MOST_WORDS:
                word, next_start, next_end = words[follower]
                if next_start - end > _WIDEST_GAP:
                    break
                joined += word
                end = next_end
                follower += 1
                if joined in phrases:
                    best, ends, name = follower, end, joined
            if best:
                found.append((start, ends, name))
                place = best
                continue
            place += 1
            if len(first) >= _RUN_TOGETHER:
                for part in self._parts(first):
                    name = folded[start : start + part]
                    if name in phrases:
                        found.append((start, start + part, name))
                    start += part
        return found

    def _parts(self, word: str) -> tuple[int, ...]:
        """Lengths of the phrases that a long word consists of ("TOTALAPAGAREUROS"); () when it does not."""
        known = self._run.get(word)
        if known is None:
            if len(self._run) > 4096:
                self._run.clear()
            known = self._run[word] = self._part(word)
        return known

    def _part(self, word: str) -> tuple[int, ...]:
        word = word[:48]
        size = len(word)
        ways: list[tuple[int, ...] | None] = [None] * size + [()]
        if size >= 9:  # "SALESTAXLA": a rest too short to be a word
            ways[size - 2] = (2,)
        for start in range(size - 3, -1, -1):
            for end in range(min(size, start + 24), start + 2, -1):
                rest = ways[end]
                if rest is not None and (word[start:end] in self.phrases or word[start:end] in _GLUE):
                    way = (end - start, *rest)
                    if ways[start] is None or len(way) < len(ways[start] or ()):
                        ways[start] = way
        return ways[0] or ()

    def _find_wide(self, folded: str) -> list[Match]:
        places = [place for place, char in enumerate(folded) if char.isalnum() or char in "#%〒℡"]
        text = "".join([folded[place] for place in places])
        found: list[Match] = []
        groups = self._wide
        at, last = 0, len(text)
        while at < last:
            for phrase in groups.get(text[at : at + 2], ()):
                if text.startswith(phrase, at):
                    found.append((places[at], places[at + len(phrase) - 1] + 1, phrase))
                    at += len(phrase)
                    break
            else:
                char = text[at]
                if char in self._lone or char in self._tails:
                    place = places[at]
                    after = folded[place + 1 : place + 2]
                    before = folded[place - 1 : place] if char not in self._tails else ""
                    if not (after and _WIDE.match(after)) and not (before and _WIDE.match(before)):
                        found.append((place, place + 1, char))
                at += 1
        return found


Match = tuple[int, int, str]  # start, end, phrase


class Vocabulary(Phrasebook):
    """All phrases of all languages, and what they mean."""

    def __init__(self) -> None:
        super().__init__()
        self._pairs: Phrases = {}
        self._meanings: dict[int, dict[str, int]] = {}
        self._speakers: dict[str, int] = {}
        pairs: dict[str, list[tuple[int, int]]] = {}
        for place, language in enumerate(LANGUAGES):
            concepts: dict[str, int] = {}
            for name, words in _read(f"{language}.toml").items():
                bit = BIT[name]
                for word in words if isinstance(words, list) else ():
                    phrase = self.add(word, tail=bool(bit & _SUFFIXES))
                    concepts[phrase] = concepts.get(phrase, 0) | bit
            for phrase, mask in concepts.items():
                pairs.setdefault(phrase, []).append((1 << place, mask))
        self._pairs = {phrase: tuple(both) for phrase, both in pairs.items()}

    def meanings(self, languages: int) -> dict[str, int]:
        """phrase -> concepts, for a set of languages (bits)."""
        known = self._meanings.get(languages)
        if known is None:
            known = {}
            for phrase, pairs in self._pairs.items():
                mask = 0
                for language, concepts in pairs:
                    if language & languages:
                        mask |= concepts
                known[phrase] = mask
            if len(self._meanings) > 32:
                self._meanings.clear()
            self._meanings[languages] = known
        return known

    def speakers(self, phrase: str) -> int:
        """The languages (bits) that have a phrase."""
        known = self._speakers.get(phrase)
        if known is None:
            known = self._speakers[phrase] = sum(language for language, _ in self._pairs.get(phrase, ()))
        return known


def _read(name: str) -> dict[str, object]:
    return tomllib.loads(files("receipt").joinpath("vocabulary", name).read_text("utf-8"))


@cache
def vocabulary() -> Vocabulary:
    return Vocabulary()


@cache
def months() -> dict[str, int]:
    """Folded name of a month -> 1..12."""
    names: dict[str, int] = {}
    table = _read("months.toml")["months"]
    if isinstance(table, list):
        for number, words in enumerate(table, 1):
            for word in words:
                names.setdefault(key(fold(word)), number)
    return names


class Places(Phrasebook):
    """Words that only stand on the receipts of some countries."""

    def __init__(self) -> None:
        super().__init__()
        self.countries: dict[str, tuple[str, ...]] = {}
        table = _read("places.toml")["places"]
        for country, words in table.items() if isinstance(table, dict) else ():
            for word in words:
                phrase = self.add(word)
                self.countries[phrase] = (*self.countries.get(phrase, ()), country)
        self._long = sorted(phrase for phrase in self.phrases if _WIDE.match(phrase))

    def seen(self, words: list[str], wide_text: str) -> set[str]:
        """Which of the phrases stand in a page's words, or in its text without spaces."""
        phrases, begun = self.phrases, self._begun
        found = phrases.intersection(words)
        if not begun.isdisjoint(words):
            for place, word in enumerate(words):
                joined = word
                for follower in words[place + 1 : place + _MOST_WORDS]:
                    if joined not in begun:
                        break
                    joined += follower
                    if joined in phrases:
                        found.add(joined)
        if wide_text:
            found.update(phrase for phrase in self._long if phrase in wide_text)
        return found


@cache
def places() -> Places:
    return Places()


@cache
def currencies() -> tuple[dict[str, str], dict[str, tuple[str, ...]], dict[str, str]]:
    """(symbol -> code, shared symbol -> codes, country -> code)."""
    table = _read("currency.toml")
    symbols, shared, countries = table["symbol"], table["shared"], table["country"]
    assert isinstance(symbols, dict) and isinstance(shared, dict) and isinstance(countries, dict)
    return (
        {fold(symbol): code for symbol, code in symbols.items()},
        {fold(symbol): tuple(codes) for symbol, codes in shared.items()},
        dict(countries),
    )
