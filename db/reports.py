"""The dashboard's queries, which read by primary key.

Blocking: call them off the event loop.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, func, select

from db.connection.errors import classified
from db.schema.sales_tables import flash_sale_events, rollup_minutes, rollup_products, rollup_state
from pipeline.printable import printable

#: Minutes and hours shown.
MINUTES = 60
HOURS = 24
PRODUCTS = 10

_SHOWN = select(rollup_state.c.shown).scalar_subquery()
_STEPS = ("views", "carts", "purchases", "others")


class Reports:
    """Numbers of all workers.

    Args:
        engine: from ``db.connection.engine.connect_for_queries``.

    Raises (every method):
        TransientError, FatalError: see ``pipeline.errors``.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def sales(self) -> dict[str, Any]:
        """The last hour by minute and by funnel step, and the last day's top products.

        Times are event times; only purchases count as revenue.
        """
        now = datetime.now(UTC).replace(tzinfo=None, second=0, microsecond=0)
        with self._begin() as connection:
            minutes = _minutes(connection, now)
            return {
                "minutes": minutes,
                "funnel": {step: sum(minute[step] for minute in minutes) for step in _STEPS},
                "products": _products(connection, now),
            }

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        with classified(), self._engine.connect() as connection:
            yield connection


def _minutes(connection: Connection, now: datetime) -> list[dict[str, Any]]:
    """The last ``MINUTES``, oldest first, including those without events."""
    columns = rollup_minutes.c
    names = (*_STEPS, "units", "revenue")
    first = now - timedelta(minutes=MINUTES - 1)
    statement = select(columns.minute, *(columns[name] for name in names)).where(
        columns.generation == _SHOWN, columns.minute.between(first, now)
    )
    found = {row["minute"]: row for row in connection.execute(statement).mappings()}
    return [
        {
            "minute": _iso(minute),
            **{name: float(found[minute][name]) if minute in found else 0 for name in names},
        }
        for minute in (first + timedelta(minutes=number) for number in range(MINUTES))
    ]


def _products(connection: Connection, now: datetime) -> list[dict[str, Any]]:
    columns = rollup_products.c
    revenue = func.sum(columns.revenue)
    statement = (
        select(
            columns.product_id,
            func.sum(columns.orders).label("orders"),
            func.sum(columns.units).label("units"),
            revenue.label("revenue"),
        )
        .where(columns.generation == _SHOWN)
        .where(columns.hour.between(now - timedelta(hours=HOURS), now))
        .group_by(columns.product_id)
        .order_by(revenue.desc(), columns.product_id)
        .limit(PRODUCTS)
    )
    return [
        {
            "product_id": printable(row.product_id),
            "orders": int(row.orders),
            "units": int(row.units),
            "revenue": float(row.revenue),
        }
        for row in connection.execute(statement)
    ]


def _iso(moment: datetime) -> str:
    return f"{moment.isoformat(timespec='seconds')}Z"


def newest_ids(engine: Engine, most: int) -> set[str]:
    """Event ids of the newest ``most`` rows. Blocking.

    Raises:
        TransientError, FatalError: see ``pipeline.errors``.
    """
    columns = flash_sale_events.c
    statement = select(columns.event_id).order_by(columns.id.desc()).limit(most)
    with classified(), engine.connect() as connection:
        return {one for one in connection.scalars(statement) if one is not None}
