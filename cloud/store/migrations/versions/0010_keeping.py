"""How long each merchant's receipts are kept, and how far what is older has been forgotten. Papers squeezed by lz4.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "keeping",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("receipts_days", sa.Integer(), nullable=True),
        sa.Column("raw_days", sa.Integer(), nullable=True),
        sa.Column("receipts_to", sa.Text(), server_default="", nullable=False),
        sa.Column("raw_to", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", name=op.f("pk_keeping")),
    )
    if op.get_bind().dialect.name == "postgresql":  # lz4 costs a fifth of pglz's time; not every server has it
        for table, column in (("papers", "raw"), ("papers", "reading"), ("jobs", "lines"), ("receipts", "fields")):
            op.execute(
                f"DO $$ BEGIN ALTER TABLE {table} ALTER {column} SET COMPRESSION lz4;"
                " EXCEPTION WHEN feature_not_supported THEN NULL; END $$"
            )


def downgrade() -> None:
    op.drop_table("keeping")
