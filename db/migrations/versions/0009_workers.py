"""What workers leave for others to see: a heartbeat row each, and events of the last weeks.

And an index over the ledger's times, for the page's history and for reports.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_NAME = mysql.VARCHAR(255, charset="utf8mb4", collation="utf8mb4_bin")
_UTF8: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_row_format": "DYNAMIC",
}
_INDEX = "ix_batches_written"


def upgrade() -> None:
    # Every step may be run again: MySQL has no transactions over changes of the schema.
    op.create_table(
        "worker_heartbeats",
        sa.Column("worker", sa.String(100), primary_key=True),
        sa.Column("consumer_group", _NAME, nullable=False),
        sa.Column("version", sa.String(50), nullable=False),
        sa.Column("started_at", mysql.DATETIME(fsp=3), nullable=False),
        sa.Column("seen_at", mysql.DATETIME(fsp=3), nullable=False),
        sa.Column("next_seconds", sa.Integer, nullable=False),
        sa.Column("stopped_at", mysql.DATETIME(fsp=3)),
        sa.Column("unready", sa.String(1000)),
        sa.Column("partitions", sa.JSON, nullable=False),
        if_not_exists=True,
        **_UTF8,
    )
    op.create_table(
        "worker_events",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=True),
        sa.Column("consumer_group", _NAME, nullable=False),
        sa.Column("worker", sa.String(100), nullable=False),
        sa.Column("kind", sa.String(30), nullable=False),
        sa.Column("since", mysql.DATETIME(fsp=3)),
        sa.Column("at", mysql.DATETIME(fsp=3), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("detail", sa.String(1000), nullable=False),
        if_not_exists=True,
        **_UTF8,
    )
    if _INDEX not in _indexes():
        op.create_index(_INDEX, "batches", ["consumer_group", "written"])


def downgrade() -> None:
    if _INDEX in _indexes():
        op.drop_index(_INDEX, "batches")
    op.drop_table("worker_events", if_exists=True)
    op.drop_table("worker_heartbeats", if_exists=True)


def _indexes() -> set[str | None]:
    return {index["name"] for index in sa.inspect(op.get_bind()).get_indexes("batches")}
