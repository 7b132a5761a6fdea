"""What the receipts of one printer have in common: the order of day and month, learned from dates that allow only one.

Pure. The reading child keeps one `Habits` for its printer, and passes `date_order` on in the next job's Profile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from receipt.model import Receipt
from receipt.rules.date import ORDERS

_REMEMBERED: Final = 200  # receipts
_LEAST: Final = 3  # of them must show an order
_MOST_AGAINST: Final = 20  # one in so many may show another


class Habits:
    """Learns from readings, in the order in which they were printed."""

    def __init__(self) -> None:
        self._shown: deque[str] = deque(maxlen=_REMEMBERED)

    def learn(self, receipts: Iterable[Receipt]) -> None:
        """Dates whose order is certain count; those that were read by habit do not, or a wrong one would stay."""
        for receipt in receipts:
            finding = receipt.findings.get("date")
            if finding is None:
                continue
            for order in ORDERS:
                if finding.rule.endswith(order.replace("_", " ")):
                    self._shown.append(order)

    @property
    def date_order(self) -> str | None:
        """day_first, month_first or year_first; None as long as there is too little to go by."""
        if len(self._shown) < _LEAST:
            return None
        best = max(ORDERS, key=self._shown.count)
        against = len(self._shown) - self._shown.count(best)
        return best if against * _MOST_AGAINST <= len(self._shown) else None
