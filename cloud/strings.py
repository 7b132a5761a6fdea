"""What pages and notices say, in the reader's language. The sentences are data: locales/LANGUAGE/AREA.toml.

A key is AREA.TABLE.NAME. A sentence names its values in braces: "{count} waiting". One that changes with a number has
a table of forms in place of a sentence, chosen by `n`: `one` for 1 (where the language has it), `other` for the rest.

Adding a language is a folder with the same files; an area is one file in every folder. tests/cloud/test_strings.py
compares them all with English.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

FIRST = "en"  # what is said to those whose languages we lack
FORMS = {"one", "other"}  # a table of nothing else is one sentence
Forms = str | dict[str, str]


class Said(str):
    """A sentence in English that knows its key: a page says it again in the reader's language (Strings.again). What
    a check finds is one, so that programs and logs have it in English and people in their own words."""

    key: str
    values: dict[str, Any]


def said(key: str, **values: Any) -> Said:
    """
    >>> said("rules.wrong.zone", zone="Mars/Base")
    "there is no time zone 'Mars/Base'"
    """
    out = Said(strings(FIRST)(key, **values))
    out.key, out.values = key, values
    return out


class Strings:
    """One language. `t("console.nav.today")`, `t("console.today.waiting", n=3)`.

    Raises KeyError for a key that no file has: a page with a missing sentence is a fault, not a blank.
    """

    def __init__(self, lang: str, said: dict[str, Forms]) -> None:
        self.lang, self._said = lang, said

    def __call__(self, key: str, **values: Any) -> str:
        said = self._said[key]
        if isinstance(said, dict):
            said = said["one" if values.get("n") == 1 and "one" in said else "other"]
        return said.format(**values) if values else said

    def again(self, text: str) -> str:
        """What was said in English, in this language; as it is where nobody knows what it was."""
        if not isinstance(text, Said):
            return text
        return self(text.key, **{name: self.again(v) if isinstance(v, str) else v for name, v in text.values.items()})

    def __contains__(self, key: str) -> bool:
        return key in self._said

    def keys(self) -> frozenset[str]:
        return frozenset(self._said)

    def forms(self, key: str) -> dict[str, str]:
        said = self._said[key]
        return said if isinstance(said, dict) else {"other": said}


@cache
def languages() -> tuple[str, ...]:
    """The folders of locales/, English first."""
    found = sorted(folder.name for folder in files("cloud").joinpath("locales").iterdir() if folder.is_dir())
    return (FIRST, *(name for name in found if name != FIRST and not name.startswith("_")))


@cache
def own_names() -> dict[str, str]:
    """language -> what it calls itself."""
    return {lang: strings(lang)("console.frame.own_name") for lang in languages()}


@cache
def strings(lang: str) -> Strings:
    """Raises KeyError for a language that is not there: ask choose()."""
    if lang not in languages():
        raise KeyError(lang)
    said: dict[str, Forms] = {}
    for file in files("cloud").joinpath("locales", lang).iterdir():
        if file.name.endswith(".toml"):
            _flatten(file.name.removesuffix(".toml"), tomllib.loads(file.read_text("utf-8")), said)
    return Strings(lang, said)


def choose(wanted: str, accept: str) -> str:
    """A language we have: the one that was chosen, else the best of an Accept-Language header, else English.

    >>> choose("", "fr;q=0.9, zh-CN;q=0.8"), choose("en", "zh"), choose("xx", "")
    ('zh', 'en', 'en')
    """
    have = languages()
    if wanted in have:
        return wanted
    asked: list[tuple[float, str]] = []
    for piece in accept[:500].split(","):
        name, _, rest = piece.strip().partition(";")
        try:
            weight = float(rest.strip().removeprefix("q=")) if rest.strip() else 1.0
        except ValueError:
            weight = 0.0
        asked.append((-weight, name.split("-")[0].strip().lower()))
    return next((name for weight, name in sorted(asked, key=lambda a: a[0]) if weight < 0 and name in have), FIRST)


def _flatten(above: str, table: dict[str, Any], said: dict[str, Forms]) -> None:
    for name, value in table.items():
        key = f"{above}.{name}"
        if isinstance(value, dict) and not (value and set(value) <= FORMS):
            _flatten(key, value, said)
        else:
            said[key] = value
