"""Figures kept by ingest, customers, corrections: what the merchant's console stands on.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "corrections",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("was", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "job_id", "n", "field", name=op.f("pk_corrections")),
    )
    op.create_table(
        "customer_keys",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "kind", "value", name=op.f("pk_customer_keys")),
    )
    op.create_index(
        op.f("ix_customer_keys_merchant_id_customer_id"), "customer_keys", ["merchant_id", "customer_id"], unique=False
    )
    op.create_table(
        "customers",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), server_default="", nullable=False),
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("email", sa.Text(), server_default="", nullable=False),
        sa.Column("birthday", sa.Text(), server_default="", nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("fields", sa.Text(), server_default="{}", nullable=False),
        sa.Column("consent", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.Column("consent_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_customers")),
    )
    op.create_index(
        op.f("ix_customers_merchant_id_external_id"), "customers", ["merchant_id", "external_id"], unique=False
    )
    op.create_index(op.f("ix_customers_merchant_id_name"), "customers", ["merchant_id", "name"], unique=False)
    op.create_table(
        "facts",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("shop", sa.Text(), nullable=False),
        sa.Column("box", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("countable", sa.Boolean(), nullable=False),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("hour", sa.Integer(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("number", sa.Text(), server_default="", nullable=False),
        sa.Column("table_name", sa.Text(), server_default="", nullable=False),
        sa.Column("cashier", sa.Text(), server_default="", nullable=False),
        sa.Column("payment", sa.Text(), server_default="", nullable=False),
        sa.Column("last_four", sa.Text(), server_default="", nullable=False),
        sa.Column("member", sa.Text(), server_default="", nullable=False),
        sa.Column("phone", sa.Text(), server_default="", nullable=False),
        sa.Column("card", sa.Text(), server_default="", nullable=False),
        sa.Column("covers", sa.BigInteger(), nullable=True),
        sa.Column("tip", sa.BigInteger(), nullable=True),
        sa.Column("discount", sa.BigInteger(), nullable=True),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("to_check", sa.Boolean(), nullable=False),
        sa.Column("customer_id", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "job_id", "n", name=op.f("pk_facts")),
    )
    op.create_index(
        "ix_facts_card",
        "facts",
        ["merchant_id", "card", "at"],
        unique=False,
        postgresql_where=sa.text("card <> ''"),
    )
    op.create_index(
        "ix_facts_phone",
        "facts",
        ["merchant_id", "phone", "at"],
        unique=False,
        postgresql_where=sa.text("phone <> ''"),
    )
    op.create_index(
        "ix_facts_customer",
        "facts",
        ["merchant_id", "customer_id", "at"],
        unique=False,
        postgresql_where=sa.text("customer_id <> ''"),
    )
    op.create_index(
        "ix_facts_last_four",
        "facts",
        ["merchant_id", "last_four", "at"],
        unique=False,
        postgresql_where=sa.text("last_four <> ''"),
    )
    op.create_index(
        "ix_facts_member",
        "facts",
        ["merchant_id", "member", "at"],
        unique=False,
        postgresql_where=sa.text("member <> ''"),
    )
    op.create_index(op.f("ix_facts_merchant_id_at"), "facts", ["merchant_id", "at"], unique=False)
    op.create_index(op.f("ix_facts_merchant_id_day"), "facts", ["merchant_id", "day"], unique=False)
    op.create_index(op.f("ix_facts_merchant_id_number_at"), "facts", ["merchant_id", "number", "at"], unique=False)
    op.create_index(op.f("ix_facts_merchant_id_total_at"), "facts", ["merchant_id", "total", "at"], unique=False)
    op.create_index(
        "ix_facts_table_name",
        "facts",
        ["merchant_id", "table_name", "at"],
        unique=False,
        postgresql_where=sa.text("table_name <> ''"),
    )
    op.create_index(
        "ix_facts_to_check",
        "facts",
        ["merchant_id", "at"],
        unique=False,
        sqlite_where=sa.text("to_check = 1"),
        postgresql_where=sa.text("to_check"),
    )
    op.create_table(
        "figuring",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("after_job", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", name=op.f("pk_figuring")),
    )
    op.create_table(
        "item_names",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "item", name=op.f("pk_item_names")),
    )
    op.create_table(
        "profiles",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("shop", sa.Text(), nullable=False),
        sa.Column("taught", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "shop", name=op.f("pk_profiles")),
    )
    op.create_table(
        "shop_boxes",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("box", sa.Text(), nullable=False),
        sa.Column("shop", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "box", name=op.f("pk_shop_boxes")),
    )
    op.create_table(
        "shops",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("day_starts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("currency", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_shops")),
    )
    op.create_table(
        "sold",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("quantity", sa.Float(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "item", "day", "job_id", "n", name=op.f("pk_sold")),
    )
    op.create_index(op.f("ix_sold_merchant_id_job_id"), "sold", ["merchant_id", "job_id"], unique=False)
    op.create_table(
        "sums",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("shop", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("dim", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("receipts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("amount", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("quantity", sa.Float(), server_default="0", nullable=False),
        sa.Column("covers", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("tips", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("discounts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("discounted", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("refunds", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("refunded", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("voids", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("voided", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "shop", "currency", "dim", "day", "value", name=op.f("pk_sums")),
    )
    op.create_table(
        "uploads",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_uploads")),
    )
    # what was read before is counted by the service, when it has time
    op.execute("INSERT INTO figuring (merchant_id, after_job) SELECT id, '' FROM merchants")


def downgrade() -> None:
    op.drop_table("uploads")
    op.drop_table("sums")
    op.drop_table("sold")
    op.drop_table("shops")
    op.drop_table("shop_boxes")
    op.drop_table("profiles")
    op.drop_table("item_names")
    op.drop_table("figuring")
    op.drop_table("facts")
    op.drop_table("customers")
    op.drop_table("customer_keys")
    op.drop_table("corrections")
