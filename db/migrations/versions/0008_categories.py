"""Sales per category and minute, and notes of how the tables grow.

Workers of the version before move the watermark of all sums and do not know these, so these have
one of their own: a new worker adds all rows below the other one, in the background.
Every step may be run again: MySQL has no transactions over changes of the schema.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_UTF8: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_row_format": "DYNAMIC",
}
_VIEW = "sales_per_category_minute"
_QUERY = """
    SELECT CASE WHEN minute > '1000-01-01' THEN minute END AS minute,
        CONVERT(category USING utf8mb4) COLLATE utf8mb4_bin AS category, orders, units,
        IF(ABS(revenue) < 1e15, ROUND(revenue, 2), revenue) AS revenue
    FROM rollup_categories WHERE generation = (SELECT shown FROM rollup_state)
"""
#: Of the watermark: the generation of these sums, and the id up to which rows are in them.
_COLUMNS = {
    "category_generation": "INT NOT NULL DEFAULT 0",
    "category_last_id": "BIGINT NOT NULL DEFAULT 0",
}


def upgrade() -> None:
    op.create_table(
        "rollup_categories",
        sa.Column("generation", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("minute", mysql.DATETIME, primary_key=True),
        sa.Column("category", mysql.VARBINARY(1020), primary_key=True),
        sa.Column("orders", sa.BigInteger, nullable=False),
        sa.Column("units", sa.BigInteger, nullable=False),
        sa.Column("revenue", mysql.DOUBLE, nullable=False),
        if_not_exists=True,
        **_UTF8,
    )
    for name in _COLUMNS.keys() - _columns():
        op.execute(
            f"ALTER TABLE rollup_state ADD COLUMN {name} {_COLUMNS[name]} NOT NULL DEFAULT 0"
        )
    op.create_table(
        "growth",
        sa.Column("noted_at", mysql.DATETIME(fsp=3), primary_key=True),
        sa.Column("newest_id", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.JSON, nullable=False),
        if_not_exists=True,
        **_UTF8,
    )
    # With the reader's rights: the account that migrated need not exist for ever.
    op.execute(f"CREATE OR REPLACE SQL SECURITY INVOKER VIEW {_VIEW} AS {_QUERY}")


def downgrade() -> None:
    op.execute(f"DROP VIEW IF EXISTS {_VIEW}")
    for name in _COLUMNS.keys() & _columns():
        op.execute(f"ALTER TABLE rollup_state DROP COLUMN {name}")
    op.drop_table("rollup_categories", if_exists=True)
    op.drop_table("growth", if_exists=True)


def _columns() -> set[str]:
    return {column["name"] for column in sa.inspect(op.get_bind()).get_columns("rollup_state")}
