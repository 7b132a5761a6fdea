"""Connectors: a CRM from which a merchant's customers come by themselves. One file for each; its name is its kind's.

A connector pulls, and pushes nothing. What it is made of:

    TITLE                                   the CRM's name, as people know it
    ENTITY                                  which of its lists holds customers, unless the merchant says otherwise
    USUAL: {its field: one of TARGETS}      what is taken where the merchant says nothing
    changed(ask, settings, cursor)          pages of (records as {field: text}, the cursor behind them), oldest first.
                                            A record holds ID and, where the person must not be written to, OPTED_OUT
    some(ask, settings)                     a few records with all of their fields, for the page of settings

`ask(path, query) -> parsed JSON` speaks to the merchant's CRM (cloud/connectors.py) and raises Failed. A cursor is text
that only the connector understands; "" is the beginning. Records may come twice: keeping one again does no harm.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, cast

import msgspec

NAME = re.compile(r"^[a-z0-9]{1,32}$")
ID, OPTED_OUT = "id", "opted out"
Ask = Callable[[str, dict[str, str]], Any]
Record = dict[str, str]


class Failed(Exception):
    """The CRM could not be read; `key` is the string that says why, `text` what it said."""

    def __init__(self, key: str, text: str = "") -> None:
        super().__init__(f"{key}: {text}")
        self.key, self.text = key, text


class Settings(msgspec.Struct):
    """What the merchant decides. `fields`: the CRM's field -> one of imports.TARGETS, or "" for a field of its own."""

    entity: str = ""
    fields: dict[str, str] = {}
    every_min: int = 60


class Crm(Protocol):
    TITLE: str
    ENTITY: str
    USUAL: dict[str, str]

    def changed(self, ask: Ask, settings: Settings, cursor: str) -> Iterator[tuple[list[Record], str]]: ...
    def some(self, ask: Ask, settings: Settings) -> list[Record]: ...


def names() -> list[str]:
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if NAME.fullmatch(path.stem))


def crm(name: str) -> Crm | None:
    return cast(Crm, importlib.import_module(f"cloud.crms.{name}")) if name in names() else None
