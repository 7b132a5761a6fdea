"""How long each merchant's receipts are kept, and how far what is older has been forgotten (cloud/keeping.py)."""

from __future__ import annotations

from sqlalchemy import Column, Integer, Table, Text

from cloud.store.columns import metadata

keeping = Table(
    "keeping",
    metadata,
    Column("merchant_id", Text, primary_key=True),
    Column("receipts_days", Integer, nullable=True),  # NULL: as long as the deployment says
    Column("raw_days", Integer, nullable=True),
    Column("receipts_to", Text, nullable=False, server_default=""),  # jobs up to this id are forgotten
    Column("raw_to", Text, nullable=False, server_default=""),
)
