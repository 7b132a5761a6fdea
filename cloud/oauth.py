"""OAuth 2.0: a merchant lets an ordering platform in, without giving away a password.

Authorisation code with PKCE (S256, always) and nothing else: no implicit grant, no password grant. Redirect addresses
are compared whole. Codes, access and refresh tokens are 256 random bits, of which the database keeps the SHA-256. A
refresh token is good once; one that comes again (but for LEEWAY_MS: an answer can get lost) was stolen, and so was a
code that comes again: the whole grant ends.

Source: RFC 6749, RFC 7636 (PKCE), RFC 7009 (revocation), RFC 9207 (iss), RFC 9700 (best current practice).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import sqlalchemy as sa

from cloud import audit
from cloud.auth import SCOPES, Who
from cloud.store.access import oauth_clients, oauth_codes, oauth_grants, oauth_tokens
from cloud.store.database import Store
from wire.messages import now_ms, uuid7

CODE_MS = 120_000
ACCESS_MS = 3_600_000
REFRESH_MS = 90 * 86_400_000
LEEWAY_MS = 10_000
ACCESS, REFRESH = "twa_", "twr_"
VERIFIER = re.compile(r"^[A-Za-z0-9._~-]{43,128}$")
CHALLENGE = re.compile(r"^[A-Za-z0-9_-]{43}$")
PRIVATE_SCHEME = re.compile(r"^[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+$")  # an app's own: a domain turned round, RFC 8252


class Denied(Exception):
    """An OAuth error: `error` is one of RFC 6749's words, the text is for the platform's developer."""

    def __init__(self, error: str, text: str) -> None:
        super().__init__(text)
        self.error = error


class Unsafe(Exception):
    """A request that is not even answered at the platform's address: its program or address is not known."""


@dataclass(frozen=True, slots=True)
class Client:
    id: str
    name: str
    merchant: str | None
    redirect_uris: tuple[str, ...]
    secret_hash: bytes | None


@dataclass(frozen=True, slots=True)
class Wish:
    """What a platform asks a merchant for, checked."""

    client: Client
    redirect_uri: str
    scopes: tuple[str, ...]
    challenge: str
    state: str


@dataclass(frozen=True, slots=True)
class Tokens:
    access: str
    refresh: str
    scopes: str
    expires_s: int = ACCESS_MS // 1000


# ---- programs


def check_redirect(uri: str) -> str:
    """-> what is wrong with a redirect address, or ""."""
    try:
        parts = urlsplit(uri)
        host = parts.hostname
    except ValueError:
        return "this is no URL"
    if not uri.isascii() or any(c.isspace() or ord(c) < 33 for c in uri) or len(uri) > 500 or "#" in uri:
        return "a redirect address has at most 500 characters, no spaces and no #"
    if parts.username is not None or parts.password is not None:
        return "a redirect address has no user name"
    if (parts.scheme == "https" and host) or PRIVATE_SCHEME.fullmatch(parts.scheme):
        return ""
    if parts.scheme == "http" and host in ("127.0.0.1", "::1", "localhost"):
        return ""
    return "only https://, http:// on loopback, or an app's own scheme like com.example.app:/"


def add_client(
    connection: sa.Connection, name: str, redirect_uris: list[str], *, public: bool, merchant: str | None, who: str
) -> tuple[str, str]:
    """-> (client id, secret; "" for a public one). Raises ValueError."""
    name = name.strip()
    if not name or len(name) > 80 or not name.isprintable():
        raise ValueError("a program's name is 1 to 80 printable characters")
    if not redirect_uris or len(redirect_uris) > 10:
        raise ValueError("give one to ten redirect addresses")
    for uri in redirect_uris:
        if problem := check_redirect(uri):
            raise ValueError(f"{uri}: {problem}")
    client_id, secret = f"app_{secrets.token_hex(12)}", "" if public else secrets.token_urlsafe(32)
    connection.execute(
        sa.insert(oauth_clients).values(
            id=client_id,
            merchant_id=merchant,
            name=name,
            redirect_uris=" ".join(redirect_uris),
            secret_hash=_digest(secret) if secret else None,
            created_at=now_ms(),
        )
    )
    audit.add(connection, merchant, who, "client.add", client_id, name)
    return client_id, secret


def revoke_client(connection: sa.Connection, client_id: str, merchant: str | None, who: str) -> bool:
    """`merchant`: only where it is their own; None: the operator. Its grants end with it."""
    mine = [oauth_clients.c.id == client_id, oauth_clients.c.revoked_at.is_(None)]
    if merchant is not None:
        mine.append(oauth_clients.c.merchant_id == merchant)
    at = now_ms()
    row = connection.execute(
        sa.update(oauth_clients).where(*mine).values(revoked_at=at).returning(oauth_clients.c.merchant_id)
    ).first()
    if row is None:
        return False
    held = (oauth_grants.c.client_id == client_id, oauth_grants.c.revoked_at.is_(None))
    connection.execute(sa.update(oauth_grants).where(*held).values(revoked_at=at))
    audit.add(connection, row.merchant_id, who, "client.revoke", client_id)
    return True


def client(connection: sa.Connection, client_id: str) -> Client | None:
    row = connection.execute(
        sa.select(oauth_clients).where(oauth_clients.c.id == client_id, oauth_clients.c.revoked_at.is_(None))
    ).first()
    if row is None:
        return None
    secret_hash = bytes(row.secret_hash) if row.secret_hash is not None else None
    return Client(row.id, row.name, row.merchant_id, tuple(row.redirect_uris.split(" ")), secret_hash)


def proven_client(connection: sa.Connection, client_id: str, secret: str) -> Client:
    """Who calls the token endpoint. Raises Denied("invalid_client"), the same for all that is wrong."""
    found = client(connection, client_id)
    if found is not None:
        if found.secret_hash is None and not secret:
            return found
        if found.secret_hash is not None and hmac.compare_digest(found.secret_hash, _digest(secret)):
            return found
    raise Denied("invalid_client", "This client_id and secret do not belong together, or are not known.")


# ---- consent


def wish_of(connection: sa.Connection, merchant: str, asked: dict[str, str]) -> Wish:
    """The parameters of an authorisation request, checked. Raises Unsafe, Refused."""
    found = client(connection, asked.get("client_id", ""))
    if found is None or found.merchant not in (None, merchant):
        raise Unsafe("This program is not registered here.")
    redirect_uri = asked.get("redirect_uri", "")
    if redirect_uri not in found.redirect_uris:
        raise Unsafe(f"{found.name} did not register the address that it wants the answer at.")
    state = asked.get("state", "")

    def refuse(error: str, text: str) -> Refused:
        return Refused(error, text, redirect_uri, state)

    if len(state) > 1000:
        raise Refused("invalid_request", "state is longer than 1000 characters", redirect_uri, "")
    if asked.get("response_type") != "code":
        raise refuse("unsupported_response_type", "response_type must be code")
    if asked.get("code_challenge_method") != "S256" or not CHALLENGE.fullmatch(asked.get("code_challenge", "")):
        raise refuse("invalid_request", "PKCE is needed: code_challenge, with code_challenge_method=S256")
    scopes = tuple(dict.fromkeys(asked.get("scope", "").split()))
    if not scopes or set(scopes) - set(SCOPES):
        raise refuse("invalid_scope", f"scope is one or more of {' '.join(SCOPES)}")
    return Wish(found, redirect_uri, scopes, asked["code_challenge"], state)


class Refused(Denied):
    """An error that is told at the platform's own address."""

    def __init__(self, error: str, text: str, redirect_uri: str, state: str) -> None:
        super().__init__(error, text)
        self.redirect_uri, self.state = redirect_uri, state

    def address(self, issuer: str) -> str:
        told = {"error": self.error, "error_description": str(self)}
        return answer_at(self.redirect_uri, told, self.state, issuer)


def consent(connection: sa.Connection, who: Who, wish: Wish) -> str:
    """The merchant allows it -> the code."""
    at, grant, code = now_ms(), uuid7(), secrets.token_urlsafe(32)
    connection.execute(
        sa.insert(oauth_grants).values(
            merchant_id=who.merchant,
            id=grant,
            client_id=wish.client.id,
            scopes=" ".join(wish.scopes),
            user_name=who.name,
            created_at=at,
        )
    )
    connection.execute(
        sa.insert(oauth_codes).values(
            code_hash=_digest(code),
            merchant_id=who.merchant,
            client_id=wish.client.id,
            grant_id=grant,
            redirect_uri=wish.redirect_uri,
            challenge=wish.challenge,
            expires_at=at + CODE_MS,
        )
    )
    connection.execute(sa.delete(oauth_codes).where(oauth_codes.c.expires_at < at - 86_400_000))
    audit.add(connection, who.merchant, who.name, "grant.add", grant, f"{wish.client.name}: {' '.join(wish.scopes)}")
    return code


def answer_at(redirect_uri: str, told: dict[str, str], state: str, issuer: str) -> str:
    """The platform's address with our answer."""
    values = {**told, **({"state": state} if state else {}), "iss": issuer}
    return f"{redirect_uri}{'&' if urlsplit(redirect_uri).query else '?'}{urlencode(values)}"


# ---- tokens


def exchange(connection: sa.Connection, caller: Client, form: dict[str, str]) -> Tokens | Denied:
    """A code -> the first tokens. An error comes back as a value: what was written because of it is to be committed."""
    row = connection.execute(
        sa.select(oauth_codes).where(oauth_codes.c.code_hash == _digest(form.get("code", ""))).with_for_update()
    ).first()
    wrong = Denied("invalid_grant", "This code is wrong, used, or older than two minutes.")
    if row is None or row.client_id != caller.id:
        return wrong
    if row.used_at is not None:  # who has it a second time has stolen it, or was robbed
        _end(connection, row.merchant_id, row.grant_id, f"app {caller.name}", "a code came twice")
        return wrong
    connection.execute(sa.update(oauth_codes).where(oauth_codes.c.code_hash == row.code_hash).values(used_at=now_ms()))
    verifier = form.get("code_verifier", "")
    proof = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    proven = bool(VERIFIER.fullmatch(verifier)) and hmac.compare_digest(proof, row.challenge)
    if row.expires_at < now_ms() or form.get("redirect_uri", "") != row.redirect_uri or not proven:
        return wrong
    return _issue(connection, row.merchant_id, row.grant_id) or wrong


def refresh(connection: sa.Connection, caller: Client, form: dict[str, str]) -> Tokens | Denied:
    """A refresh token -> new tokens, and it is used up. Errors as above."""
    digest, at = _digest(form.get("refresh_token", "")), now_ms()
    row = connection.execute(
        sa.select(oauth_tokens, oauth_grants.c.client_id, oauth_grants.c.scopes)
        .join(
            oauth_grants,
            sa.and_(
                oauth_grants.c.merchant_id == oauth_tokens.c.merchant_id, oauth_grants.c.id == oauth_tokens.c.grant_id
            ),
        )
        .where(oauth_tokens.c.token_hash == digest, oauth_tokens.c.kind == "refresh")
        .with_for_update(of=oauth_tokens)
    ).first()
    wrong = Denied("invalid_grant", "This refresh token is wrong, used, over, or was revoked.")
    if row is None or row.client_id != caller.id or row.expires_at < at:
        return wrong
    if row.used_at is not None and row.used_at < at - LEEWAY_MS:
        _end(connection, row.merchant_id, row.grant_id, f"app {caller.name}", "a refresh token came twice")
        return wrong
    if set(form.get("scope", "").split()) - set(row.scopes.split()):
        return Denied("invalid_scope", "More than the merchant granted.")
    first_use = sa.func.coalesce(oauth_tokens.c.used_at, at)
    connection.execute(sa.update(oauth_tokens).where(oauth_tokens.c.token_hash == digest).values(used_at=first_use))
    return _issue(connection, row.merchant_id, row.grant_id) or wrong


def revoke(connection: sa.Connection, caller: Client, token: str) -> None:
    """RFC 7009: a token of this program ends its whole grant. What is not known is no error."""
    row = connection.execute(
        sa.select(oauth_tokens.c.merchant_id, oauth_tokens.c.grant_id)
        .join(
            oauth_grants,
            sa.and_(
                oauth_grants.c.merchant_id == oauth_tokens.c.merchant_id, oauth_grants.c.id == oauth_tokens.c.grant_id
            ),
        )
        .where(oauth_tokens.c.token_hash == _digest(token), oauth_grants.c.client_id == caller.id)
    ).first()
    if row is not None:
        _end(connection, row.merchant_id, row.grant_id, f"app {caller.name}", "by the program")


def end(connection: sa.Connection, merchant: str, grant: str, who: str) -> bool:
    """The merchant takes it back. False: there is no such grant."""
    return _end(connection, merchant, grant, who, "")


def owner(store: Store, token: str) -> Who | None:
    """Who an access token speaks for."""
    with store.read() as connection:
        row = connection.execute(
            sa.select(oauth_tokens.c.merchant_id, oauth_grants.c.id, oauth_grants.c.scopes, oauth_clients.c.name)
            .join(
                oauth_grants,
                sa.and_(
                    oauth_grants.c.merchant_id == oauth_tokens.c.merchant_id,
                    oauth_grants.c.id == oauth_tokens.c.grant_id,
                ),
            )
            .join(oauth_clients, oauth_clients.c.id == oauth_grants.c.client_id)
            .where(
                oauth_tokens.c.token_hash == _digest(token),
                oauth_tokens.c.kind == "access",
                oauth_tokens.c.expires_at > now_ms(),
                oauth_grants.c.revoked_at.is_(None),
            )
        ).first()
    return Who(row.merchant_id, f"app {row.name}", frozenset(row.scopes.split()), id=row.id) if row else None


def grants(connection: sa.Connection, merchant: str) -> list[Any]:
    """What this merchant let in, newest first."""
    return list(
        connection.execute(
            sa.select(oauth_grants, oauth_clients.c.name)
            .join(oauth_clients, oauth_clients.c.id == oauth_grants.c.client_id)
            .where(oauth_grants.c.merchant_id == merchant, oauth_grants.c.revoked_at.is_(None))
            .order_by(oauth_grants.c.created_at.desc())
            .limit(200)
        )
    )


def _issue(connection: sa.Connection, merchant: str, grant: str) -> Tokens | None:
    mine = (oauth_grants.c.merchant_id == merchant, oauth_grants.c.id == grant, oauth_grants.c.revoked_at.is_(None))
    scopes = connection.execute(sa.select(oauth_grants.c.scopes).where(*mine)).scalar()
    if scopes is None:
        return None
    at, access, again = now_ms(), ACCESS + secrets.token_urlsafe(32), REFRESH + secrets.token_urlsafe(32)
    connection.execute(sa.delete(oauth_tokens).where(oauth_tokens.c.expires_at < at))
    of_grant = {"merchant_id": merchant, "grant_id": grant}
    connection.execute(
        sa.insert(oauth_tokens),
        [
            {"token_hash": _digest(access), "kind": "access", "expires_at": at + ACCESS_MS, **of_grant},
            {"token_hash": _digest(again), "kind": "refresh", "expires_at": at + REFRESH_MS, **of_grant},
        ],
    )
    return Tokens(access, again, scopes)


def _end(connection: sa.Connection, merchant: str, grant: str, who: str, why: str) -> bool:
    mine = (oauth_grants.c.merchant_id == merchant, oauth_grants.c.id == grant, oauth_grants.c.revoked_at.is_(None))
    if not connection.execute(sa.update(oauth_grants).where(*mine).values(revoked_at=now_ms())).rowcount:
        return False
    gone = (oauth_tokens.c.merchant_id == merchant, oauth_tokens.c.grant_id == grant)
    connection.execute(sa.delete(oauth_tokens).where(*gone))
    audit.add(connection, merchant, who, "grant.end", grant, why)
    return True


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
