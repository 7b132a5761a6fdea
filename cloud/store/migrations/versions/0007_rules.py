"""What a shop decides about its orders; slips that know their copies, their tries and where they may move."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def columns() -> dict[str, list[sa.Column[Any]]]:
    return {
        "orders": [
            sa.Column("shop_id", sa.Text(), server_default="", nullable=False),
            sa.Column("reason_code", sa.Text(), server_default="", nullable=False),
            sa.Column("prep_min", sa.Integer(), nullable=True),
            sa.Column("ready_at", sa.BigInteger(), nullable=True),
        ],
        "slips": [
            sa.Column("copies", sa.Integer(), server_default="1", nullable=False),
            sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
            sa.Column("proven", sa.Integer(), server_default="0", nullable=False),
            sa.Column("content", sa.Text(), server_default="", nullable=False),
            sa.Column("label", sa.Text(), server_default="", nullable=False),
            sa.Column("places", sa.Text(), server_default="[]", nullable=False),
            sa.Column("moving", sa.Text(), server_default="", nullable=False),
            sa.Column("moving_at", sa.BigInteger(), nullable=True),
            sa.Column("was_box", sa.Text(), server_default="", nullable=False),
        ],
    }


def upgrade() -> None:
    op.create_table(
        "rules",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("shop_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "shop_id", "kind", name=op.f("pk_rules")),
    )
    op.create_table(
        "channel_doors",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "channel", name=op.f("pk_channel_doors")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_channel_doors_token_hash")),
    )
    for table, new in columns().items():
        with op.batch_alter_table(table) as batch:
            for column in new:
                batch.add_column(column)


def downgrade() -> None:
    for table, new in columns().items():
        with op.batch_alter_table(table) as batch:
            for column in reversed(new):
                batch.drop_column(column.name)
    op.drop_table("channel_doors")
    op.drop_table("rules")
