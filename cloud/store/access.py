"""The tables of OAuth 2.0: what lets a merchant's platform in without a password (cloud/oauth.py).

Of every secret only the SHA-256 is kept.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary, Table

from cloud.store.schema import _maybe_ms, _maybe_text, _ms, _text, metadata

oauth_clients = Table(  # programs that may ask merchants for access
    "oauth_clients",
    metadata,
    _text("id", primary_key=True),
    _maybe_text("merchant_id"),  # whose own program it is; NULL: registered by the operator, any merchant may let it in
    _text("name"),  # shown to who is asked
    _text("redirect_uris"),  # space separated, compared whole
    Column("secret_hash", LargeBinary, nullable=True),  # NULL: a public client, PKCE alone
    _ms("created_at"),
    _maybe_ms("revoked_at"),
    Index(None, "merchant_id"),
)

oauth_grants = Table(  # a merchant let a program in
    "oauth_grants",
    metadata,
    _text("merchant_id", primary_key=True),
    _text("id", primary_key=True),
    _text("client_id"),
    _text("scopes"),  # space separated
    _text("user_name"),  # who consented
    _ms("created_at"),
    _maybe_ms("revoked_at"),
)

oauth_codes = Table(  # between the consent and the first token
    "oauth_codes",
    metadata,
    Column("code_hash", LargeBinary, primary_key=True),
    _text("merchant_id"),
    _text("client_id"),
    _text("grant_id"),
    _text("redirect_uri"),
    _text("challenge"),  # PKCE, S256
    _ms("expires_at", index=True),
    _maybe_ms("used_at"),
)

oauth_tokens = Table(
    "oauth_tokens",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    _text("merchant_id"),
    _text("grant_id"),
    _text("kind"),  # access | refresh
    _ms("expires_at", index=True),
    _maybe_ms("used_at"),  # a refresh token that comes a second time was stolen: its grant ends
    Index(None, "merchant_id", "grant_id"),
)
