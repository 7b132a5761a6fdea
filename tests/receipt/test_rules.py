"""The parts that the rules stand on: folding, phrases, numbers, dates, tax tables; and the vocabulary files."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from dataclasses import dataclass
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receipt import words
from receipt.dates import find_dates, find_times
from receipt.numbers import SCALE, decimal_sign, measure, scan
from receipt.page import Page
from receipt.rules import date as date_rule
from receipt.rules import tax as tax_rule


@dataclass
class Line:
    text: str


def page(*texts: str, country: str | None = None) -> Page:
    return Page([Line(text) for text in texts], country=country)


@given(st.text(max_size=200))
def test_folding_keeps_every_place(text: str) -> None:
    assert len(words.fold(text)) == len(text)


@pytest.mark.parametrize("name", [*words.LANGUAGES])
def test_every_key_of_a_vocabulary_file_is_a_concept(name: str) -> None:
    table = tomllib.loads(files("receipt").joinpath("vocabulary", f"{name}.toml").read_text("utf-8"))
    assert set(table) <= set(words.NAMES)
    for key, phrases in table.items():
        assert phrases and all(isinstance(phrase, str) and words.key(words.fold(phrase)) for phrase in phrases), key
    for key in ("total", "subtotal", "tax", "cash", "card", "change", "number", "date", "cashier", "refund", "void"):
        assert key in table, f"{name} has no word for {key}"


@pytest.mark.parametrize(
    ("text", "concepts"),
    [
        ("TOTAL (EXCLUDING GST) 4.60", words.TOTAL | words.EXCL | words.TAX),
        ("Sub-Total: 12,00", words.SUBTOTAL),
        ("SUBTOTAL 12,00", words.SUBTOTAL),
        ("Zwischensumme 12,00", words.SUBTOTAL),
        ("G.S.T. 6% 1.20", words.TAX),
        ("TOTALAPAGAREUROS 19.20", words.TOTAL),
        ("合　計 450", words.TOTAL),
        ("ｺﾞｳｹｲ 合計 450", words.TOTAL),
        ("Чек №: 45073438", words.NUMBER),
        ("ΗΜ/ΝΙΑ: 22/06/2017", words.DATE),
    ],
)
def test_phrases_are_found_however_they_are_set(text: str, concepts: int) -> None:
    book = words.vocabulary()
    everything = book.meanings((1 << len(words.LANGUAGES)) - 1)
    mask = 0
    for _, _, phrase in book.find(words.fold(words.widen(text))):
        mask |= everything[phrase]
    assert mask & concepts == concepts


def test_a_word_means_what_it_means_in_the_paper_s_language() -> None:
    german = page("Bäckerei", "Zwischensumme 9,00", "SUMME 9,00", "BAR 10,00", "Rückgeld 1,00")
    assert german.rows[3].mask & words.CASH
    english = page("THE BLUE BAR", "Subtotal 9.00", "TOTAL 9.00", "Change 1.00")
    assert not english.rows[0].mask & words.CASH


@pytest.mark.parametrize(
    ("text", "sign", "decimals", "value"),
    [
        ("12.50", ".", True, 12.5),
        ("1.234,56", ",", True, 1234.56),
        ("1,234.56", ".", True, 1234.56),
        ("1 234,56", ",", True, 234.56),  # two columns, unless words stand before it
        ("SUMA 1 234,56", ",", True, 1234.56),
        ("16.500", ",", False, 16500),
        ("16,500", ".", False, 16500),
        ("1.644 EUR/l", ".", True, 1.644),
        ("0,345 kg", ",", True, 0.345),
        ("1'234.50", ".", True, 1234.5),
        (".78", ".", True, 0.78),
        ("4,00-", ",", True, -4),
        ("-4.00", ".", True, -4),
        ("(4.00)", ".", True, -4),
        ("RM -0.02", ".", True, -0.02),
    ],
)
def test_numbers(text: str, sign: str, decimals: bool, value: float) -> None:
    num = scan(words.fold(text))[-1]
    measure(num, sign, decimals)
    assert num.signed == round(value * SCALE)


def test_the_decimal_sign_is_what_most_amounts_show() -> None:
    assert decimal_sign(["12,50", "1.234,00", "3"]) == (",", True)
    assert decimal_sign(["12.50", "1,234.00"]) == (".", True)
    assert decimal_sign(["16.500", "8.000"])[1] is False


@pytest.mark.parametrize("text", ["card #1234.56", "3/1.00", "SKU-12.50", "12:30"])
def test_codes_and_fractions_are_no_amounts(text: str) -> None:
    assert not [num for row in page(text).rows for num in row.amounts if num.value == 125_000]


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("31.12.2025", "2025-12-31"),
        ("12/31/2025", "2025-12-31"),
        ("2025-12-31", "2025-12-31"),
        ("2025年12月31日", "2025-12-31"),
        ("令和7年12月31日", "2025-12-31"),
        ("民國114年12月31日", "2025-12-31"),
        ("2025년 12월 31일", "2025-12-31"),
        ("31 Dec 2025", "2025-12-31"),
        ("Dec31'25", "2025-12-31"),
        ("December 31st, 2025", "2025-12-31"),
        ("31 de dezembro de 2025", "2025-12-31"),
        ("31 декабря 2025", "2025-12-31"),
        ("31-ARA-2025", "2025-12-31"),
        ("20251231", "2025-12-31"),
    ],
)
def test_dates_that_have_one_reading(text: str, iso: str) -> None:
    folded = words.fold(text)
    hit = find_dates(folded, words.words_of(folded))[0]
    assert {hit.day_first, hit.month_first, hit.year_first} - {None} == {iso}


@pytest.mark.parametrize("text", ["30.02.2025", "1.2.3", "555-1234-99", "192.168.0.1", "99/99/99"])
def test_what_only_looks_like_a_date_is_none(text: str) -> None:
    folded = words.fold(text)
    assert find_dates(folded, words.words_of(folded)) == []


def test_an_unclear_date_is_read_as_the_others_on_the_paper_are() -> None:
    clear = page("SHOP", "Date 03/04/2026 10:00", "Offer ends 25/04/2026")
    finding = date_rule.read(clear)
    assert finding is not None and finding.value == "2026-04-03" and finding.confidence >= 0.9
    alone = date_rule.read(page("SHOP", "Date 03/04/2026 10:00"))
    assert alone is not None and alone.confidence < 0.9


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("18:05", "18:05"), ("6:05 PM", "18:05"), ("12:05 am", "00:05"), ("下午 6:05", "18:05"), ("18h05", "18:05"),
        ("18:05:59", "18:05:59"), ("11.39AM", "11:39"),
    ],
)  # fmt: skip
def test_times(text: str, time: str) -> None:
    assert find_times(words.fold(text))[0].text == time


def test_a_tax_table_is_known_by_its_arithmetic() -> None:
    table = tax_rule.table_of(page("A 19,00% 100,00 19,00 119,00", "B 7,00% 50,00 3,50 53,50", "C 7,00% 10,00 9,99"))
    assert [(net // SCALE, tax) for net, tax, _, _ in table] == [(100, 19 * SCALE), (50, 35_000)]


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="0123456789.,'-+()x*@% $€kgRM:/", max_size=80))
def test_any_signs_between_digits_are_scanned(text: str) -> None:
    for num in scan(words.fold(text)):
        measure(num, ".", True)
        assert text[num.start : num.end].strip()


def test_the_words_are_loaded_when_first_needed() -> None:
    code = "import sys, receipt, receipt.tokens; sys.exit('receipt.words' in sys.modules or 'tomllib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0
