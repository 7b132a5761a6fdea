"""What customers did is read from an index alone, and the sums of all shops by one.

Revision ID: 0013
Revises: 0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None
COLUMNS = ["merchant_id", "customer_id", "day", "counted", "currency", "kind", "total"]


def upgrade() -> None:
    op.create_index("ix_facts_visits", "facts", COLUMNS, unique=False, postgresql_where=sa.text("customer_id <> ''"))
    op.drop_index("ix_facts_customer", table_name="facts")
    op.create_index(op.f("ix_sums_merchant_id_dim_day"), "sums", ["merchant_id", "dim", "day"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_sums_merchant_id_dim_day"), table_name="sums")
    op.create_index(
        "ix_facts_customer",
        "facts",
        ["merchant_id", "customer_id", "at"],
        unique=False,
        postgresql_where=sa.text("customer_id <> ''"),
    )
    op.drop_index("ix_facts_visits", table_name="facts")
