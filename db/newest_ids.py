"""The ids of the events that were stored last, by whatever program."""

from sqlalchemy import Engine, select

from db.errors import classified
from db.sales_tables import flash_sale_events


def newest_ids(engine: Engine, most: int) -> set[str]:
    """Event ids of the newest rows, of so many at most. Blocking.

    Raises:
        TransientError, FatalError: see ``pipeline.errors``.
    """
    columns = flash_sale_events.c
    statement = select(columns.event_id).order_by(columns.id.desc()).limit(most)
    with classified(), engine.connect() as connection:
        return {one for one in connection.scalars(statement) if one is not None}
