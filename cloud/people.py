"""The people of a merchant: who logs in, and as what. An owner is always left."""

from __future__ import annotations

import re
import secrets
from typing import Any

import sqlalchemy as sa

from cloud import audit, auth
from cloud.store.schema import sessions, users
from wire.messages import now_ms, uuid7

NAME = re.compile(r"^[^\s\x00-\x1f\x7f-\x9f]{1,64}$")
MOST = 200
LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # none that is taken for another


class Refused(Exception):
    """`reason` is a word for a program; the text says what is wrong."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def made_up_password() -> str:
    """100 bits that can be read out: `k7mwp-…`."""
    return "-".join("".join(secrets.choice(LETTERS) for _ in range(5)) for _ in range(4))


def check_password(password: str) -> None:
    if not 8 <= len(password) <= 1000:
        raise Refused("password", "a password has 8 to 1000 characters")


def add(connection: sa.Connection, merchant: str, name: str, password_hash: str, role: str, who: str) -> str:
    """-> the user's id. `password_hash` was made before: that is slow on purpose. Raises Refused."""
    name = name.strip().lower()
    if not NAME.fullmatch(name):
        raise Refused("name", "a user name is 1 to 64 characters without spaces")
    _role(role)
    if connection.execute(sa.select(users.c.id).where(users.c.name == name)).first():
        raise Refused("taken", f"the user name {name!r} is taken")
    if (connection.execute(_count(merchant)).scalar() or 0) >= MOST:
        raise Refused("many", f"at most {MOST} people: remove one first")
    user_id = uuid7()
    row = {"merchant_id": merchant, "id": user_id, "name": name, "password_hash": password_hash, "role": role}
    connection.execute(sa.insert(users).values(**row, created_at=now_ms()))
    audit.add(connection, merchant, who, "user.add", user_id, f"{name} {role}")
    return user_id


def listed(connection: sa.Connection, merchant: str) -> list[Any]:
    columns = (users.c.id, users.c.name, users.c.role, users.c.created_at)
    return list(connection.execute(sa.select(*columns).where(users.c.merchant_id == merchant).order_by(users.c.name)))


def set_role(connection: sa.Connection, merchant: str, user_id: str, role: str, who: str) -> bool:
    """False: there is no such person. They log in again. Raises Refused."""
    row = _one(connection, merchant, user_id)
    if row is None:
        return False
    _role(role)
    if row.role == "owner" and role != "owner":
        _another_owner(connection, merchant)
    connection.execute(sa.update(users).where(*_mine(merchant, user_id)).values(role=role))
    _log_out(connection, merchant, user_id)
    audit.add(connection, merchant, who, "user.role", user_id, f"{row.name} {role}")
    return True


def remove(connection: sa.Connection, merchant: str, user_id: str, who: str) -> bool:
    row = _one(connection, merchant, user_id)
    if row is None:
        return False
    if row.role == "owner":
        _another_owner(connection, merchant)
    connection.execute(sa.delete(users).where(*_mine(merchant, user_id)))
    _log_out(connection, merchant, user_id)
    audit.add(connection, merchant, who, "user.remove", user_id, row.name)
    return True


def set_password(connection: sa.Connection, merchant: str, user_id: str, password_hash: str, who: str) -> bool:
    """Every session of theirs ends."""
    row = _one(connection, merchant, user_id)
    if row is None:
        return False
    connection.execute(sa.update(users).where(*_mine(merchant, user_id)).values(password_hash=password_hash))
    _log_out(connection, merchant, user_id)
    audit.add(connection, merchant, who, "user.password", user_id, row.name)
    return True


def _role(role: str) -> None:
    if role not in auth.ROLES:
        raise Refused("role", f"a role is one of {', '.join(auth.ROLES)}")


def _one(connection: sa.Connection, merchant: str, user_id: str) -> Any:
    return connection.execute(sa.select(users).where(*_mine(merchant, user_id)).with_for_update()).first()


def _another_owner(connection: sa.Connection, merchant: str) -> None:
    owners = connection.execute(
        sa.select(users.c.id).where(users.c.merchant_id == merchant, users.c.role == "owner").with_for_update()
    ).all()
    if len(owners) < 2:
        raise Refused("last-owner", "someone must be the owner: make another person one first")


def _log_out(connection: sa.Connection, merchant: str, user_id: str) -> None:
    connection.execute(sa.delete(sessions).where(sessions.c.merchant_id == merchant, sessions.c.user_id == user_id))


def _mine(merchant: str, user_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return users.c.merchant_id == merchant, users.c.id == user_id


def _count(merchant: str) -> sa.Select[int]:
    return sa.select(sa.func.count()).select_from(users).where(users.c.merchant_id == merchant)
