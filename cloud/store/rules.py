"""What a shop decides about its orders, one JSON value for each kind of rule (cloud/rules.py knows their shapes), and
the doors through which platforms bring them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary, Table, Text

from cloud.store.columns import metadata

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

doors = Table(  # where a platform's webhook comes in: /hooks/CHANNEL/TOKEN
    "channel_doors",
    metadata,
    Column("merchant_id", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),  # sha256
    Column("secret", Text, nullable=False),  # checking a signature needs it in the clear
    Column("created_at", BigInteger, nullable=False),
)
