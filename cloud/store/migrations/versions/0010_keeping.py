"""How long each merchant's receipts are kept, and how far what is older has been forgotten."""

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


def downgrade() -> None:
    op.drop_table("keeping")
