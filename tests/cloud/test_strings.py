"""The strings: every sentence in every language, with the same values in braces; and which language is chosen."""

from __future__ import annotations

import re
from importlib.resources import files
from string import Formatter

import pytest

from cloud.strings import FIRST, choose, languages, strings

OTHERS = [lang for lang in languages() if lang != FIRST]


def values(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}


@pytest.mark.parametrize("lang", OTHERS)
def test_every_sentence_is_there_in_every_language(lang: str) -> None:
    assert strings(lang).keys() == strings(FIRST).keys()


@pytest.mark.parametrize("lang", OTHERS)
def test_a_translation_names_the_same_values(lang: str) -> None:
    for key in sorted(strings(FIRST).keys()):
        named = set().union(*(values(form) for form in strings(FIRST).forms(key).values()))
        for form in strings(lang).forms(key).values():
            assert form.strip(), key
            assert values(form) <= named, key


def test_every_key_that_a_template_says_exists() -> None:
    for file in files("cloud").joinpath("templates").iterdir():
        for key in re.findall(r'\bt\("([a-z_]+(?:\.[a-z_]+)+)"[,)]', file.read_text("utf-8")):
            assert key in strings(FIRST), (file.name, key)


def test_a_form_is_chosen_by_its_number() -> None:
    forms = {"count": {"one": "{n} thing", "other": "{n} things"}}
    from cloud.strings import Strings

    t = Strings("en", {"a.count": forms["count"]})
    assert [t("a.count", n=n) for n in (0, 1, 2)] == ["0 things", "1 thing", "2 things"]
    with pytest.raises(KeyError):
        t("a.missing")


@pytest.mark.parametrize(
    ("wanted", "accept", "lang"),
    [
        ("", "", "en"),
        ("", "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("", "en-GB, zh;q=0.9", "en"),
        ("en", "zh", "en"),
        ("zh", "en", "zh"),
        ("../../etc", "de, fr", "en"),
        ("", "zh;q=0", "en"),
        ("", ";;q=,,zh;q=x", "en"),
    ],
)
def test_the_language_is_the_chosen_one_else_the_browsers(wanted: str, accept: str, lang: str) -> None:
    assert choose(wanted, accept) == lang
