"""What of a command the print path has to know: one number for each, looked up once per command."""

from __future__ import annotations

from typing import NamedTuple

from receipt.tokens import Command, Effect

ASKS, STATE, INIT, CUTS, REALTIME, STORES = 1, 2, 4, 8, 16, 32
NOTED = ASKS | STATE | INIT


class Note(NamedTuple):
    """A command that asks the printer something or changes its state, with its bytes."""

    command: Command
    kind: int
    raw: bytes
    end: int


class _Kinds(dict[Command, int]):
    def __missing__(self, command: Command) -> int:
        effect = command.effect
        kind = ASKS if effect & (Effect.QUERY | Effect.REALTIME) else 0
        if effect & Effect.INIT:
            kind |= INIT
        elif effect & Effect.STATE and not effect & Effect.STORES and not command.part:
            kind |= STATE
        if command.name == "star_raster_off":
            kind |= STATE  # it ends a mode that must not be set again
        if effect & Effect.CUTS:
            kind |= CUTS
        if effect & Effect.REALTIME:
            kind |= REALTIME
        if effect & Effect.STORES:
            kind |= STORES
        self[command] = kind
        return kind


KINDS = _Kinds()
