"""The menu, tables with their codes, and what customers order and are told.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dining_tables",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), server_default="1", nullable=False),
        sa.Column("old_until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_dining_tables")),
        sa.UniqueConstraint("key", name=op.f("uq_dining_tables_key")),
    )
    op.create_table(
        "fronts",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("languages", sa.Text(), nullable=False),
        sa.Column("hours", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("dine_in", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("takeaway", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("delivery", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("paused_until", sa.BigInteger(), nullable=True),
        sa.Column("latitude", sa.BigInteger(), nullable=True),
        sa.Column("longitude", sa.BigInteger(), nullable=True),
        sa.Column("open_per_table", sa.Integer(), server_default="8", nullable=False),
        sa.Column("open_per_customer", sa.Integer(), server_default="3", nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", name=op.f("pk_fronts")),
        sa.UniqueConstraint("slug", name=op.f("uq_fronts_slug")),
    )
    op.create_table(
        "guest_orders",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("basket_id", sa.Text(), nullable=False),
        sa.Column("visit", sa.LargeBinary(), nullable=False),
        sa.Column("link_hash", sa.LargeBinary(), nullable=False),
        sa.Column("source", sa.LargeBinary(), nullable=False),
        sa.Column("table_id", sa.Text(), nullable=False),
        sa.Column("basket", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("wechat", sa.Text(), nullable=False),
        sa.Column("replaces", sa.Text(), nullable=True),
        sa.Column("replaced_by", sa.Text(), nullable=True),
        sa.Column("told", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=True),
        sa.Column("distance", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "order_id", name=op.f("pk_guest_orders")),
        sa.UniqueConstraint("link_hash", name=op.f("uq_guest_orders_link_hash")),
        sa.UniqueConstraint("merchant_id", "basket_id", name=op.f("uq_guest_orders_merchant_id_basket_id")),
    )
    op.create_index(op.f("ix_guest_orders_created_at"), "guest_orders", ["created_at"], unique=False)
    op.create_index(op.f("ix_guest_orders_merchant_id_phone"), "guest_orders", ["merchant_id", "phone"], unique=False)
    op.create_index(
        op.f("ix_guest_orders_merchant_id_table_id"), "guest_orders", ["merchant_id", "table_id"], unique=False
    )
    op.create_table(
        "menu_categories",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("names", sa.Text(), nullable=False),
        sa.Column("kitchen", sa.Text(), nullable=False),
        sa.Column("hours", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_menu_categories")),
    )
    op.create_table(
        "menu_groups",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("names", sa.Text(), nullable=False),
        sa.Column("least", sa.Integer(), nullable=False),
        sa.Column("most", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_menu_groups")),
    )
    op.create_index(op.f("ix_menu_groups_merchant_id_item_id"), "menu_groups", ["merchant_id", "item_id"], unique=False)
    op.create_table(
        "menu_items",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("category_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("names", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("allergens", sa.Text(), nullable=False),
        sa.Column("sold_out", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("hidden", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_menu_items")),
    )
    op.create_index(
        op.f("ix_menu_items_merchant_id_category_id"), "menu_items", ["merchant_id", "category_id"], unique=False
    )
    op.create_table(
        "menu_options",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("names", sa.Text(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("sold_out", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_menu_options")),
    )
    op.create_index(
        op.f("ix_menu_options_merchant_id_group_id"), "menu_options", ["merchant_id", "group_id"], unique=False
    )
    op.create_table(
        "notice_senders",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "way", name=op.f("pk_notice_senders")),
    )
    op.create_table(
        "notices",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("state_told", sa.Text(), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_notices")),
        sa.UniqueConstraint(
            "merchant_id", "order_id", "state_told", "way", name=op.f("uq_notices_merchant_id_order_id_state_told_way")
        ),
    )
    op.create_index(
        "ix_notices_due",
        "notices",
        ["next_at"],
        unique=False,
        sqlite_where=sa.text("state = 'due'"),
        postgresql_where=sa.text("state = 'due'"),
    )
    op.create_table(
        "visits",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("table_id", sa.Text(), nullable=False),
        sa.Column("basket", sa.Text(), nullable=False),
        sa.Column("basket_id", sa.Text(), nullable=False),
        sa.Column("replaces", sa.Text(), nullable=True),
        sa.Column("distance", sa.Text(), nullable=True),
        sa.Column("distance_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_visits")),
    )
    op.create_index(op.f("ix_visits_expires_at"), "visits", ["expires_at"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_visits_expires_at"), table_name="visits")
    op.drop_table("visits")
    op.drop_index(
        "ix_notices_due",
        table_name="notices",
        sqlite_where=sa.text("state = 'due'"),
        postgresql_where=sa.text("state = 'due'"),
    )
    op.drop_table("notices")
    op.drop_table("notice_senders")
    op.drop_index(op.f("ix_menu_options_merchant_id_group_id"), table_name="menu_options")
    op.drop_table("menu_options")
    op.drop_index(op.f("ix_menu_items_merchant_id_category_id"), table_name="menu_items")
    op.drop_table("menu_items")
    op.drop_index(op.f("ix_menu_groups_merchant_id_item_id"), table_name="menu_groups")
    op.drop_table("menu_groups")
    op.drop_table("menu_categories")
    op.drop_index(op.f("ix_guest_orders_merchant_id_table_id"), table_name="guest_orders")
    op.drop_index(op.f("ix_guest_orders_merchant_id_phone"), table_name="guest_orders")
    op.drop_index(op.f("ix_guest_orders_created_at"), table_name="guest_orders")
    op.drop_table("guest_orders")
    op.drop_table("fronts")
    op.drop_table("dining_tables")
