"""The menu, tables with their codes, and what customers order and are told.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Filled in as the tables of cloud/store/counter.py are."""


def downgrade() -> None:
    pass
