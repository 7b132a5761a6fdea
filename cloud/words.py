"""States in sentences, for people. One place, so that the page, the API and notices say the same."""

from __future__ import annotations

from typing import Any

from receipt.model import minor_digits
from wire.messages import OrderState, PrinterState

S = OrderState
ORDER = {
    S.SUBMITTED: "just arrived",
    S.REVIEW: "waits for you",
    S.ACCEPTED: "accepted – on its way to the box",
    S.QUEUED: "accepted – on its way to the box",
    S.SENT: "sent – the box has not answered yet",
    S.RECEIVED: "at the box – waits for the printer",
    S.PRINTING: "printing now",
    S.REPRINTING: "printing a copy now",
    S.REJECTED: "rejected",
    S.FAILED: "not printed",
    S.UNCONFIRMED: "maybe printed – look at the paper",
    S.CANCELLING: "being cancelled – asking the box",
    S.CANCELLED: "cancelled",
    S.EXPIRED: "not printed in time",
    S.CLOSED: "settled by a person",
}
PROOF = {
    "L1": "printed – the printer confirmed it",
    "L2": "printed – the printer confirmed it after printing",
    "L3": "printed – the printer's job list confirms it",
}
WITH_REASON = (S.REJECTED, S.FAILED, S.CANCELLED, S.EXPIRED)
SIGNS = {"EUR": "€", "USD": "$", "GBP": "£", "CNY": "¥", "JPY": "¥", "CHF": "CHF ", "KRW": "₩", "INR": "₹"}


ALERT = {  # what the page says in place of the box's own words; "": the page shows it elsewhere
    "new_order": "",
    "sound": "cannot make a sound – check its loudspeaker and sound card",
}


def alert(text: str) -> str:
    """ "kind:subject (state) text", as a box's status names an alert -> a sentence for the merchant, or "".

    >>> alert("printer:main (sounding) printer main: out of paper")
    'printer main: out of paper'
    """
    name, _, rest = text.partition(" (")
    says = rest.partition(") ")[2]
    return ALERT.get(name.partition(":")[0], says or text)


def order(state: str, proof: str, reason: str) -> str:
    if state == S.PRINTED:
        return PROOF.get(proof, "printed")
    words = ORDER.get(OrderState(state), state)
    return f"{words}: {reason}" if reason and state in WITH_REASON else words


def tone(state: str) -> str:
    """How a state feels: wait (act now), busy, good, bad, done."""
    if state == S.REVIEW:
        return "wait"
    if state == S.PRINTED:
        return "good"
    if state in (S.FAILED, S.UNCONFIRMED, S.EXPIRED):
        return "bad"
    return "done" if state in (S.REJECTED, S.CANCELLED, S.CLOSED) else "busy"


def printer(state: PrinterState) -> tuple[str, bool]:
    """-> (in words, whether it prints)."""
    if not state.connected:
        return "not connected", False
    if state.cover_open:
        return "cover is open", False
    if state.paper == "out":
        return "out of paper", False
    if state.error:
        return "error – look at the printer", False
    if state.online is False:
        return "offline – look at the printer", False
    if state.paper == "near":
        return "ready – paper is running low", True
    return ("ready", True) if state.online else ("connected", True)


def box(online: bool | None) -> str:
    return {None: "never connected yet", True: "connected", False: "not connected"}[online]


def money(amount: int | None, currency: str | None) -> str:
    """Minor units -> as people write it.

    >>> money(123456, "EUR"), money(500, "JPY"), money(250, None)
    ('€1,234.56', '¥500', '2.50')
    """
    if amount is None:
        return ""
    code = currency or ""
    digits = minor_digits(code)
    text = f"{abs(amount) / 10**digits:,.{digits}f}"
    return f"{'-' if amount < 0 else ''}{SIGNS.get(code, code + ' ' if code else '')}{text}"


def kind(name: str, table: str = "") -> str:
    words = {"dine_in": "Dine-in", "takeaway": "Takeaway", "delivery": "Delivery"}.get(name, name)
    return f"{words} · table {table}" if table else words


def item(value: dict[str, Any]) -> str:
    return f"{value.get('quantity', 1)} × {value.get('name', '')}"
