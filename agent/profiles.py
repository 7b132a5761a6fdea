"""What is known of a printer, for the child that reads its paper: receipt.paper.Profile as one line of JSON, and back.

Only a model that the settings or the printer itself name says something; what nobody knows is recognised in the bytes.
"""

from __future__ import annotations

import functools
import json
import logging
from typing import TYPE_CHECKING

from config.load import ConfigError
from config.models import Model, find_model, load_model

if TYPE_CHECKING:
    from receipt import Profile

log = logging.getLogger("tillwire.agent")

_UNKNOWN = ("", "auto", "generic")
_DOUBLE = {"big5": "big5", "shift_jis": "cp932", "euc_kr": "cp949"}  # GBK is every model's default: recognised


@functools.lru_cache(64)
def packed(*models: str) -> bytes:
    """Of the first of these models that a file of config/printers names; b"" where none does."""
    for name in models:
        if name.strip().lower() in _UNKNOWN:
            continue
        try:
            found = find_model(name)
            return pack(found[1] if found else load_model(name))
        except (ConfigError, OSError) as error:
            log.info("printer model %r is not known: %s", name, error)
    return b""


def pack(model: Model) -> bytes:
    """
    >>> unpack(pack(Model(name="x", columns=42, dots=504, double="big5"))).double_byte
    'big5'
    """
    known = {
        "name": model.name,
        "dialect": model.dialect,
        "columns": model.columns,
        "dots": model.dots,
        "double_byte": _DOUBLE.get(model.double),
    }
    return json.dumps(known, separators=(",", ":")).encode()


def on_day(profile: bytes, day: str) -> bytes:
    """The same, with the day on which the job was printed (YYYY-MM-DD)."""
    return json.dumps((json.loads(profile) if profile else {}) | {"day": day}, separators=(",", ":")).encode()


def unpack(data: bytes) -> Profile | None:
    """None for b""."""
    if not data:
        return None
    from receipt import Profile
    from receipt.tokens import Dialect

    known = json.loads(data)
    return Profile(**known | {"dialect": Dialect(known.get("dialect", "auto"))})
