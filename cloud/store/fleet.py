"""Tables of the boxes' page: since when a printer is as it is, and what a box was asked to do."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Table, Text

from cloud.store.columns import metadata

printer_since = Table(
    "printer_since",
    metadata,
    Column("merchant_id", Text, primary_key=True),
    Column("box", Text, primary_key=True),
    Column("printer", Text, primary_key=True),
    Column("state", Text, nullable=False),  # a word of cloud/words.py printer()
    Column("at", BigInteger, nullable=False),
)

asked = Table(  # commands that a person gave a box, and what it answered
    "asked",
    metadata,
    Column("merchant_id", Text, primary_key=True),
    Column("id", Text, primary_key=True),  # of the command
    Column("box", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("answered_at", BigInteger, nullable=True),
    Column("ok", Boolean, nullable=True),
    Column("text", Text, nullable=False, server_default=""),
    Column("data", Text, nullable=False, server_default="{}"),  # JSON: of send_logs the lines
    Index(None, "merchant_id", "box", "id"),
)
