"""Orders: who accepts what by itself, how long a person has, how busy the shop is; what would become of an order."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from cloud import channels, review, rules
from cloud.api.problem import Problem, not_found
from cloud.auth import Who
from cloud.console.desk import Desk
from cloud.console.filters import plain
from cloud.console.period import weekdays
from cloud.console.shop_rules import Chosen, Form, channels_of, chosen, in_order, pages, place_of
from cloud.review import ANSWER_S, REASONS
from cloud.rules import KINDS, Pace, Review, Rule
from cloud.strings import Strings
from cloud.words import channel, money
from wire.messages import now_ms

HOME = "/setup/orders"
MINUTE_MS = 60_000
ACTIONS = ("accept", "ask", "reject")


def routes(desk: Desk) -> list[Any]:
    """`do` of its forms: rule | up | down | remove | general | pace."""
    return pages(desk, HOME, "order_rules.html", _page, _changed)


def _page(connection: sa.Connection, who: Who, asked: dict[str, str], t: Strings) -> dict[str, Any]:
    shop = chosen(connection, who.merchant, asked.get("shop", ""))
    how = rules.load(connection, who.merchant, Review, shop.id)
    how.zone = shop.zone or how.zone
    pace = rules.load(connection, who.merchant, Pace, shop.id)
    n = asked.get("rule", "")
    number = place_of(n, how.rules)
    known = list(dict.fromkeys([*channels_of(connection, who.merchant), *channels.names(), *how.answer_s]))
    return {
        "shop": shop,
        "how": how,
        "pace": pace,
        "pace_left": max(0, (pace.until_ms - now_ms()) // MINUTE_MS) if pace.until_ms is not None else None,
        "said": [says(rule, how, shop.currency, t) for rule in how.rules],
        "number": number,
        "rule": how.rules[number] if number is not None else Rule("accept"),
        "editing": number is not None or n == "new",
        "channels": known,
        "kinds": KINDS,
        "actions": ACTIONS,
        "reasons": list(REASONS),
        "waits": {name: review.answer_s(how, name, 600) for name in known if name not in ("table",)},
        "platforms": ANSWER_S,
        "weekdays": weekdays(t),
        "money": plain,
        "trying": "try" in asked,
        "tried": _tried(how, pace, asked, shop.currency) if "try" in asked else None,
        "asked": {"channel": "", "kind": "", "day": "", "amount": "12.50", "load": "0"} | asked,
        "now": review.local(how, now_ms()),
    }


def says(rule: Rule, how: Review, currency: str, t: Strings) -> list[str]:
    """A rule's conditions, each in words."""
    out = [", ".join(channel(t, name) for name in rule.channels)] if rule.channels else []
    out += [", ".join(t(f"rules.kind.{kind}") for kind in rule.kinds)] if rule.kinds else []
    out += [", ".join(weekdays(t)[day] for day in rule.days)] if rule.days else []
    out += [f"{rule.begins} – {rule.ends}"] if rule.begins else []
    for key, amount in (("from", rule.amount_from), ("to", rule.amount_to)):
        out += [t(f"rules.says.{key}", value=money(amount, currency))] if amount is not None else []
    for key, load in (("from", rule.load_from), ("to", rule.load_to)):
        out += [t(f"rules.says.{key}", value=t("rules.says.open_orders", n=load))] if load is not None else []
    return out


def _tried(how: Review, pace: Pace, asked: dict[str, str], currency: str) -> review.Decision | None:
    """What would become of an order; None where the question cannot be understood."""
    form = Form(asked)
    try:
        hour, _, minute = asked.get("clock", "").partition(":")
        here = datetime.now(rules.zone_of(how))
        at = here.replace(hour=int(hour), minute=int(minute)) + timedelta(days=(int(asked["day"]) - here.weekday()) % 7)
        facts = review.Facts(
            asked.get("channel", ""),
            asked.get("kind", ""),
            form.money("amount", currency),
            form.number("load") or 0,
            int(at.timestamp() * 1000),
        )
    except (ValueError, KeyError, Problem):
        return None
    return review.decide(how, pace, facts)


def _changed(connection: sa.Connection, who: Who, form: Form, shop: Chosen) -> Review | Pace:
    do = form.text("do")
    if do == "pace":
        return _pace(form)
    old = rules.load(connection, who.merchant, Review, shop.id)
    old.zone = shop.zone or old.zone
    if do == "general":
        answers = {name: form.number(f"answer-{name}") for name in form.all("channel")}
        return msgspec.structs.replace(
            old,
            prep_min=form.number("prep_min") or 0,
            dine_in_reviewed=form.has("dine_in_reviewed"),
            answer_s={name: seconds * 60 for name, seconds in answers.items() if seconds},
        )
    return msgspec.structs.replace(old, rules=in_order(old.rules, form, "rule", lambda: _rule(form, shop.currency)))


def _rule(form: Form, currency: str) -> Rule:
    action = form.text("action")
    if action not in ACTIONS:
        raise not_found()
    return Rule(
        action,  # type: ignore[arg-type]
        channels=[name.lower() for name in form.all("channels")],
        kinds=form.all("kinds"),
        days=[int(day) for day in form.all("days") if day.isdecimal()],
        begins=form.text("begins"),
        ends=form.text("ends"),
        amount_from=form.money("amount_from", currency),
        amount_to=form.money("amount_to", currency),
        load_from=form.number("load_from"),
        load_to=form.number("load_to"),
        prep_min=form.number("prep_min") if action == "accept" else None,
        code=form.text("code") if action == "reject" else "",
        reason=form.text("reason", 200) if action == "reject" else "",
    )


def _pace(form: Form) -> Pace:
    mode, minutes, extra = form.text("mode"), form.number("minutes"), form.number("extra_min")
    if mode not in ("normal", "busy", "paused"):
        raise not_found()
    return Pace(
        mode,  # type: ignore[arg-type]
        until_ms=now_ms() + minutes * MINUTE_MS if minutes and mode != "normal" else None,
        extra_min=15 if extra is None else extra,
        channels=[name.lower() for name in form.all("channels")],
        text=form.text("text", 200),
    )
