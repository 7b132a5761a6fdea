"""A slip that was not printed whole and that the till printed again: which job the sale is counted with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("facts") as batch:
        batch.add_column(sa.Column("same_as", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("facts") as batch:
        batch.drop_column("same_as")
