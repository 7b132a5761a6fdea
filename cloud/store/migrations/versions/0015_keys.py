"""Member numbers and cards are compared without case, spaces and dashes; who was erased stays forgotten.

Only what is written otherwise is changed: the distinct numbers are walked along their index, a step for each.

Revision ID: 0015
Revises: 0014
"""

from __future__ import annotations

import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "forgotten",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "digest", name=op.f("pk_forgotten")),
    )
    db = op.get_bind()
    keys = "SELECT merchant_id, kind, value, customer_id FROM customer_keys WHERE kind IN ('member', 'card')"
    for merchant, kind, value, customer in db.execute(sa.text(keys)).all():
        new, row = folded(value), {"m": merchant, "k": kind, "v": value, "c": customer}
        if new == value:
            continue
        mine = "merchant_id = :m AND kind = :k AND value = :v"
        taken = db.execute(sa.text(f"SELECT 1 FROM customer_keys WHERE {mine}"), row | {"v": new}).first()
        db.execute(sa.text(f"DELETE FROM customer_keys WHERE {mine}"), row)
        if new and not taken:
            columns = "INSERT INTO customer_keys (merchant_id, kind, value, customer_id) VALUES (:m, :k, :v, :c)"
            db.execute(sa.text(columns), row | {"v": new})
    for (merchant,) in db.execute(sa.text("SELECT id FROM merchants")).all():
        for name in ("member", "card"):
            _facts(db, merchant, name)


def _facts(db: sa.Connection, merchant: str, name: str) -> None:
    step = f"SELECT {name} FROM facts WHERE merchant_id = :m AND {name} > :v AND {name} <> '' ORDER BY {name} LIMIT 1"
    change = f"UPDATE facts SET {name} = :new WHERE merchant_id = :m AND {name} = :v AND {name} <> ''"
    value: str | None = ""
    while (value := db.execute(sa.text(step), {"m": merchant, "v": value}).scalar()) is not None:
        new = folded(value).upper()
        if new and new != value:
            db.execute(sa.text(change), {"m": merchant, "v": value, "new": new})


def folded(text: str) -> str:
    """As cloud/facts.py key_of; what is partly hidden stays as it is."""
    if any(c in "*•…●" for c in text):
        return text
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())[:60]


def downgrade() -> None:
    op.drop_table("forgotten")
