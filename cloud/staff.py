"""The shop's own people are told when an alarm stands: by WeChat, SMS or e-mail, through the senders of its notices.

Where nobody looks at the console and the box cannot be heard, this is the last way. An alarm that stands for `after_s`
is told once, and once more when it was cleared and raised again; what comes within TOGETHER_MS goes in one message.
Functions of a connection that is in a transaction; nothing here commits.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from cloud import events, fronts, senders, strings, words
from cloud.ids import ordered
from cloud.store.counter import notices, staff
from cloud.store.schema import alarms
from wire.messages import now_ms

KINDS = (
    "order_waiting", "order_failed", "order_unconfirmed", "order_expired", "notice", "box_alert", "lost", "clone",
    "conflict", "order_stop",
)  # fmt: skip
AFTER_S = (0, 60, 300, 900)  # what an owner may choose
TOGETHER_MS = 60_000
MOST = 5  # alarms that one message names
STATE = "staff"  # what these notices tell, beside the states of orders
ALARM = "staff"


def of(connection: sa.Connection, merchant: str) -> Any:
    """Their row; None where nobody is told."""
    return connection.execute(sa.select(staff).where(staff.c.merchant_id == merchant)).first()


def save(
    connection: sa.Connection, merchant: str, phone: str, email: str, wechat: str, language: str, after_s: int
) -> None:
    """Alarms that stand already are not told. All three empty: nobody is told any more."""
    connection.execute(sa.delete(staff).where(staff.c.merchant_id == merchant))
    events.clear_alarm(connection, merchant, ALARM, "")
    if phone or email or wechat:
        connection.execute(
            sa.insert(staff).values(
                merchant_id=merchant, phone=phone, email=email, wechat=wechat, language=language,
                after_s=after_s if after_s in AFTER_S else 0, changed_at=now_ms(),
            )
        )  # fmt: skip


def due(connection: sa.Connection) -> list[str]:
    """Merchants of whom somebody is to be told now."""
    at = now_ms()
    waiting = (
        sa.select(staff.c.merchant_id)
        .join(alarms, alarms.c.merchant_id == staff.c.merchant_id)
        .where(staff.c.told_at <= at - TOGETHER_MS, *_untold(at))
        .distinct()
        .limit(200)
    )
    return [str(row[0]) for row in connection.execute(waiting)]


def tell(connection: sa.Connection, merchant: str, base: str) -> bool:
    """What stands and was not told becomes one message. -> whether there was something."""
    at = now_ms()
    row = connection.execute(sa.select(staff).where(staff.c.merchant_id == merchant).with_for_update()).first()
    if row is None or row.told_at > at - TOGETHER_MS:
        return False
    found = connection.execute(
        sa.select(alarms)
        .join(staff, staff.c.merchant_id == alarms.c.merchant_id)
        .where(alarms.c.merchant_id == merchant, *_untold(at))
        .order_by(alarms.c.first_at)
    ).all()
    if not found:
        return False
    t = strings.strings(row.language if row.language in strings.languages() else strings.FIRST)
    said = [words.alarm(t, a.kind, a.object, a.text) for a in found[:MOST]]
    if len(found) > MOST:
        said.append(t("counter.staff.more", n=len(found) - MOST))
    _write(connection, row, t, "\n".join([*said, f"{base}/"]))
    for alarm in found:
        mine = (alarms.c.merchant_id == merchant, alarms.c.kind == alarm.kind, alarms.c.object == alarm.object)
        connection.execute(sa.update(alarms).where(*mine).values(told_at=at))
    connection.execute(sa.update(staff).where(staff.c.merchant_id == merchant).values(told_at=at))
    return True


def test(connection: sa.Connection, merchant: str) -> bool:
    """-> False where nobody is told."""
    row = of(connection, merchant)
    if row is not None:
        t = strings.strings(row.language if row.language in strings.languages() else strings.FIRST)
        _write(connection, row, t, t("counter.staff.test_text"))
    return row is not None


def failed(connection: sa.Connection, row: Any, problem: str) -> None:
    """A message to them does not go out: that is shown, and told to nobody."""
    text = f"Your staff could not be told by {row.way}: {problem}"
    events.raise_alarm(connection, row.merchant_id, ALARM, "", text[:500])


def _untold(at: int) -> list[sa.ColumnElement[bool]]:
    stood = sa.cast(staff.c.after_s, sa.BigInteger) * 1000  # PostgreSQL would take `at` for a small number too
    return [
        alarms.c.cleared_at.is_(None),
        alarms.c.kind.in_(KINDS),
        alarms.c.first_at >= staff.c.changed_at,
        alarms.c.first_at <= at - stood,
        sa.or_(alarms.c.told_at.is_(None), alarms.c.told_at < alarms.c.first_at),
    ]


def _write(connection: sa.Connection, row: Any, t: strings.Strings, body: str) -> None:
    shop = fronts.ensure(connection, row.merchant_id).name
    wanted = {"wechat": row.wechat, "sms": row.phone, "email": row.email}
    title, about = t("counter.staff.title", shop=shop), f"staff {ordered()}"
    body = f"{shop}: {body}"[:600]
    senders.write(connection, row.merchant_id, about, STATE, wanted, title[:120], body, missed=True)
    nobody = sa.select(notices).where(notices.c.merchant_id == row.merchant_id, notices.c.order_id == about)
    rows = connection.execute(nobody).all()
    if all(n.state == "failed" for n in rows):
        failed(connection, rows[0], rows[0].problem)
