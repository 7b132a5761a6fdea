"""Figures kept by ingest, customers, corrections: what the merchant's console stands on.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Filled in as the tables of cloud/store/figures.py are."""


def downgrade() -> None:
    pass
