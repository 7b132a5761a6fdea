"""Shards owned by workers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from wire.topics import SHARDS, shard_of

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "workers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    made = op.create_table(
        "shards",
        sa.Column("shard", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("term", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("shard", name=op.f("pk_shards")),
    )
    op.bulk_insert(made, [{"shard": shard, "owner": "", "term": 0} for shard in SHARDS])
    with op.batch_alter_table("boxes") as batch:
        batch.add_column(sa.Column("shard", sa.Text(), nullable=True))
    boxes = sa.table("boxes", sa.column("id"), sa.column("shard"))
    connection = op.get_bind()
    for box in connection.execute(sa.select(boxes.c.id)).scalars().all():
        connection.execute(sa.update(boxes).where(boxes.c.id == box).values(shard=shard_of(box)))
    with op.batch_alter_table("boxes") as batch:
        batch.alter_column("shard", existing_type=sa.Text(), nullable=False)


def downgrade() -> None:
    with op.batch_alter_table("boxes") as batch:
        batch.drop_column("shard")
    op.drop_table("shards")
    op.drop_table("workers")
