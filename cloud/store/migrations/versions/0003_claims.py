"""Claim codes, and passwords in the form that mosquitto reads."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "claims",
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("code_hash", name=op.f("pk_claims")),
    )
    with op.batch_alter_table("boxes") as batch:
        batch.add_column(sa.Column("file_hash", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("boxes") as batch:
        batch.drop_column("file_hash")
    op.drop_table("claims")
