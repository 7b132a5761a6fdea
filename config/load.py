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
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

S = TypeVar("S")
Check = Callable[[Any], str | None]  # -> what is wrong with the value, or None
Problem = tuple[tuple[str, ...], str]  # where (section ..., key), what is wrong there
NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,31}$")
TYPES = {str: "a text in quotes", int: "a whole number", float: "a number", bool: "true or false"}


def shown(value: object) -> str:
    """As it is told to people, and stands in logs: without the password of an address.

    >>> shown("postgresql://till:secret@db/x"), shown(7)
    ("'postgresql://till:***@db/x'", '7')
    """
    return re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:***@", repr(value))


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


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """ "did you mean 'this'?", or "" where nothing is like it."""
    import difflib  # only wrong files pay for it

    near = difflib.get_close_matches(word, list(words), 1, 0.5)
    return f"did you mean {near[0]!r}?" if near else ""


def load(path: str | Path, schema: type[S], also: Callable[[S], list[Problem]] | None = None) -> S:
    """The file as a `schema`. `also` looks for problems between sections.

    Raises ConfigError, with all problems found, where the file cannot be read or used.
    """
    path = Path(path)
    hint = f"Correct the file; `tillwire check-config {path}` tells whether it is right. config/*.toml lists every key."
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8-sig")  # editors on Windows put a mark in front
    except FileNotFoundError:
        raise ConfigError(str(path), ["there is no such file"], hint) from None
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        says = f"line {line}: byte {raw[error.start]:#04x} is not UTF-8: save the file as UTF-8"
        raise ConfigError(str(path), [says], hint) from error
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be read: {error.strerror}"], hint) from error
    try:
        tree = tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(path), [_not_toml(text, str(error))], hint) from error
    reader = _Reader(text)
    value: S = reader.section(tree, schema, ())
    problems = reader.problems
    if also and not problems:
        problems = [reader.told(at, says) for at, says in also(value)]
    if problems:
        raise ConfigError(str(path), sorted(problems, key=_line_of), hint)
    return value


def _line_of(problem: str) -> int:
    found = re.match(r"line (\d+): ", problem)
    return int(found[1]) if found else 0


def _not_toml(text: str, error: str) -> str:
    """What a person most likely did, from the line that the parser stopped at."""
    found = re.search(r"at line (\d+)", error)
    lines = text.splitlines()
    number = int(found[1]) if found else len(lines)
    line = lines[number - 1].strip() if 0 < number <= len(lines) else ""
    what = error.split(" (at ")[0]
    name, equals, value = (part.strip() for part in line.partition("="))
    if re.search("[\u201c\u201d\u2018\u2019\u201e]", line):
        cure = 'these quotes are typographic: write plain " "'
    elif "Cannot overwrite" in error:
        cure = "this stands twice in the file: keep one of them"
    elif "Cannot declare" in error:
        cure = "this section stands twice in the file: put its keys together under one heading"
    elif line.startswith("[") and not line.endswith("]"):
        cure = "a section's heading ends with ]"
    elif not equals:
        cure = "write KEY = VALUE, [SECTION], or begin the line with # where it is a remark"
    elif "\\" in value and value.startswith('"'):
        cure = "a \\ in a text in quotes begins an escape: write / in paths, or single quotes around it"
    elif value.lower() in ("true", "false", "yes", "no", "on", "off"):
        cure = "write true or false, in small letters and without quotes"
    elif value and value[0] not in "\"'0123456789+-[{tf":
        cure = f'texts stand in quotes: {name} = "{value}"'
    elif value[:1] in ('"', "'") and value.count(value[0]) % 2:
        cure = "a quote is missing at the end of the text"
    else:
        cure = "write KEY = VALUE: texts in quotes, numbers and true or false without"
    return f"line {number}: {line!r} is not TOML ({what}): {cure}"


class _Reader:
    def __init__(self, text: str) -> None:
        self.places = _places(text)
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
            self.problems.append(f"{self._where(at)}{'.'.join(at)} = {shown(value)}: {wrong}")
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
        place = f"[{'.'.join(at)}]" if at else "the file"
        says = did_you_mean(name, fields) or f"allowed are {', '.join(fields)}"
        self.problems.append(f"{self._where((*at, name))}{place} has no key {name!r}: {says}")

    def _where(self, at: tuple[str, ...]) -> str:
        """ "line 12: ", as near as the text tells: the key, else its section's heading."""
        while at:
            if at in self.places:
                return f"line {self.places[at]}: "
            at = at[:-1]
        return ""


def _places(text: str) -> dict[tuple[str, ...], int]:
    """Path of each section and key -> its line. Of what stands over several lines, the first."""
    places: dict[tuple[str, ...], int] = {}
    section: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        heading = re.match(r"\s*\[+([^\]]+)\]", line)
        name = re.match(r"""\s*("[^"]*"|'[^']*'|[\w.-]+)\s*=""", line)
        if heading:
            section = _names(heading[1])
            for depth in range(1, len(section) + 1):
                places.setdefault(section[:depth], number)
        elif name:
            places.setdefault((*section, *_names(name[1])), number)
    return places


def _names(dotted: str) -> tuple[str, ...]:
    """a."b c".d -> ("a", "b c", "d")"""
    return tuple(part.strip(" \t\"'") for part in re.findall(r""""[^"]*"|'[^']*'|[^.]+""", dotted))
