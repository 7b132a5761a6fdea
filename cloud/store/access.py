"""The tables of OAuth 2.0: what lets a merchant's platform in without a password (cloud/oauth.py).

Of every secret only the SHA-256 is kept.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary, Table

from cloud.store.columns import a_ms, a_text, maybe_ms, maybe_text, metadata

oauth_clients = Table(  # programs that may ask merchants for access
    "oauth_clients",
    metadata,
    a_text("id", primary_key=True),
    maybe_text("merchant_id"),  # whose own program it is; NULL: registered by the operator, any merchant may let it in
    a_text("name"),  # shown to who is asked
    a_text("redirect_uris"),  # space separated, compared whole
    Column("secret_hash", LargeBinary, nullable=True),  # NULL: a public client, PKCE alone
    a_ms("created_at"),
    maybe_ms("revoked_at"),
    Index(None, "merchant_id"),
)

oauth_grants = Table(  # a merchant let a program in
    "oauth_grants",
    metadata,
    a_text("merchant_id", primary_key=True),
    a_text("id", primary_key=True),
    a_text("client_id"),
    a_text("scopes"),  # space separated
    a_text("user_name"),  # who consented
    a_ms("created_at"),
    maybe_ms("revoked_at"),
)

oauth_codes = Table(  # between the consent and the first token
    "oauth_codes",
    metadata,
    Column("code_hash", LargeBinary, primary_key=True),
    a_text("merchant_id"),
    a_text("client_id"),
    a_text("grant_id"),
    a_text("redirect_uri"),
    a_text("challenge"),  # PKCE, S256
    a_ms("expires_at", index=True),
    maybe_ms("used_at"),
)

oauth_tokens = Table(
    "oauth_tokens",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    a_text("merchant_id"),
    a_text("grant_id"),
    a_text("kind"),  # access | refresh
    a_ms("expires_at", index=True),
    maybe_ms("used_at"),  # a refresh token that comes a second time was stolen: its grant ends
    Index(None, "merchant_id", "grant_id"),
)
