"""Channels: where orders come from, beside our own API. One file for each; its name is the channel's.

A channel turns what its platform sends into a Submission. What it is made of:

    SIGNED_BY                                     the header that carries the platform's signature
    verify(secret, headers, body) -> bool         is it theirs? In constant time
    read(headers, body) -> Submission             a new order
                         | Withdrawn              the platform does not want it any more
                         | None                   anything else. Raises NotAnOrder

To add one, copy woocommerce.py: cloud/api/channels.py gives it an address, and tests/cloud/test_channels.py holds
every file here to this contract.

The platform's id of the order is its external id, and orders are kept: a message that is recorded and played again,
next week or next year, is the same order, and prints nothing. The native API (/v1/orders) needs no file: it takes
Submissions as they are, signed by its API key.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from cloud.orders import Submission

NAME = re.compile(r"^[a-z0-9]{1,32}$")


class NotAnOrder(Exception):
    """A message of the platform that cannot be understood; the text says why."""


@dataclass(frozen=True, slots=True)
class Withdrawn:
    external_id: str
    reason: str  # for people


Message = Submission | Withdrawn | None


class Channel(Protocol):
    SIGNED_BY: str

    def verify(self, secret: str, headers: Mapping[str, str], body: bytes) -> bool: ...
    def read(self, headers: Mapping[str, str], body: bytes) -> Message: ...


def names() -> list[str]:
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if NAME.fullmatch(path.stem))


def channel(name: str) -> Channel | None:
    return cast(Channel, importlib.import_module(f"cloud.channels.{name}")) if name in names() else None
