"""Views show revenue in whole cents: a sum of floating-point numbers has digits beyond them."""

from collections.abc import Callable

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_SHOWN = "generation = (SELECT shown FROM rollup_state)"
_MINUTE = "CASE WHEN minute > '1000-01-01' THEN minute END AS minute"
_HOUR = "CASE WHEN hour > '1000-01-01' THEN hour END AS hour"
_PRODUCT = "CONVERT(product_id USING utf8mb4) COLLATE utf8mb4_bin AS product_id"
_CATEGORY = "CONVERT(category USING utf8mb4) COLLATE utf8mb4_bin AS category"


def upgrade() -> None:
    _make(_rounded)


def downgrade() -> None:
    _make(lambda revenue: revenue)


def _rounded(revenue: str) -> str:
    # MariaDB's ROUND cuts what lies beyond 17 digits to 1e17; there are no cents there anyway.
    return f"IF(ABS({revenue}) < 1e15, ROUND({revenue}, 2), {revenue})"


def _make(money: Callable[[str], str]) -> None:
    one = f"orders, units, {money('revenue')} AS revenue"
    summed = f"SUM(orders) AS orders, SUM(units) AS units, {money('SUM(revenue)')} AS revenue"
    views = {
        "sales_per_minute": f"{_MINUTE}, purchases AS {one} FROM rollup_minutes WHERE {_SHOWN}",
        "sales_per_product": f"{_PRODUCT}, {summed} FROM rollup_products WHERE {_SHOWN}"
        " GROUP BY rollup_products.product_id",
        "sales_per_product_hour": f"{_HOUR}, {_PRODUCT}, {_CATEGORY}, {one}"
        f" FROM rollup_products WHERE {_SHOWN}",
        "sales_per_category": f"{_CATEGORY}, {summed} FROM rollup_products WHERE {_SHOWN}"
        " GROUP BY rollup_products.category",
    }
    for view, query in views.items():
        # With the reader's rights: the account that migrated need not exist for ever.
        op.execute(f"CREATE OR REPLACE SQL SECURITY INVOKER VIEW {view} AS SELECT {query}")
