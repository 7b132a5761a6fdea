"""A message's payload as JSON, for people. Pure."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec

from wire import messages


def as_json(payload: bytes, leaf: str | None = None) -> str:
    """The message, checked against its kind; with no leaf, against each in turn. Raises ValueError where none fits."""
    if leaf is not None and leaf not in messages.BY_LEAF:
        raise ValueError(f"no topic leaf {leaf!r}: one of {', '.join(messages.BY_LEAF)}")
    try:
        messages.unpack(payload, "payload")
    except messages.BadMessage as error:
        raise ValueError(str(error)) from error
    problems = []
    for name in [leaf] if leaf else list(messages.BY_LEAF):
        try:
            message = messages.decode(name, payload)
        except messages.BadMessage as error:
            problems.append(str(error))
            continue
        value = msgspec.to_builtins(message, enc_hook=_plain, builtin_types=(bytes,))
        reading = getattr(message, "reading", None)
        if reading:
            try:
                value["reading"] = msgspec.to_builtins(messages.unpack_reading(reading), builtin_types=(bytes,))
            except messages.BadMessage as error:
                value["reading"] = {"damaged": error.problem}
        elif reading is not None:
            value.pop("reading", None)
        return json.dumps({"leaf": name} | value, indent=2, ensure_ascii=False, default=_plain)
    raise ValueError("; ".join(problems))


def _plain(value: Any) -> Any:
    if isinstance(value, msgspec.Raw):
        return None
    if isinstance(value, bytes):
        return value.hex() if len(value) <= 32 else base64.b64encode(value).decode()
    return str(value)
