"""Queries of the ledger: the batches that all workers stored. Blocking."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, Row, select

from db.errors import classified
from db.tables import batches


def last_batches(engine: Engine, group: str, limit: int) -> Sequence[Row[Any]]:
    """A consumer group's newest batches, the newest first.

    Raises:
        TransientError, FatalError: see ``pipeline.errors``.
    """
    statement = (
        select(batches)
        .where(batches.c.consumer_group == group)
        .order_by(batches.c.id.desc())
        .limit(limit)
    )
    with classified(), engine.connect() as connection:
        return connection.execute(statement).all()
