"""docs/configuration.md, made from the settings themselves by `make reference`."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from typing import Any

from config.box import Box
from config.cloud import CloudConfig
from config.devices import POS, PRINTERS
from config.load import TYPES
from config.models import Model

HEAD = """\
# Every setting

Made by `make reference` from what the programs themselves read; a test holds the two together.
`tillwire check-config FILE` tells whether a file is right, and what is wrong with it.
A key that is left out has its default. An unknown key is an error: it is told with the nearest one that exists.
"""
FILES = (
    ("agent.toml: one box", Box, "Read by `tillwire-relay` and `tillwire-agent`. Start from `config/agent.toml`."),
    ("cloud.toml: the cloud service", CloudConfig, "Read by `tillwire-cloud`. Start from `config/cloud.toml`."),
    ("config/printers/*.toml: a printer model", Model, "What a model can prove, and what it must not be asked."),
)


def markdown() -> str:
    lines = [HEAD, *(line for title, kind, about in FILES for line in _file(title, kind, about)), *_devices()]
    return "\n".join(lines).rstrip("\n") + "\n"


def _file(title: str, kind: type[Any], about: str) -> Iterator[str]:
    yield f"## {title}\n\n{about}\n"
    hints = typing.get_type_hints(kind)
    loose = [f for f in dataclasses.fields(kind) if hints[f.name] in TYPES]
    if loose:
        yield from _table(kind, loose)
    for field in dataclasses.fields(kind):
        of = hints[field.name]
        if typing.get_origin(of) is dict:
            inner, heading = typing.get_args(of)[1], f"[{field.name}.NAME]"
        elif dataclasses.is_dataclass(of):
            inner, heading = of, f"[{field.name}]"
        else:
            continue
        yield f"### `{heading}`\n\n{field.metadata['doc']}\n"
        yield from _table(typing.cast("type[Any]", inner), dataclasses.fields(inner))


def _table(kind: type[Any], fields: typing.Iterable[dataclasses.Field[Any]]) -> Iterator[str]:
    hints = typing.get_type_hints(kind)
    yield "| key | default | allowed | what it means |\n| --- | --- | --- | --- |"
    for field in fields:
        default = "needed" if field.default is dataclasses.MISSING else f"`{_toml(field.default)}`"
        doc = field.metadata["doc"].replace("|", "\\|")
        yield f"| `{field.name}` | {default} | {_allowed(hints[field.name], field.metadata)} | {doc} |"
    yield ""


def _devices() -> Iterator[str]:
    yield "## Devices\n\nWhat the `url` of a printer or a POS may be.\n"
    yield "| for | example | options behind `?`, joined with `&` |\n| --- | --- | --- |"
    for place, kinds in (("printer", PRINTERS), ("POS", POS)):
        for kind in kinds.values():
            options = ", ".join(f"`{name}`" for name in kind.options) or "none"
            yield f"| {place} | `{kind.example}` | {options} |"


def _allowed(kind: type[Any], meta: typing.Mapping[str, Any]) -> str:
    if meta["one_of"]:
        return ", ".join(f"`{value}`" for value in meta["one_of"])
    low, high = meta["low"], meta["high"]
    if low is not None and high is not None:
        return f"{low} to {high}"
    if low is not None:
        return f"{low} or more"
    return TYPES[kind]


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


if __name__ == "__main__":
    print(markdown(), end="")
