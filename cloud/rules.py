"""What a shop decides about its orders, as it is stored: one value for each kind of rule, checked when it is saved.

    review    who accepts what by itself, how long a person has           (cloud/review.py decides by it)
    routing   which part of an order is printed where, and how often      (cloud/routing.py splits by it)
    slip      header, footer, logo                                        (receipt/slip.py prints it)
    pace      normal, busy, paused                                        (cloud/review.py too)

`shop` is "" for the merchant's only shop, and for each shop that has no rules of its own. For the console and the API:

    load(connection, merchant, Review, shop="") -> Review     the stored one, or the defaults
    save(connection, merchant, value, who, shop="")           raises BadRule, which names every problem
"""

from __future__ import annotations

import re
from typing import Any, Literal, TypeVar
from zoneinfo import ZoneInfo, available_timezones

import msgspec
import sqlalchemy as sa

from cloud import audit, events
from cloud.store.rules import rules
from cloud.strings import Said, said
from wire.messages import SlipStyle, now_ms
from wire.topics import is_box

KINDS = ("dine_in", "takeaway", "delivery")
MOST_RULES = 50
CLOCK = re.compile(r"^([01]\d|2[0-3]):[0-5]\d$")
NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,31}$")


class BadRule(Exception):
    """What was to be saved cannot hold; `problems` names each."""

    def __init__(self, problems: list[Said]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Rule(msgspec.Struct, omit_defaults=True):
    """The first rule whose every condition holds decides. An empty condition always holds."""

    action: Literal["accept", "reject", "ask"]
    channels: list[str] = []
    kinds: list[str] = []  # dine_in | takeaway | delivery
    days: list[int] = []  # 0 = Monday
    begins: str = ""  # HH:MM, the shop's time; begins after ends: over midnight
    ends: str = ""
    amount_from: int | None = None  # minor units
    amount_to: int | None = None
    load_from: int | None = None  # orders in the shop that are not finished
    load_to: int | None = None
    prep_min: int | None = None  # accept: promised minutes; None: Review.prep_min
    code: str = ""  # reject: one of cloud/review.py REASONS
    reason: str = ""  # reject: in the shop's own words; empty: the code's


class Review(msgspec.Struct, omit_defaults=True):
    """How orders are accepted."""

    rules: list[Rule] = []
    zone: str = "UTC"
    prep_min: int = 20
    answer_s: dict[str, int] = {}  # channel -> seconds a person has; else the channel's own, else the cloud's
    dine_in_reviewed: bool = False  # true: orders from tables wait for a person too


class Place(msgspec.Struct, array_like=True, frozen=True):
    """A printer of a box. Empty box: the merchant's first; empty printer: the box's first."""

    box: str = ""
    printer: str = ""


class PartRule(msgspec.Struct, omit_defaults=True):
    """What one printer prints of an order."""

    part: str  # kitchen, bar, front
    label: str = ""  # as it stands on the slip; empty: the part's name
    categories: list[str] = []  # of items; empty: the whole order; "*": what no other part takes
    kinds: list[str] = []  # only for these; empty: all
    place: Place = Place()
    copies: int = 1
    instead: list[Place] = []  # who takes over while `place` cannot print, in this order


class Routing(msgspec.Struct, omit_defaults=True):
    """Which part of an order is printed where. No parts: the whole order on the merchant's first printer."""

    parts: list[PartRule] = []
    instead: list[Place] = []  # for the whole order, where there are no parts
    move_after_s: int = 15  # a slip that no printer began by then moves on


class Pace(msgspec.Struct, omit_defaults=True):
    """How busy the shop is."""

    mode: Literal["normal", "busy", "paused"] = "normal"
    until_ms: int | None = None  # None: until somebody changes it
    extra_min: int = 15  # busy: added to every promised time
    channels: list[str] = []  # only for these; empty: all but tables
    text: str = ""  # paused: what customers are told


Value = Review | Routing | Pace | SlipStyle
T = TypeVar("T", Review, Routing, Pace, SlipStyle)
NAMES: dict[type[Any], str] = {Review: "review", Routing: "routing", Pace: "pace", SlipStyle: "slip"}


def load(connection: sa.Connection, merchant: str, kind: type[T], shop: str = "") -> T:
    found = connection.execute(
        sa.select(rules.c.value)
        .where(rules.c.merchant_id == merchant, rules.c.kind == NAMES[kind], rules.c.shop_id.in_(("", shop)))
        .order_by(rules.c.shop_id.desc())
        .limit(1)
    ).scalar()
    return kind() if found is None else msgspec.json.decode(found, type=kind, strict=False)


def save(connection: sa.Connection, merchant: str, value: Value, who: str, shop: str = "") -> None:
    """Raises BadRule."""
    if problems := check(value):
        raise BadRule(problems)
    name = NAMES[type(value)]
    mine = (rules.c.merchant_id == merchant, rules.c.shop_id == shop, rules.c.kind == name)
    text = events.to_json(value)
    values = {"value": text, "changed_at": now_ms(), "changed_by": who}
    if not connection.execute(sa.update(rules).where(*mine).values(**values)).rowcount:
        connection.execute(sa.insert(rules).values(merchant_id=merchant, shop_id=shop, kind=name, **values))
    shown = text if len(text) <= 500 else f"{len(text)} characters"
    audit.add(connection, merchant, who, f"rules.{name}", shop or "-", shown)
    events.add(connection, merchant, "rules.changed", name, {"shop": shop})


def check(value: Value) -> list[Said]:
    """Every problem of a value, in words; none: it may be saved."""
    if isinstance(value, Review):
        return _review(value)
    if isinstance(value, Routing):
        return _routing(value)
    if isinstance(value, Pace):
        return _pace(value)
    return style_problems(value)


def zone_of(review: Review) -> ZoneInfo:
    return ZoneInfo(review.zone)


def style_problems(style: SlipStyle) -> list[Said]:
    from receipt.logo import problem
    from receipt.slip_words import WORDS

    parts = {part: getattr(style, part) for part in ("header", "footer")}
    out = [
        said("rules.wrong.lines", part=said(f"rules.part.{part}")) for part, lines in parts.items() if len(lines) > 8
    ]
    out += [
        said("rules.wrong.line", part=said(f"rules.part.{part}"))
        for part, lines in parts.items()
        if any(len(line) > 100 for line in lines)
    ]
    if style.language and style.language.partition("-")[0] not in WORDS:
        out.append(said("rules.wrong.language", language=style.language, known=", ".join(WORDS)))
    wrong = problem(style.logo) if style.logo else ""
    return [*out, said("rules.wrong.logo", problem=wrong)] if wrong else out


def _review(value: Review) -> list[Said]:
    from cloud.review import REASONS

    out = [] if value.zone in available_timezones() else [said("rules.wrong.zone", zone=value.zone)]
    out += _range(said("rules.what.prep_min"), value.prep_min, 0, 480)
    for channel, seconds in value.answer_s.items():
        out += _name(said("rules.what.channel"), channel)
        out += _range(said("rules.what.answer_s", channel=channel), seconds, 30, 86_400)
    if len(value.rules) > MOST_RULES:
        out.append(said("rules.wrong.many_rules", n=len(value.rules), most=MOST_RULES))
    for number, rule in enumerate(value.rules, 1):
        mine = [p for c in rule.channels for p in _name(said("rules.what.channel"), c)] + _kinds(rule.kinds)
        mine += [said("rules.wrong.day", day=d) for d in rule.days if not 0 <= d <= 6]
        mine += [said("rules.wrong.time", time=t) for t in (rule.begins, rule.ends) if t and not CLOCK.match(t)]
        if bool(rule.begins) != bool(rule.ends):
            mine.append(said("rules.wrong.half"))
        if rule.prep_min is not None:
            mine += _range(said("rules.what.prep_min"), rule.prep_min, 0, 480)
        if rule.action == "reject" and rule.code not in REASONS:
            mine.append(said("rules.wrong.code", code=rule.code, known=", ".join(REASONS)))
        out += [said("rules.wrong.in_rule", number=number, problem=p) for p in mine]
    return out


def _routing(value: Routing) -> list[Said]:
    out = _range(said("rules.what.move_after_s"), value.move_after_s, 5, 600)
    if len(value.parts) > 20:
        out.append(said("rules.wrong.many_parts", n=len(value.parts), most=20))
    names = [rule.part for rule in value.parts]
    out += [said("rules.wrong.twice", part=name) for name in sorted({n for n in names if names.count(n) > 1})]
    for rule in value.parts:
        mine = _name(said("rules.what.part"), rule.part) + _kinds(rule.kinds)
        mine += _range(said("rules.what.copies"), rule.copies, 1, 5)
        mine += [] if len(rule.label) <= 20 else [said("rules.wrong.label")]
        mine += [said("rules.wrong.category")] if any(len(c) > 60 for c in rule.categories) else []
        mine += _places([rule.place, *rule.instead])
        out += [said("rules.wrong.in_part", part=rule.part, problem=p) for p in mine]
    return out + _places(value.instead)


def _pace(value: Pace) -> list[Said]:
    out = [p for c in value.channels for p in _name(said("rules.what.channel"), c)]
    out += _range(said("rules.what.extra_min"), value.extra_min, 0, 480)
    return out if len(value.text) <= 200 else [*out, said("rules.wrong.text")]


def _places(places: list[Place]) -> list[Said]:
    out = [said("rules.wrong.box", box=p.box) for p in places if p.box and not is_box(p.box)]
    return [*out, said("rules.wrong.many_places")] if len(places) > 6 else out


def _kinds(kinds: list[str]) -> list[Said]:
    return [said("rules.wrong.kind", kind=kind, known=", ".join(KINDS)) for kind in kinds if kind not in KINDS]


def _name(what: Said, value: str) -> list[Said]:
    return [] if NAME.match(value) else [said("rules.wrong.name", what=what, value=value)]


def _range(what: Said, value: int, low: int, high: int) -> list[Said]:
    return [] if low <= value <= high else [said("rules.wrong.range", what=what, value=value, low=low, high=high)]
