"""An order, as the slips that it is printed on: which items, where, how often. Pure.

No item is lost: what no part takes goes to the part that takes the rest ("*"), or the whole order's, or the first.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from cloud.rules import PartRule, Place, Routing
from wire.messages import OrderContent

MAIN = "main"


@dataclass(frozen=True, slots=True)
class Part:
    """What one printer prints of an order."""

    part: str
    label: str
    content: OrderContent
    whole: bool  # all items are on it
    place: Place
    copies: int
    instead: tuple[Place, ...]


def split(content: OrderContent, routing: Routing, place: Place = Place()) -> list[Part]:  # noqa: B008
    """-> the parts in the order of the rules. `place`: where the order itself says that it is to be printed; then it is
    one part, whatever the rules say."""
    rules = [r for r in routing.parts if not r.kinds or content.kind in r.kinds]
    if place.box or place.printer or not rules:
        return [Part(MAIN, "", content, True, place, 1, tuple(routing.instead))]
    taken = {name for r in rules for name in r.categories if name != "*"}
    wanted = [[_wants(r, item.category, taken) for item in content.items] for r in rules]
    homeless = [n for n in range(len(content.items)) if not any(row[n] for row in wanted)]
    for n in homeless:
        wanted[0][n] = True
    out = []
    for rule, row in zip(rules, wanted, strict=True):
        items = [item for item, mine in zip(content.items, row, strict=True) if mine]
        if not items:
            continue
        whole = len(items) == len(content.items)
        some = content if whole else msgspec.structs.replace(content, items=items, total=None)
        out.append(Part(rule.part, rule.label, some, whole, rule.place, rule.copies, tuple(rule.instead)))
    return out


def _wants(rule: PartRule, category: str, taken: set[str]) -> bool:
    if not rule.categories or category in rule.categories:
        return True
    return "*" in rule.categories and category not in taken
