"""The merchants' own alert sounds (cloud/sounds.py)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, Table, Text

from cloud.store.columns import metadata

sounds = Table(
    "sounds",
    metadata,
    Column("merchant_id", Text, primary_key=True),
    Column("shop_id", Text, primary_key=True),  # empty: the merchant's shops that have none of their own
    Column("event", Text, primary_key=True),
    Column("digest", Text, nullable=False),  # of `data`: the first 16 digits of its SHA-256
    Column("data", LargeBinary, nullable=False),  # G.711 mu-law, one channel, 16,000 a second
    Column("samples", Integer, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("changed_by", Text, nullable=False),
)
