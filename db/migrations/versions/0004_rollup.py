"""Sums that the roll-up keeps, in tables of their own, and the views over them.

Workers of the previous version keep adding to their own tables of sums meanwhile, so the new ones
are built of the rows, by the roll-up. Until that is done, the views show a copy of the old sums.
Every step may be run again: MySQL has no transactions over changes of the schema.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_UTF8: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_row_format": "DYNAMIC",
}
_KEY = mysql.VARBINARY(1020)

#: Of more old sums no copy is made: it would take minutes.
_MOST = 1_000_000
#: Rows summed in one statement where this is undone.
_PORTION = 500_000

_SHOWN = "generation = (SELECT shown FROM rollup_state)"
_MINUTE = "CASE WHEN minute > '1000-01-01' THEN minute END AS minute"
_PRODUCT = "CONVERT(product_id USING utf8mb4) COLLATE utf8mb4_bin AS product_id"
_CATEGORY = "CONVERT(category USING utf8mb4) COLLATE utf8mb4_bin AS category"
_SUMS = "SUM(orders) AS orders, SUM(units) AS units, SUM(revenue) AS revenue"

_VIEWS = {
    "sales_per_minute": f"""
        SELECT {_MINUTE}, purchases AS orders, units, revenue FROM rollup_minutes WHERE {_SHOWN}
    """,  # noqa: S608 - of texts of our own
    "funnel_per_minute": f"""
        SELECT {_MINUTE}, views, carts, purchases, others FROM rollup_minutes WHERE {_SHOWN}
    """,  # noqa: S608
    "funnel": f"""
        SELECT SUM(views) AS views, SUM(carts) AS carts, SUM(purchases) AS purchases,
            SUM(carts) / NULLIF(SUM(views), 0) AS carts_per_view,
            SUM(purchases) / NULLIF(SUM(carts), 0) AS purchases_per_cart,
            SUM(purchases) / NULLIF(SUM(views), 0) AS purchases_per_view
        FROM rollup_minutes WHERE {_SHOWN}
    """,  # noqa: S608
    "sales_per_product": f"""
        SELECT {_PRODUCT}, {_SUMS} FROM rollup_products WHERE {_SHOWN}
        GROUP BY rollup_products.product_id
    """,  # noqa: S608
    "sales_per_product_hour": f"""
        SELECT CASE WHEN hour > '1000-01-01' THEN hour END AS hour, {_PRODUCT}, {_CATEGORY},
            orders, units, revenue
        FROM rollup_products WHERE {_SHOWN}
    """,  # noqa: S608
    "sales_per_category": f"""
        SELECT {_CATEGORY}, {_SUMS} FROM rollup_products WHERE {_SHOWN}
        GROUP BY rollup_products.category
    """,  # noqa: S608
}

#: As migration 0002 made them.
_OLD_VIEWS = {
    "sales_per_minute": """
        SELECT CASE WHEN minute > '1000-01-01' THEN minute END AS minute, SUM(purchases) AS orders,
            SUM(units) AS units, SUM(revenue) AS revenue
        FROM sales_by_minute GROUP BY sales_by_minute.minute
    """,
    "funnel_per_minute": """
        SELECT CASE WHEN minute > '1000-01-01' THEN minute END AS minute,
            SUM(views) AS views, SUM(carts) AS carts, SUM(purchases) AS purchases,
            SUM(others) AS others
        FROM sales_by_minute GROUP BY sales_by_minute.minute
    """,
    "funnel": """
        SELECT SUM(views) AS views, SUM(carts) AS carts, SUM(purchases) AS purchases,
            SUM(carts) / NULLIF(SUM(views), 0) AS carts_per_view,
            SUM(purchases) / NULLIF(SUM(carts), 0) AS purchases_per_cart,
            SUM(purchases) / NULLIF(SUM(views), 0) AS purchases_per_view
        FROM sales_by_minute
    """,
    "sales_per_product": """
        SELECT product_id, SUM(orders) AS orders, SUM(units) AS units, SUM(revenue) AS revenue
        FROM sales_by_product GROUP BY product_id
    """,
    "sales_per_product_hour": """
        SELECT CASE WHEN hour > '1000-01-01' THEN hour END AS hour, product_id,
            category, SUM(orders) AS orders, SUM(units) AS units, SUM(revenue) AS revenue
        FROM sales_by_product GROUP BY sales_by_product.hour, product_id, category
    """,
    "sales_per_category": """
        SELECT category, SUM(orders) AS orders, SUM(units) AS units, SUM(revenue) AS revenue
        FROM sales_by_product GROUP BY category
    """,
}

#: The old sums as generation 0. Those copied already by a run that was killed stay.
_COPY = (
    """
    INSERT IGNORE INTO rollup_minutes
    SELECT 0, minute, SUM(views), SUM(carts), SUM(purchases), SUM(others), SUM(units), SUM(revenue)
    FROM sales_by_minute GROUP BY minute
    """,
    """
    INSERT IGNORE INTO rollup_products
    SELECT 0, hour, CAST(product_id AS BINARY), CAST(category AS BINARY),
        SUM(orders), SUM(units), SUM(revenue)
    FROM sales_by_product GROUP BY hour, product_id, category
    """,
)


def upgrade() -> None:
    op.create_table(
        "rollup_state",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("shown", sa.Integer, nullable=False),
        sa.Column("last_id", sa.BigInteger, nullable=False),
        sa.Column("last_checksum", sa.BigInteger),
        sa.Column("mark_id", sa.BigInteger, nullable=False),
        sa.Column("marked_at", mysql.DATETIME(fsp=3), nullable=False),
        sa.Column("complete_at", mysql.DATETIME(fsp=3), nullable=False),
        if_not_exists=True,
        **_UTF8,
    )
    op.create_table(
        "rollup_minutes",
        sa.Column("generation", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("minute", mysql.DATETIME, primary_key=True),
        sa.Column("views", sa.BigInteger, nullable=False),
        sa.Column("carts", sa.BigInteger, nullable=False),
        sa.Column("purchases", sa.BigInteger, nullable=False),
        sa.Column("others", sa.BigInteger, nullable=False),
        sa.Column("units", sa.BigInteger, nullable=False),
        sa.Column("revenue", mysql.DOUBLE, nullable=False),
        if_not_exists=True,
        **_UTF8,
    )
    op.create_table(
        "rollup_products",
        sa.Column("generation", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("hour", mysql.DATETIME, primary_key=True),
        sa.Column("product_id", _KEY, primary_key=True),
        sa.Column("category", _KEY, primary_key=True),
        sa.Column("orders", sa.BigInteger, nullable=False),
        sa.Column("units", sa.BigInteger, nullable=False),
        sa.Column("revenue", mysql.DOUBLE, nullable=False),
        if_not_exists=True,
        **_UTF8,
    )
    connection = op.get_bind()
    if connection.scalar(sa.text("SELECT COUNT(*) FROM rollup_state")) == 0:
        shown = 1
        if 0 < _old_sums() <= _MOST:
            shown = 0
            for statement in _COPY:
                op.execute(statement)
        # Last of these, and with the copy: a run that was killed before begins with the copy again.
        now = "CURRENT_TIMESTAMP(3)"
        op.execute(
            "INSERT INTO rollup_state (id, generation, shown, last_id, mark_id, marked_at,"  # noqa: S608
            f" complete_at) VALUES (1, 1, {shown}, 0, 0, {now}, {now})"
        )
        connection.commit()
    _make(_VIEWS)


def downgrade() -> None:
    """The old sums are made of all rows again: of those since the upgrade they know nothing."""
    _make(_OLD_VIEWS)
    _fill_old_sums()
    for table in ("rollup_products", "rollup_minutes", "rollup_state"):
        op.drop_table(table, if_exists=True)


def _make(views: dict[str, str]) -> None:
    for view, query in views.items():
        # With the reader's rights: the account that migrated need not exist for ever.
        op.execute(f"CREATE OR REPLACE SQL SECURITY INVOKER VIEW {view} AS {query}")


def _old_sums() -> int:
    """How many there are, or some more than too many."""
    connection = op.get_bind()
    return sum(
        connection.scalar(
            sa.text(f"SELECT COUNT(*) FROM (SELECT 1 FROM {table} LIMIT {_MOST + 1}) AS s")  # noqa: S608
        )
        or 0
        for table in ("sales_by_minute", "sales_by_product")
    )


_MINUTE_KEY = "COALESCE(DATE_FORMAT(ts, '%Y-%m-%d %H:%i:00'), '1000-01-01 00:00:00')"
_HOUR_KEY = "COALESCE(DATE_FORMAT(ts, '%Y-%m-%d %H:00:00'), '1000-01-01 00:00:00')"
_FILL = (
    f"""
    INSERT INTO sales_by_minute
        (minute, shard, views, carts, purchases, others, units, revenue)
    SELECT {_MINUTE_KEY} AS at, -1,
        SUM(kind = 'view'), SUM(kind IN ('cart', 'add_to_cart')), SUM(kind = 'purchase'),
        SUM(kind NOT IN ('view', 'cart', 'add_to_cart', 'purchase')),
        SUM(IF(kind = 'purchase', COALESCE(quantity, 0), 0)),
        SUM(IF(kind = 'purchase', COALESCE(revenue, 0) + 0E0, 0))
    FROM (SELECT ts, quantity, revenue, COALESCE(BINARY event_type, '') AS kind
          FROM flash_sale_events WHERE id BETWEEN :first AND :last) AS e
    GROUP BY at
    ON DUPLICATE KEY UPDATE
        views = sales_by_minute.views + VALUES(views),
        carts = sales_by_minute.carts + VALUES(carts),
        purchases = sales_by_minute.purchases + VALUES(purchases),
        others = sales_by_minute.others + VALUES(others),
        units = sales_by_minute.units + VALUES(units),
        revenue = sales_by_minute.revenue + VALUES(revenue)
    """,  # noqa: S608
    f"""
    INSERT INTO sales_by_product
        (hour, product_id, category, shard, orders, units, revenue)
    SELECT {_HOUR_KEY} AS at, LEFT(COALESCE(product_id, ''), 50) AS p,
        LEFT(COALESCE(category, ''), 50) AS c, -1,
        COUNT(*), COALESCE(SUM(quantity), 0), COALESCE(SUM(revenue + 0E0), 0)
    FROM flash_sale_events
    WHERE id BETWEEN :first AND :last AND BINARY event_type = 'purchase'
    GROUP BY at, BINARY p, BINARY c
    ON DUPLICATE KEY UPDATE
        orders = sales_by_product.orders + VALUES(orders),
        units = sales_by_product.units + VALUES(units),
        revenue = sales_by_product.revenue + VALUES(revenue)
    """,  # noqa: S608
)


def _fill_old_sums() -> None:
    """All at once: killed, it has done nothing, and is run again."""
    connection = op.get_bind()
    for table in ("sales_by_minute", "sales_by_product"):
        op.execute(f"DELETE FROM {table}")  # noqa: S608
    following = sa.text("SELECT MIN(id) FROM flash_sale_events WHERE id > :last")
    last = -1
    while (first := connection.scalar(following, {"last": last})) is not None:
        last = first + _PORTION - 1
        for statement in _FILL:
            connection.execute(sa.text(statement), {"first": first, "last": last})
    connection.commit()
