"""States in sentences, for people, in their language. One place, so that the page, the API and notices say the same.

`t` are the strings of a language (cloud/strings.py); the sentences stand in locales/LANGUAGE/states.toml.
"""

from __future__ import annotations

import re

from cloud.review import REASONS
from cloud.steps import STOPPED
from cloud.strings import FIRST, Strings
from receipt.model import minor_digits
from wire.messages import OrderState, PrinterState

S = OrderState
WITH_REASON = (S.REJECTED, S.FAILED, S.CANCELLED, S.EXPIRED)
SIGNS = {"EUR": "€", "USD": "$", "GBP": "£", "CNY": "¥", "JPY": "¥", "CHF": "CHF ", "KRW": "₩", "INR": "₹"}
SHOWN_ELSEWHERE = ("new_order", "printer")  # alerts of a box that the page shows as an order, as a printer


def alert(t: Strings, text: str) -> str:
    """ "kind:subject (state) text", as a box's status names an alert -> a sentence for the merchant, or "".

    Boxes speak English, and more exactly than we can: their own words, where they are understood.
    """
    name, _, rest = text.partition(" (")
    kind = name.partition(":")[0]
    key = f"states.alert.{kind}"
    if kind in SHOWN_ELSEWHERE:
        return ""
    if key in t and (t.lang != FIRST or kind == "sound"):
        return t(key)
    return rest.partition(") ")[2] or text


def alarm(t: Strings, kind: str, about: str, text: str) -> str:
    """An alarm of the cloud; `text` is what it says in English."""
    key = f"states.alarm.{kind}"
    if t.lang == FIRST or key not in t:
        return text
    number = re.match(r"Order (\S+)", text)
    return t(key, number=number[1] if number else about, object=about)


def order(t: Strings, state: str, proof: str = "", reason: str = "", code: str = "") -> str:
    if code == STOPPED and state == S.PRINTED:
        return t("states.order.stopped")
    if state == S.PRINTED:
        key = f"states.proof.{proof.lower()}"
        return t(key if key in t else "states.order.printed")
    said = t(f"states.order.{state}") if f"states.order.{state}" in t else state
    if not reason or state not in WITH_REASON:
        return said
    return t("states.because", what=said, why=because(t, reason, code))


def because(t: Strings, reason: str, code: str) -> str:
    """Why an order was rejected: the shop's own words, or those of the code in the reader's language."""
    return t(f"states.reject.{code}") if t.lang != FIRST and code and reason == REASONS.get(code) else reason


def tone(state: str, code: str = "") -> str:
    """How a state feels: wait (act now), busy, good, bad, done."""
    if code == STOPPED:
        return "done"
    if state == S.REVIEW:
        return "wait"
    if state == S.PRINTED:
        return "good"
    if state in (S.FAILED, S.UNCONFIRMED, S.EXPIRED):
        return "bad"
    return "done" if state in (S.REJECTED, S.CANCELLED, S.CLOSED) else "busy"


def printer(state: PrinterState) -> tuple[str, bool]:
    """-> (a word of states.printer, whether it prints)."""
    if not state.connected:
        return "gone", False
    if state.cover_open:
        return "cover_open", False
    if state.paper == "out":
        return "paper_out", False
    if state.error:
        return "error", False
    if state.online is False:
        return "offline", False
    if state.paper == "near":
        return "paper_low", True
    return ("ready", True) if state.online else ("connected", True)


def box(t: Strings, online: bool | None) -> str:
    return t({None: "states.box.never", True: "states.box.on", False: "states.box.off"}[online])


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


def channel(t: Strings, name: str) -> str:
    """Where an order comes from: our own ways in words, platforms by their names."""
    key = f"rules.channel.{name}"
    return t(key) if key in t else name


def kind(t: Strings, name: str, table: str = "") -> str:
    key = f"states.kind.{name}"
    said = t(key) if key in t else name
    return t("states.at_table", kind=said, table=table) if table else said
