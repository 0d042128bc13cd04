"""Sales by minute and by product, and the views over them; rows already there are summed."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_UTF8: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}
_TEXT = mysql.VARCHAR(50, charset="utf8mb4", collation="utf8mb4_bin")

#: Times and products that are null have these in their place, because they are in a key.
_MINUTE = "COALESCE(DATE_FORMAT(ts, '%Y-%m-%d %H:%i:00'), '1000-01-01 00:00:00')"
_HOUR = "COALESCE(DATE_FORMAT(ts, '%Y-%m-%d %H:00:00'), '1000-01-01 00:00:00')"

#: Rows summed in one statement: a large table must not outlast the connection's patience.
_PORTION = 1_000_000

#: Events by step and purchases of the rows stored so far; byte by byte, as the worker compares.
_FILL = (
    f"""
    INSERT INTO sales_by_minute
        (minute, shard, views, carts, purchases, others, units, revenue)
    SELECT {_MINUTE} AS at, -1,
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
    """,  # noqa: S608 - of texts of our own
    f"""
    INSERT INTO sales_by_product
        (hour, product_id, category, shard, orders, units, revenue)
    SELECT {_HOUR} AS at, COALESCE(product_id, '') AS p, COALESCE(category, '') AS c, -1,
        COUNT(*), COALESCE(SUM(quantity), 0), COALESCE(SUM(revenue + 0E0), 0)
    FROM flash_sale_events
    WHERE id BETWEEN :first AND :last AND BINARY event_type = 'purchase'
    GROUP BY at, p, c
    ON DUPLICATE KEY UPDATE
        orders = sales_by_product.orders + VALUES(orders),
        units = sales_by_product.units + VALUES(units),
        revenue = sales_by_product.revenue + VALUES(revenue)
    """,  # noqa: S608 - of texts of our own
)

_VIEWS = {
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
    "data_quality_per_hour": """
        SELECT CAST(DATE_FORMAT(written, '%Y-%m-%d %H:00:00') AS DATETIME) AS hour,
            SUM(events) AS events, SUM(valid) AS valid, SUM(malformed) AS malformed,
            SUM(invalid) AS invalid, SUM(unstorable) AS unstorable,
            SUM(malformed + invalid + unstorable) / NULLIF(SUM(events), 0) AS dropped_share,
            SUM(COALESCE(JSON_EXTRACT(filled, '$.user_id'), 0)) AS filled_user_id,
            SUM(COALESCE(JSON_EXTRACT(filled, '$.category'), 0)) AS filled_category,
            SUM(COALESCE(JSON_EXTRACT(filled, '$.price'), 0)) AS filled_price,
            SUM(COALESCE(JSON_EXTRACT(filled, '$.quantity'), 0)) AS filled_quantity
        FROM batches GROUP BY DATE_FORMAT(written, '%Y-%m-%d %H:00:00')
    """,
}


def upgrade() -> None:
    # Every step may be run again: MySQL has no transactions over changes of the schema.
    op.create_table(
        "sales_by_minute",
        sa.Column("minute", mysql.DATETIME, primary_key=True),
        sa.Column("shard", sa.Integer, primary_key=True, autoincrement=False),
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
        "sales_by_product",
        sa.Column("hour", mysql.DATETIME, primary_key=True),
        sa.Column("product_id", _TEXT, primary_key=True),
        sa.Column("category", _TEXT, primary_key=True),
        sa.Column("shard", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("orders", sa.BigInteger, nullable=False),
        sa.Column("units", sa.BigInteger, nullable=False),
        sa.Column("revenue", mysql.DOUBLE, nullable=False),
        if_not_exists=True,
        **_UTF8,
    )
    op.execute("DELETE FROM sales_by_minute")
    op.execute("DELETE FROM sales_by_product")
    _fill()
    for view, query in _VIEWS.items():
        # With the reader's rights: the account that migrated need not exist for ever.
        op.execute(f"CREATE OR REPLACE SQL SECURITY INVOKER VIEW {view} AS {query}")


def _fill() -> None:
    connection = op.get_bind()
    following = sa.text("SELECT MIN(id) FROM flash_sale_events WHERE id > :last")
    last = -1
    while (first := connection.scalar(following, {"last": last})) is not None:
        last = first + _PORTION - 1
        for statement in _FILL:
            connection.execute(sa.text(statement), {"first": first, "last": last})


def downgrade() -> None:
    for view in _VIEWS:
        op.execute(f"DROP VIEW IF EXISTS {view}")
    op.drop_table("sales_by_product")
    op.drop_table("sales_by_minute")
