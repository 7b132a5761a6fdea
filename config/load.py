"""Read a TOML file into frozen dataclasses, and name every problem of it at once. Standard library only.

A section is a dataclass whose fields are made with `key()`; a field of type dict[str, Section] is a table of named
sections ([printer.NAME]). Nothing is guessed: an unknown key, a wrong type and a value out of range are problems, each
told with its line, what is allowed, and the nearest key.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

S = TypeVar("S")
Check = Callable[[Any], str | None]  # -> what is wrong with the value, or None
Problem = tuple[tuple[str, ...], str]  # where (section ..., key), what is wrong there
NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,31}$")
TYPES = {str: "a text in quotes", int: "a whole number", float: "a number", bool: "true or false"}


class ConfigError(Exception):
    """The configuration cannot be used: tell the technician. `problems` holds all of them, each a line."""

    def __init__(self, path: str, problems: list[str], hint: str) -> None:
        super().__init__(
            f"{path}: {len(problems)} problem(s)\n" + "\n".join(f"  - {p}" for p in problems) + f"\n{hint}"
        )
        self.path, self.problems, self.hint = path, problems, hint


def key(
    default: Any,
    doc: str,
    *,
    low: float | None = None,
    high: float | None = None,
    one_of: tuple[str, ...] = (),
    check: Check | None = None,
) -> Any:
    """A setting: its default, what it means (with its unit), and what is allowed."""
    return dataclasses.field(
        default=default,
        metadata={"doc": doc, "low": low, "high": high, "one_of": one_of, "check": check},
    )


def required(doc: str, *, one_of: tuple[str, ...] = (), check: Check | None = None) -> Any:
    """A setting that has no default."""
    return dataclasses.field(metadata={"doc": doc, "low": None, "high": None, "one_of": one_of, "check": check})


def section(kind: type[Any], doc: str) -> Any:
    return dataclasses.field(default_factory=kind, metadata={"doc": doc})


def named(doc: str) -> Any:
    """A table of sections, one for each name."""
    return dataclasses.field(default_factory=dict, metadata={"doc": doc})


def load(path: str | Path, schema: type[S], also: Callable[[S], list[Problem]] | None = None) -> S:
    """The file as a `schema`. `also` looks for problems between sections.

    Raises ConfigError, with all problems found, where the file cannot be read or used.
    """
    path = Path(path)
    hint = f"Correct the file; `tillwire check-config {path}` tells whether it is right. config/*.toml lists every key."
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(str(path), ["there is no such file"], hint) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [f"cannot be read: {error}"], hint) from error
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(path), [f"is not TOML: {error}"], hint) from error
    reader = _Reader(text)
    value: S = reader.section(tree, schema, ())
    problems = reader.problems
    if also and not problems:
        problems = [reader.told(at, says) for at, says in also(value)]
    if problems:
        raise ConfigError(str(path), problems, hint)
    return value


class _Reader:
    def __init__(self, text: str) -> None:
        self.lines = text.splitlines()
        self.problems: list[str] = []

    def section(self, table: dict[str, Any], kind: type[Any], at: tuple[str, ...]) -> Any:
        hints = typing.get_type_hints(kind)
        fields = {f.name: f for f in dataclasses.fields(kind)}
        for name in table.keys() - fields.keys():
            self._unknown(name, fields, at)
        values = {}
        for name, field in fields.items():
            if name in table:
                values[name] = self._value(table[name], hints[name], field, (*at, name))
            elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                self.problems.append(f"{self._where(at)}[{'.'.join(at)}] lacks {name!r}: {field.metadata['doc']}")
                values[name] = None
        return kind(**values)

    def told(self, at: tuple[str, ...], says: str) -> str:
        return f"{self._where(at)}{'.'.join(at)} {says}" if at else says

    def _value(self, value: Any, kind: Any, field: dataclasses.Field[Any], at: tuple[str, ...]) -> Any:
        if typing.get_origin(kind) is dict:
            return self._named(value, typing.get_args(kind)[1], at)
        if dataclasses.is_dataclass(kind):
            if isinstance(value, dict):
                return self.section(value, typing.cast("type[Any]", kind), at)
            self.problems.append(
                f"{self._where(at)}{'.'.join(at)} is {value!r}, where a section [{'.'.join(at)}] belongs"
            )
            return None
        wrong = self._wrong(value, kind, field.metadata)
        if wrong:
            self.problems.append(f"{self._where(at)}{'.'.join(at)} = {value!r}: {wrong}")
            return None
        return float(value) if kind is float else value

    def _named(self, value: Any, kind: Any, at: tuple[str, ...]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        if not isinstance(value, dict):
            self.problems.append(f"{self._where(at)}{at[-1]} = {value!r}: write it as [{at[-1]}.NAME]")
            return out
        for name, table in value.items():
            if not isinstance(table, dict):
                self.problems.append(
                    f"{self._where((*at, name))}[{at[-1]}] has no key {name!r}: write it as [{at[-1]}.NAME]"
                )
            elif not NAME.fullmatch(name):
                self.problems.append(
                    f"{self._where((*at, name))}[{at[-1]}.{name}]: a name is small letters, digits, - and _"
                )
            else:
                out[name] = self.section(table, kind, (*at, name))
        return out

    @staticmethod
    def _wrong(value: Any, kind: Any, meta: types.MappingProxyType[Any, Any]) -> str | None:
        if not (type(value) is kind or (kind is float and type(value) is int)):
            return f"must be {TYPES[kind]}"
        if meta["one_of"] and value not in meta["one_of"]:
            return f"must be one of {', '.join(meta['one_of'])}"
        if meta["low"] is not None and value < meta["low"]:
            return f"must be at least {meta['low']}"
        if meta["high"] is not None and value > meta["high"]:
            return f"must be at most {meta['high']}"
        return meta["check"](value) if meta["check"] else None

    def _unknown(self, name: str, fields: dict[str, Any], at: tuple[str, ...]) -> None:
        import difflib

        near = difflib.get_close_matches(name, fields, 1, 0.6)
        place = f"[{'.'.join(at)}]" if at else "the file"
        says = f"did you mean {near[0]!r}?" if near else f"allowed are {', '.join(fields)}"
        self.problems.append(f"{self._where((*at, name))}{place} has no key {name!r}: {says}")

    def _where(self, at: tuple[str, ...]) -> str:
        """ "line 12: ", as near as the text tells: the key below its section's heading, else the heading."""
        heading, key_line = None, None
        inside = len(at) <= 1
        for number, line in enumerate(self.lines, 1):
            line = line.strip()
            if line.startswith("["):
                title = line.strip("[] \t").split("#")[0].strip().rstrip("]")
                inside = title == ".".join(at[:-1])
                if title == ".".join(at) or (inside and heading is None):
                    heading = number
                    if title == ".".join(at):
                        return f"line {number}: "
            elif inside and at and re.match(rf'"?{re.escape(at[-1])}"?\s*=', line):
                key_line = number
                break
        found = key_line or heading
        return f"line {found}: " if found else ""
