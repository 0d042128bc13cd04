"""Reads the ledger: a line for each batch that was stored (`db.write.writer`)."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, Row, or_, select

from db.connection.errors import classified
from db.schema.tables import batches

#: Batches read at once.
_PAGE = 1_000


def newest_batches(
    engine: Engine,
    group: str,
    limit: int | None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[Row[Any]]:
    """A consumer group's batches, the newest first; all of them where there is no limit. Blocking.

    Args:
        engine: from ``db.connection.engine.connect``.
        group: the consumer group.
        limit: maximum number.
        since, until: only those written at or after the one and before the other.

    Raises:
        TransientError, FatalError: see ``pipeline.errors``.
    """
    statement = select(batches).where(batches.c.consumer_group == group)
    if since:
        statement = statement.where(batches.c.written >= since.astimezone(UTC))
    if until:
        statement = statement.where(batches.c.written < until.astimezone(UTC))
    # By an index; several may have been written in one millisecond.
    statement = statement.order_by(batches.c.written.desc(), batches.c.id.desc())
    left, page = limit, statement
    while left is None or left > 0:
        size = _PAGE if left is None else min(left, _PAGE)
        with classified(), engine.connect() as connection:
            found = connection.execute(page.limit(size)).all()
        yield from found
        if len(found) < size:
            return
        left = None if left is None else left - size
        last = found[-1]
        is_before = or_(batches.c.written < last.written, batches.c.id < last.id)
        page = statement.where(batches.c.written <= last.written, is_before)
