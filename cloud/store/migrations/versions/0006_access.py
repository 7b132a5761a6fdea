"""OAuth clients, grants and tokens; claim codes for a box that exists; the boots a box was seen with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _text(name: str, **more: bool) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=more.get("nullable", False))


def _ms(name: str, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def upgrade() -> None:
    with op.batch_alter_table("boxes") as batch:
        batch.add_column(sa.Column("boots", sa.Text(), server_default="", nullable=False))
    with op.batch_alter_table("claims") as batch:
        batch.add_column(sa.Column("box", sa.Text(), server_default="", nullable=False))
        batch.create_index(op.f("ix_claims_merchant_id"), ["merchant_id"])
    op.create_table(
        "oauth_clients",
        _text("id"),
        _text("merchant_id", nullable=True),
        _text("name"),
        _text("redirect_uris"),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=True),
        _ms("created_at"),
        _ms("revoked_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oauth_clients")),
    )
    op.create_index(op.f("ix_oauth_clients_merchant_id"), "oauth_clients", ["merchant_id"])
    op.create_table(
        "oauth_grants",
        _text("merchant_id"),
        _text("id"),
        _text("client_id"),
        _text("scopes"),
        _text("user_name"),
        _ms("created_at"),
        _ms("revoked_at", nullable=True),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_oauth_grants")),
    )
    op.create_table(
        "oauth_codes",
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        _text("merchant_id"),
        _text("client_id"),
        _text("grant_id"),
        _text("redirect_uri"),
        _text("challenge"),
        _ms("expires_at"),
        _ms("used_at", nullable=True),
        sa.PrimaryKeyConstraint("code_hash", name=op.f("pk_oauth_codes")),
    )
    op.create_index(op.f("ix_oauth_codes_expires_at"), "oauth_codes", ["expires_at"])
    op.create_table(
        "oauth_tokens",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        _text("merchant_id"),
        _text("grant_id"),
        _text("kind"),
        _ms("expires_at"),
        _ms("used_at", nullable=True),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_oauth_tokens")),
    )
    op.create_index(op.f("ix_oauth_tokens_expires_at"), "oauth_tokens", ["expires_at"])
    op.create_index(op.f("ix_oauth_tokens_merchant_id_grant_id"), "oauth_tokens", ["merchant_id", "grant_id"])


def downgrade() -> None:
    for table in ("oauth_tokens", "oauth_codes", "oauth_grants", "oauth_clients"):
        op.drop_table(table)
    with op.batch_alter_table("claims") as batch:
        batch.drop_index(op.f("ix_claims_merchant_id"))
        batch.drop_column("box")
    with op.batch_alter_table("boxes") as batch:
        batch.drop_column("boots")
