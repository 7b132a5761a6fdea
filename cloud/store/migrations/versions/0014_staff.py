"""Who of a shop is told when an alarm stands, and which alarms were told.

Revision ID: 0014
Revises: 0013
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "notice_staff",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text(), server_default="", nullable=False),
        sa.Column("email", sa.Text(), server_default="", nullable=False),
        sa.Column("wechat", sa.Text(), server_default="", nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("after_s", sa.Integer(), server_default="0", nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("told_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", name=op.f("pk_notice_staff")),
    )
    op.add_column("alarms", sa.Column("told_at", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("alarms") as table:
        table.drop_column("told_at")
    op.drop_table("notice_staff")
