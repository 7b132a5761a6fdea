"""Who decides about an order: a rule of the shop, or a person, who has so long. Pure but for the shop's time zones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from cloud.rules import Pace, Review, Rule, zone_of

REASONS = {  # code -> what a customer is told where the shop says nothing of its own
    "sold_out": "something that was ordered is sold out",
    "too_busy": "the kitchen has too much to do at the moment",
    "closed": "the shop is closed",
    "paused": "the shop takes no orders at the moment",
    "address": "the address is too far away, or cannot be found",
    "amount": "the amount of the order does not fit what the shop accepts",
    "unclear": "the shop cannot tell what is wanted",
    "duplicate": "the order came twice",
    "other": "the shop cannot take it now",
}
ANSWER_S = {"ubereats": 690}  # how long a platform waits before it cancels by itself: Uber Eats 11.5 minutes
LEAVES_S = 30  # we end our wait so long before theirs, so that our answer still counts


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules look at."""

    channel: str
    kind: str  # dine_in | takeaway | delivery
    amount: int | None  # minor units; None: unknown, and no condition on it holds
    load: int  # orders of the shop that are accepted and not yet served, or wait
    at_ms: int


@dataclass(frozen=True, slots=True)
class Decision:
    action: Literal["accept", "reject", "ask"]
    why: str  # for the history
    prep_min: int | None = None
    code: str = ""
    reason: str = ""  # for the customer


def decide(review: Review, pace: Pace, facts: Facts) -> Decision:
    """A pause first, then the first rule that fits, then: tables at once, all others by a person."""
    slowed = applies(pace, facts)
    if slowed and pace.mode == "paused":
        return Decision("reject", "the shop has paused", code="paused", reason=pace.text or REASONS["paused"])
    extra = pace.extra_min if slowed and pace.mode == "busy" else 0
    for number, rule in enumerate(review.rules, 1):
        if not fits(rule, review, facts):
            continue
        why = f"rule {number}"
        if rule.action == "reject":
            return Decision("reject", why, code=rule.code, reason=rule.reason or REASONS.get(rule.code, ""))
        if rule.action == "accept":
            prep = review.prep_min if rule.prep_min is None else rule.prep_min
            return Decision("accept", why, None if facts.kind == "dine_in" else prep + extra)
        return Decision("ask", why)
    if facts.kind == "dine_in" and not review.dine_in_reviewed:
        return Decision("accept", "ordered at a table")
    return Decision("ask", "waits for a person")


def applies(pace: Pace, facts: Facts) -> bool:
    """Does the shop's pace concern this order now?"""
    if pace.mode == "normal" or (pace.until_ms is not None and pace.until_ms <= facts.at_ms):
        return False
    return facts.channel in pace.channels if pace.channels else facts.kind != "dine_in"


def fits(rule: Rule, review: Review, facts: Facts) -> bool:
    if (rule.channels and facts.channel not in rule.channels) or (rule.kinds and facts.kind not in rule.kinds):
        return False
    for low, high, value in (
        (rule.amount_from, rule.amount_to, facts.amount),
        (rule.load_from, rule.load_to, facts.load),
    ):
        if (low is not None or high is not None) and value is None:
            return False
        if value is not None and ((low is not None and value < low) or (high is not None and value > high)):
            return False
    return _now(rule, datetime.fromtimestamp(facts.at_ms / 1000, UTC).astimezone(zone_of(review)))


def _now(rule: Rule, at: datetime) -> bool:
    """A time over midnight belongs to the day on which it begins."""
    day, clock = at.weekday(), f"{at:%H:%M}"
    if not rule.begins:
        return not rule.days or day in rule.days
    if rule.begins <= rule.ends:
        inside = rule.begins <= clock < rule.ends
    else:
        inside = clock >= rule.begins or clock < rule.ends
        if clock < rule.ends:
            day = (day - 1) % 7
    return inside and (not rule.days or day in rule.days)


def answer_s(review: Review, channel: str, otherwise_s: int) -> int:
    """Seconds that a person has for an order of this channel."""
    if channel in review.answer_s:
        return review.answer_s[channel]
    return ANSWER_S[channel] - LEAVES_S if channel in ANSWER_S else otherwise_s


def local(review: Review, at_ms: int) -> str:
    """A time as the shop's clock shows it, for its paper.

    >>> local(Review(zone="Europe/Berlin"), 1_763_800_200_000)
    '09:30'
    """
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone_of(review)):%H:%M}"
