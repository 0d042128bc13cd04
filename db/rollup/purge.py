"""Deletes sums: those of old times, and those that a rebuild has replaced."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, select, text

from db.rollup.sums import TABLES
from db.rollup.watermark import NO_STATE
from db.schema.sales_tables import (
    rollup_categories,
    rollup_minutes,
    rollup_products,
    rollup_state,
)
from models.funnel import NO_TIME
from pipeline.errors import FatalError

#: Maximum sums deleted in one transaction.
DELETED = 20_000

_SPANS = (
    (rollup_minutes.name, "minute", timedelta(minutes=1)),
    (rollup_products.name, "hour", timedelta(hours=1)),
    (rollup_categories.name, "minute", timedelta(minutes=1)),
)


def delete_before(connection: Connection, before: datetime) -> tuple[int, int, int]:
    """Delete the sums of minutes, products' hours and categories' minutes ended by ``before``.

    Args:
        connection: in no transaction.
        before: UTC, without a zone.

    Returns:
        How many of minutes, of products' hours and of categories' minutes.

    Raises:
        FatalError: there is no state.
        sqlalchemy.exc.DBAPIError: the server refused.
    """
    minutes, products, categories = (
        _delete(connection, table, key, before - length) for table, key, length in _SPANS
    )
    return minutes, products, categories


def count_before(connection: Connection, before: datetime) -> tuple[int, int, int]:
    """How many sums ``delete_before`` would delete; see there."""
    minutes, products, categories = (
        connection.scalar(
            text(
                f"SELECT COUNT(*) FROM {table} JOIN rollup_state "  # noqa: S608
                f"WHERE {table}.generation IN (shown, rollup_state.generation) "
                f"AND {key} > '{NO_TIME}' AND {key} <= :last"
            ),
            {"last": before - length},
        )
        or 0
        for table, key, length in _SPANS
    )
    return minutes, products, categories


def _delete(connection: Connection, table: str, key: str, last: datetime) -> int:
    # Events without a time have no age: their sums stay.
    statement = text(
        f"DELETE FROM {table} WHERE generation IN (:shown, :built) "  # noqa: S608
        f"AND {key} > '{NO_TIME}' AND {key} <= :last LIMIT {DELETED}"
    )
    gone = 0
    while True:
        with connection.begin():
            state = connection.execute(select(rollup_state).with_for_update()).first()
            if state is None:
                raise FatalError(NO_STATE)
            given = {"shown": state.shown, "built": state.generation, "last": last}
            deleted = connection.execute(statement, given).rowcount
        gone += deleted
        if deleted < DELETED:
            return gone


def delete_outdated(connection: Connection, shown: int) -> None:
    """Delete some of the sums of generations before ``shown``."""
    for table in TABLES:
        statement = f"DELETE FROM {table.name} WHERE generation < :shown LIMIT {DELETED}"  # noqa: S608
        with connection.begin():
            connection.execute(text(statement), {"shown": shown})
