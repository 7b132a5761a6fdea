"""What Alembic runs: on the connection that cloud.store.database hands over."""

from alembic import context

from cloud.store.columns import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
