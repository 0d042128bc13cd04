"""Reads the ledger: a line for each batch that was stored (`db.write.writer`)."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Engine, Row, select

from db.connection.errors import classified
from db.schema.tables import batches

#: Batches read at once.
_PAGE = 1_000


def newest_batches(engine: Engine, group: str, limit: int | None) -> Iterator[Row[Any]]:
    """A consumer group's batches, the newest first; all of them where there is no limit. Blocking.

    Raises:
        TransientError, FatalError: see ``pipeline.errors``.
    """
    statement = (
        select(batches).where(batches.c.consumer_group == group).order_by(batches.c.id.desc())
    )
    left, page = limit, statement
    while left is None or left > 0:
        size = _PAGE if left is None else min(left, _PAGE)
        with classified(), engine.connect() as connection:
            found = connection.execute(page.limit(size)).all()
        yield from found
        if len(found) < size:
            return
        left = None if left is None else left - size
        page = statement.where(batches.c.id < found[-1].id)
