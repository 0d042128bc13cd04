"""Alembic's entry: runs on the connection that ``db.schema.upgrade`` hands over."""

from alembic import context

from db.schema.sales_tables import flash_sale_events

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=flash_sale_events.metadata,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
