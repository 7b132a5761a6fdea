"""Which characters the bytes of a job are: what the commands select, and evidence where they select nothing. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from receipt.codepages import MULTIBYTE, OTHER_PAGES, decode
from receipt.commands import TEXT
from receipt.paper import Profile
from receipt.recognise import (
    everyday_share,
    is_utf8,
    looks_odd,
    recognise_double,
    recognise_single,
)
from receipt.tokens import ALL_COMMANDS, Mark, Scanner

_DOUBLE_LEAST = 0.6  # how sure the double-byte reading must be where nothing was selected
_DOUBLE_SURE = 0.75  # and where a single-byte page was selected, but reads oddly
_EVIDENCE = 32768  # bytes of text looked at
_PAGES = ("code_page", "star_code_page", "encoding")
_SWITCHES = ("initialise", "kanji_on", "kanji_off", "star_kanji_on", "star_kanji_off", "star_shift_jis")
_SELECTING = {row for row in ALL_COMMANDS if row.name in _PAGES or row.name in _SWITCHES}
_Key = tuple[str, int, bool | None]


_KNOWS_PAGES = 4  # a job that selects so many code pages means them


class Encoding:
    """The printer's character state, and the choice of codec that follows from it and from the job's own bytes."""

    def __init__(self, raw: bytes, profile: Profile) -> None:
        self._raw, self._profile = raw, profile
        self._runs: dict[_Key, list[bytes]] | None = None
        self.marks: list[Mark] | None = None  # of the whole job, where somebody has them: it is not scanned again
        self._choices: dict[tuple[object, ...], str] = {}
        self.reset()

    def reset(self) -> None:
        self._page: str | None = None
        self._sure = False
        self._selected: tuple[str, int] = ("", -1)
        self._kanji: bool | None = None
        self._code: int | None = None
        self._country: int | None = None
        self._choice: str | None = None
        self.jis = False

    def select(self, command: str, number: int, page: str | None, sure: bool) -> None:
        self._selected, self._page, self._sure, self._choice = (command, number), page, sure, None

    def national(self, number: int) -> None:
        """ESC R n says which country's printer this is meant for."""
        self._country, self._choice = number, None

    def kanji(self, on: bool) -> None:
        self._kanji, self._choice = on, None
        self.jis = on and self._code == 0

    def kanji_code(self, number: int) -> None:
        self._code, self._choice = number, None
        self.jis = self._kanji is True and number == 0

    def decode(self, run: bytes) -> tuple[str, int]:
        """The characters of a run of text, and how many narrow cells it takes."""
        if self.jis:
            text = _jis(run)
            if text is not None:
                return text, len(run)
        choice = self._choice
        if choice is None:
            choice = self._choice = self._choose()
        if choice == "utf-8":
            text = run.decode("utf-8", "replace")
            return text, cells(text)
        if choice in MULTIBYTE:
            text = decode(run, choice)
            return text, len(run) if choice == "cp932" else min(len(run), 2 * len(text))
        if choice == "cp437" and run.isascii() and self._country == 8:
            return run.decode("ascii").replace("\\", "¥"), len(run)
        return decode(run, choice), len(run)

    def _choose(self) -> str:
        key = (self._selected, self._kanji, self._code, self._country)
        choice = self._choices.get(key)
        if choice is None:
            gathered = self._gathered()
            runs = gathered.get((*self._selected, self._kanji), [])
            choice = self._choices[key] = self._judge(runs)
        return choice

    def _judge(self, runs: list[bytes]) -> str:
        page, profile = self._page, self._profile
        if self._sure and page is not None:
            return page
        if self._kanji:
            return self._judge_kanji(runs)
        if page is None and profile.encoding is not None:
            return profile.encoding
        sound = is_utf8(runs)
        if page is None:
            if sound:
                return "utf-8"
            double = profile.double_byte or recognise_double(runs, _DOUBLE_LEAST, None, fewest=3)
            return double or recognise_single(runs)
        if len(self._gathered()) >= _KNOWS_PAGES or not looks_odd(decode(b"\n".join(runs), page)):
            return page
        if sound >= 3:
            return "utf-8"
        double = recognise_double(runs, _DOUBLE_SURE, None, fewest=4)
        others = [other for other in OTHER_PAGES.get(self._selected[1], "").split() if other != page]
        return double or recognise_single(runs, [page, *others], head_start=4.0)

    def _judge_kanji(self, runs: list[bytes]) -> str:
        if self._profile.double_byte is not None:
            return self._profile.double_byte
        if self._code in (1, 2):
            return "cp932"
        default = {8: "cp932", 13: "cp949", 15: "gb18030"}.get(self._country or 0, "gb18030")
        best = recognise_double(runs, 0.3, None)
        if best is None and is_utf8(runs) >= 2:
            return "utf-8"
        if best is None or everyday_share(runs, best) < 0.1:
            # No pairs that make sense: single-byte text in Kanji mode, as printers without it are sent.
            page = self._page or recognise_single(runs)
            if not looks_odd(decode(b"\n".join(runs), page)) and any(_broken(run, default) for run in runs):
                return page
        return best or default

    def _gathered(self) -> dict[_Key, list[bytes]]:
        """The runs beyond ASCII, by what was selected when they came: the evidence. Some kilobytes are enough."""
        if self._runs is not None:
            return self._runs
        self._runs = defaultdict(list)
        selected: tuple[str, int] = ("", -1)
        kanji: bool | None = None
        raw, room = self._raw, _EVIDENCE
        scanner = Scanner(self._profile.dialect)
        for marks in (self.marks,) if self.marks is not None else map(scanner.feed, slices(raw)):
            for command, start, end in marks:
                if command is TEXT:
                    run = raw[start : min(end, start + 1000)]
                    if not run.isascii():
                        self._runs[(*selected, kanji)].append(run)
                        room -= len(run)
                elif command in _SELECTING:
                    name, last = command.name, raw[end - 1] if end <= len(raw) else 0
                    if name == "initialise":
                        selected, kanji = ("", -1), None
                    elif name in _PAGES:
                        selected = (name, last)
                    else:
                        kanji = name.endswith("_on") or (name == "star_shift_jis" and last & 1 > 0)
            if room < 0:
                break
        return self._runs


def slices(raw: bytes, size: int = 65536) -> Iterator[bytes]:
    """A job in parts that end between lines where they can: what is walked in parts needs little memory."""
    at = 0
    while len(raw) - at > size:
        end = raw.rfind(b"\n", at, at + size) + 1 or at + size
        yield raw[at:end]
        at = end
    yield raw[at:] if at else raw


def cells(text: str) -> int:
    """How many narrow cells the characters take: East Asian wide ones take two."""
    if text.isascii():
        return len(text)
    return sum(2 if is_wide(character) else 1 for character in text)


def is_wide(character: str) -> bool:
    """Hangul, kana, ideographs and their signs, full-width forms: what a printer sets in a square."""
    point = ord(character)
    return point >= 0x1100 and (
        point <= 0x115F
        or 0x2E80 <= point <= 0xA4CF
        or 0xAC00 <= point <= 0xD7A3
        or 0xF900 <= point <= 0xFAFF
        or 0xFE30 <= point <= 0xFE4F
        or 0xFF01 <= point <= 0xFF60
        or 0xFFE0 <= point <= 0xFFE6
        or point >= 0x1F300
    )


def _broken(run: bytes, encoding: str) -> bool:
    try:
        run.decode(encoding)
    except UnicodeDecodeError:
        return True
    return False


def _jis(run: bytes) -> str | None:
    """Seven-bit JIS pairs, as FS & with FS C 0 means them; None where the bytes are plain text all the same."""
    if len(run) % 2 or not run or min(run) < 0x21 or max(run) > 0x7E:
        return None
    try:
        text = bytes(byte | 0x80 for byte in run).decode("euc_jp")
    except UnicodeDecodeError:
        return None
    known = sum(
        "぀" <= character <= "ヿ" or 0x30 <= lead <= 0x4F for character, lead in zip(text, run[::2], strict=True)
    )
    signs = run[::2].count(0x21) + run[::2].count(0x23)
    return text if known + signs > len(text) / 2 and (known or signs == len(text)) else None
