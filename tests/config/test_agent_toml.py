"""config/agent.toml is the technician's list of keys: complete, true, and loadable."""

from __future__ import annotations

import dataclasses
import tomllib
import typing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from config.box import Box, load_box
from config.load import ConfigError

FILE = Path(__file__).parents[2] / "config" / "agent.toml"
REQUIRED = {"url"}  # has no default: the file shows an example


def sections() -> dict[str, tuple[type[Any], dict[str, Any]]]:
    """Section heading -> (its dataclass, what the file says). Named sections stand under their first name."""
    tree = tomllib.loads(FILE.read_text(encoding="utf-8"))
    found: dict[str, tuple[type[Any], dict[str, Any]]] = {}
    for name, kind in typing.get_type_hints(Box).items():
        if typing.get_origin(kind) is dict:
            found[name] = (typing.get_args(kind)[1], next(iter(tree[name].values())))
        else:
            found[name] = (kind, tree[name])
    return found


def test_it_has_every_section_and_no_other() -> None:
    tree = tomllib.loads(FILE.read_text(encoding="utf-8"))
    assert set(tree) == {field.name for field in dataclasses.fields(Box)}


@pytest.mark.parametrize("section", sections())
def test_it_lists_every_key_with_its_default(section: str) -> None:
    kind, said = sections()[section]
    defaults = {f.name: f.default for f in dataclasses.fields(kind)}
    assert set(said) == set(defaults), "every key of config/box.py stands in config/agent.toml"
    for name, default in defaults.items():
        if name not in REQUIRED:
            assert said[name] == default and type(said[name]) is type(default), f"[{section}] {name}"


def test_every_key_is_explained_above_it() -> None:
    lines = FILE.read_text(encoding="utf-8").splitlines()
    bare = [
        line for before, line in pairwise(lines)
        if "=" in line and not line.startswith("#") and before.startswith("[")
    ]  # fmt: skip
    assert not bare


def test_it_loads() -> None:
    box = load_box(FILE)
    assert box.printer["main"].model == "auto" and box.pos["till"].printer == "main"


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = FILE.read_text(encoding="utf-8").replace("hold_cut_ms", "hold_cut_msec").replace('"hold"', '"wait"', 1)
    text = text.replace("repeat_s = 20", "repeat_s = 1").replace(
        'broker = "mqtt://127.0.0.1', 'broker = "mqtt://10.0.0.9'
    )
    text = text.replace('when_gone = "hold"', 'when_gone = "wait"')
    path = tmp_path / "agent.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as told:
        load_box(path)
    said = str(told.value)
    assert "hold_cut_msec" in said and "did you mean 'hold_cut_ms'" in said
    assert "repeat_s" in said and "at least 5" in said and "when_gone" in said
    assert "line " in said and "check-config" in said
