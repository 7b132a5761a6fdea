"""One line of an item list, taken apart: the values only; `columns.py` does it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Parts:
    """What one line says. Amounts and quantities in ten-thousandths."""

    name: str = ""
    lead: int | None = None  # a number before the name: quantity, line number, or part of a code
    lead_name: str = ""  # the name without it
    weak: int | None = None  # a whole number alone before the amount: perhaps the quantity
    weak_name: str = ""  # the name without it
    quantity: int | None = None  # proved by multiplication, or marked by a sign
    price: int | None = None
    amount: int | None = None
    unit: str | None = None
    code: str | None = None
    each: bool = False  # a multiplication sign stands between the quantity and the amount

    @property
    def numeric(self) -> bool:
        """Nothing but numbers."""
        return not self.name
