"""Who may do what: passwords, sessions, API keys, and how often they may be tried.

Passwords: argon2id, m = 19 MiB, t = 2, p = 1 (OWASP ASVS 5.0). Keys and session cookies are 256 random bits, of which
the database keeps the SHA-256 alone.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from dataclasses import dataclass
from typing import Any

import argon2
import sqlalchemy as sa

from cloud.store.database import Store
from cloud.store.schema import api_keys, merchants, sessions, users
from wire.messages import now_ms, uuid7

ROLES = ("owner", "staff", "readonly")
SCOPES = ("orders:read", "orders:write", "receipts:read", "boxes:read", "events:read", "webhooks:write")
_hasher = argon2.PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
_nobody = _hasher.hash(secrets.token_hex(16))  # verified for names that do not exist: the same work, the same time
_one_by_one = threading.Semaphore(2)  # log-ins are dear on purpose: they must not take the machine


@dataclass(frozen=True, slots=True)
class Who:
    """The caller of a request. `name` is for histories: "key KEYID" or "user NAME"."""

    merchant: str
    name: str
    scopes: frozenset[str]
    role: str = ""
    csrf: str = ""
    id: str = ""
    merchant_name: str = ""


def hash_password(password: str) -> str:
    return _hasher.hash(password)


def log_in(store: Store, name: str, password: str, hours: int) -> tuple[str, Who] | None:
    """-> (the cookie's value, who), None for a wrong name or password: the answer does not tell which."""
    with store.read() as connection:
        row = connection.execute(sa.select(users).where(users.c.name == name.strip().lower())).first()
    with _one_by_one:
        try:
            _hasher.verify(row.password_hash if row else _nobody, password)
        except (argon2.exceptions.VerifyMismatchError, argon2.exceptions.InvalidHashError):
            return None
    if row is None:
        return None
    token, at = secrets.token_urlsafe(32), now_ms()
    csrf = secrets.token_urlsafe(32)
    with store.write() as connection:
        connection.execute(sa.delete(sessions).where(sessions.c.expires_at < at))
        connection.execute(
            sa.insert(sessions).values(
                token_hash=_digest(token),
                merchant_id=row.merchant_id,
                user_id=row.id,
                csrf=csrf,
                created_at=at,
                expires_at=at + hours * 3_600_000,
            )
        )
    return token, Who(row.merchant_id, f"user {row.name}", role_scopes(row.role), row.role, csrf, row.id)


def session(store: Store, token: str) -> Who | None:
    with store.read() as connection:
        row = connection.execute(
            sa.select(sessions.c.csrf, users, merchants.c.name.label("merchant_name"))
            .join(users, sa.and_(users.c.merchant_id == sessions.c.merchant_id, users.c.id == sessions.c.user_id))
            .join(merchants, merchants.c.id == sessions.c.merchant_id)
            .where(sessions.c.token_hash == _digest(token), sessions.c.expires_at > now_ms())
        ).first()
    if row is None:
        return None
    scopes = role_scopes(row.role)
    return Who(row.merchant_id, f"user {row.name}", scopes, row.role, row.csrf, row.id, row.merchant_name)


def right_password(store: Store, who: Who, password: str) -> bool:
    """Of the person whose session it is: asked again before their password changes."""
    with store.read() as connection:
        mine = (users.c.merchant_id == who.merchant, users.c.id == who.id)
        hashed = connection.execute(sa.select(users.c.password_hash).where(*mine)).scalar()
    with _one_by_one:
        try:
            return _hasher.verify(hashed or _nobody, password) and hashed is not None
        except (argon2.exceptions.VerifyMismatchError, argon2.exceptions.InvalidHashError):
            return False


def log_out(store: Store, token: str) -> None:
    with store.write() as connection:
        connection.execute(sa.delete(sessions).where(sessions.c.token_hash == _digest(token)))


def role_scopes(role: str) -> frozenset[str]:
    return frozenset(
        SCOPES if role == "owner" else SCOPES[:5] if role == "staff" else (s for s in SCOPES if "read" in s)
    )


def new_key(connection: sa.Connection, merchant: str, label: str = "", scopes: tuple[str, ...] = SCOPES) -> str:
    """-> the key, shown once."""
    key = f"tw_{secrets.token_urlsafe(32)}"
    connection.execute(
        sa.insert(api_keys).values(
            merchant_id=merchant,
            id=uuid7(),
            key_hash=_digest(key),
            label=label,
            scopes=" ".join(scopes),
            created_at=now_ms(),
        )
    )
    return key


def key_owner(store: Store, key: str) -> Who | None:
    with store.read() as connection:
        row = connection.execute(
            sa.select(api_keys.c.merchant_id, api_keys.c.id, api_keys.c.scopes).where(
                api_keys.c.key_hash == _digest(key), api_keys.c.revoked_at.is_(None)
            )
        ).first()
    return Who(row.merchant_id, f"key {row.id}", frozenset(row.scopes.split()), id=row.id) if row else None


def revoke_key(connection: sa.Connection, merchant: str, key_id: str) -> str | None:
    """-> its label; None: there is no such key of theirs."""
    mine = (api_keys.c.merchant_id == merchant, api_keys.c.id == key_id)
    revoked = sa.func.coalesce(api_keys.c.revoked_at, now_ms())
    return connection.execute(
        sa.update(api_keys).where(*mine).values(revoked_at=revoked).returning(api_keys.c.label)
    ).scalar()


def find_key(connection: sa.Connection, key: str) -> Any:
    """(merchant_id, id, label) of a key, by its id or by itself; None: there is none."""
    return connection.execute(
        sa.select(api_keys.c.merchant_id, api_keys.c.id, api_keys.c.label).where(
            sa.or_(api_keys.c.id == key, api_keys.c.key_hash == _digest(key))
        )
    ).first()


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


class Buckets:
    """Token buckets by name: `rate` per second, at most `burst` at once. In memory, of this process.

    take() -> 0.0 when it is allowed, else the seconds to wait.
    """

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst = rate, burst
        self._turn = threading.Lock()
        self._level: dict[str, tuple[float, float]] = {}

    def take(self, name: str, cost: float = 1) -> float:
        now = time.monotonic()
        with self._turn:
            if len(self._level) > 50_000:
                full = self.burst / self.rate
                self._level = {n: v for n, v in self._level.items() if now - v[1] < full}
            level, then = self._level.get(name, (self.burst, now))
            level = min(self.burst, level + (now - then) * self.rate)
            if level < cost:
                self._level[name] = (level, now)
                return (cost - level) / self.rate
            self._level[name] = (level - cost, now)
            return 0.0

    def give_back(self, name: str, cost: float = 1) -> None:
        with self._turn:
            if name in self._level:
                level, then = self._level[name]
                self._level[name] = (min(self.burst, level + cost), then)
