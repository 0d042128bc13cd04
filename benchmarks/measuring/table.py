"""The table a program fills: what it holds, beside what it must hold."""

import math
from typing import Any

import pymysql
from sqlalchemy import make_url

from benchmarks.traffic.topics import CHECK, Expected

#: Sums of FLOATs may differ so much, relatively: programs compute in float32 or float64.
TOLERANCE = 1e-6


def connect(url: str, **options: Any) -> Any:
    """A connection that sees every commit at once, with times in UTC; options are the driver's."""
    parts = make_url(url)
    return pymysql.connect(
        host=parts.host or "",
        port=parts.port or 3306,
        user=parts.username,
        password=parts.password or "",
        database=parts.database,
        charset="utf8mb4",
        **{"autocommit": True, "init_command": "SET time_zone = '+00:00'", **options},
    )


def check(table: Any, expected: Expected, after: int = 0) -> str:
    """Hold the rows with an id above ``after`` against what they must be; empty when all is right.

    All dead letters count.
    """
    table.execute(CHECK, (after,))
    rows, price, revenue, checksum = table.fetchone()
    if rows != expected.rows:
        return f"{rows} rows instead of {expected.rows}"
    if (letters := _one(table, "SELECT COUNT(*) FROM dead_letters")) != expected.dropped:
        return f"{letters} dead letters instead of {expected.dropped}"
    if int(checksum) != expected.checksum:
        return "the rows' checksum differs"
    for name, found, wanted in (
        ("prices", price, expected.price),
        ("revenues", revenue, expected.revenue),
    ):
        if not math.isclose(found, wanted, rel_tol=TOLERANCE):
            return f"the {name} add up to {found}, not {wanted}"
    return ""


def check_sums(table: Any) -> str:
    """Hold the sales sums against the rows; empty when they are right."""
    table.execute("SELECT COUNT(*), SUM(event_type = 'purchase') FROM flash_sale_events")
    rows, purchases = table.fetchone()
    table.execute("SELECT SUM(views + carts + purchases + others) FROM funnel_per_minute")
    [counted] = table.fetchone()
    table.execute("SELECT COALESCE(SUM(orders), 0) FROM sales_per_product")
    [orders] = table.fetchone()
    if (counted, orders) != (rows, purchases):
        return f"the sums have {counted} events and {orders} orders, not {rows} and {purchases}"
    return ""


def summed_to(table: Any) -> int:
    """The id up to which rows are in the sales sums."""
    return _one(table, "SELECT last_id FROM rollup_state")


def newest(table: Any, name: str = "flash_sale_events") -> int:
    """The newest row's id: cheap to ask, and gaps make it larger than the number of rows."""
    return _one(table, f"SELECT COALESCE(MAX(id), 0) FROM {name}")  # noqa: S608 - ours


def count(
    table: Any, after: int = 0, last: int = 2**63 - 1, name: str = "flash_sale_events"
) -> int:
    """Rows with an id above ``after`` and up to ``last``."""
    query = f"SELECT COUNT(*) FROM {name} WHERE id > %s AND id <= %s"  # noqa: S608 - ours
    return _one(table, query, after, last)


def _one(table: Any, query: str, *values: int) -> int:
    table.execute(query, values)
    return int(table.fetchone()[0])
