"""A shop's country, for phone numbers; where a merchant's customers come from by themselves: their CRM.

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud import phones

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("shops", sa.Column("country", sa.Text(), server_default="", nullable=False))
    op.create_table(
        "connectors",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("settings", sa.Text(), server_default="{}", nullable=False),
        sa.Column("cursor", sa.Text(), server_default="", nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("ran_at", sa.BigInteger(), nullable=True),
        sa.Column("problem", sa.Text(), server_default="", nullable=False),
        sa.Column("counts", sa.Text(), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "kind", name=op.f("pk_connectors")),
    )
    op.execute(  # numbers on receipts are compared by their country from now on: the figures are counted anew
        "INSERT INTO figuring (merchant_id, after_job) SELECT DISTINCT merchant_id, '' FROM facts"
        " WHERE phone <> '' AND merchant_id NOT IN (SELECT merchant_id FROM figuring)"
    )
    connection = op.get_bind()
    found = connection.execute(sa.text("SELECT merchant_id, zone FROM shops WHERE id = ''")).all()
    zones: dict[str, str] = {row[0]: row[1] for row in found}
    rows = connection.execute(sa.text("SELECT merchant_id, value FROM customer_keys WHERE kind = 'phone'")).all()
    taken = {tuple(row) for row in rows}
    for merchant, value in sorted(taken):
        new = phones.again(value, phones.country_of(zones.get(merchant, "")))
        if new == value:
            continue
        same = {"merchant": merchant, "value": value, "new": new}
        where = " WHERE merchant_id = :merchant AND kind = 'phone' AND value = :value"
        change = "DELETE FROM customer_keys" if (merchant, new) in taken else "UPDATE customer_keys SET value = :new"
        connection.execute(sa.text(change + where), same)
        taken.add((merchant, new))


def downgrade() -> None:
    op.drop_table("connectors")
    op.drop_column("shops", "country")
