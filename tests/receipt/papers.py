"""Receipts as tills print them, written for these tests after what such paper must show: one file in paper/ each."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "paper"


@dataclass
class Line:
    """What layout gives to reading; a test names what differs from plain text."""

    text: str
    kind: str = "text"
    width: int = 1
    height: int = 1
    bold: bool = False


@dataclass
class Paper:
    text: str
    fields: dict[str, Any]  # by the names of receipt.model.Receipt; amounts in the smallest unit
    items: list[tuple[str, str, int]]  # name, quantity ("" where the paper has none), amount


def papers(folder: str) -> dict[str, Paper]:
    """All of paper/FOLDER, by their names: a country or a language is added by adding a file."""
    found = {}
    for path in sorted((FOLDER / folder).glob("*.toml")):
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        items = [(name, quantity, amount) for name, quantity, amount in data["items"]]
        found[path.stem] = Paper(data["paper"].rstrip("\n"), data["fields"], items)
    assert found, f"{FOLDER / folder} holds no papers"
    return found


def lines(text: str) -> list[Line]:
    return [Line(line) for line in text.strip("\n").split("\n")]
