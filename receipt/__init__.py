"""What is on paper. Pure: bytes in, values out; no I/O, no clock, no settings, no threads.

`receipt.read(raw)` and the values it gives are loaded when first asked for: the relay needs only tokens and jobs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from receipt.paper import Line as Line
    from receipt.paper import Profile as Profile
    from receipt.reading import Reading as Reading
    from receipt.reading import read as read

_HOMES = {"read": "receipt.reading", "Reading": "receipt.reading", "Profile": "receipt.paper", "Line": "receipt.paper"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'receipt' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
