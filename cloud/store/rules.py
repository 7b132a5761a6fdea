"""What a shop decides about its orders: one JSON value for each kind of rule (cloud/rules.py knows their shapes)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table, Text

from cloud.store.schema import metadata

rules = Table(
    "rules",
    metadata,
    Column("merchant_id", Text, primary_key=True),
    Column("shop_id", Text, primary_key=True),  # empty: the merchant's shops that have none of their own
    Column("kind", Text, primary_key=True),  # review | routing | slip | pace
    Column("value", Text, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("changed_by", Text, nullable=False),
)
