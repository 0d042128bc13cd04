"""Sales by minute and by product, and the views over them.

Rows that are there already are not summed here: migration 0004 replaces these sums.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_UTF8: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_row_format": "DYNAMIC",
}
_TEXT = mysql.VARCHAR(50, charset="utf8mb4", collation="utf8mb4_bin")

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
    for view, query in _VIEWS.items():
        # With the reader's rights: the account that migrated need not exist for ever.
        op.execute(f"CREATE OR REPLACE SQL SECURITY INVOKER VIEW {view} AS {query}")


def downgrade() -> None:
    for view in _VIEWS:
        op.execute(f"DROP VIEW IF EXISTS {view}")
    op.drop_table("sales_by_product")
    op.drop_table("sales_by_minute")
