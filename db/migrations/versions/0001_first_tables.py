"""The events table as the replaced job made it, and the tables beside it."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_NAME = mysql.VARCHAR(255, charset="utf8mb4", collation="utf8mb4_bin")
_TOPIC = mysql.VARCHAR(249, charset="utf8mb4", collation="utf8mb4_bin")
_UTF8: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_row_format": "DYNAMIC",
}


def upgrade() -> None:
    # Every step may be run again: MySQL has no transactions over changes of the schema. And the
    # replaced job's own table, with its rows, is taken over where it is there already.
    op.create_table(
        "flash_sale_events",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=True),
        sa.Column("event_id", sa.String(50)),
        sa.Column("user_id", sa.String(50)),
        sa.Column("product_id", sa.String(50)),
        sa.Column("category", sa.String(50)),
        sa.Column("event_type", sa.String(20)),
        sa.Column("price", mysql.FLOAT),
        sa.Column("quantity", sa.Integer),
        sa.Column("revenue", mysql.FLOAT),
        sa.Column("ts", mysql.TIMESTAMP, nullable=True),
        if_not_exists=True,
        **_UTF8,
    )
    op.create_table(
        "stream_offsets",
        sa.Column("consumer_group", _NAME, primary_key=True),
        sa.Column("kafka_topic", _TOPIC, primary_key=True),
        sa.Column("kafka_partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
        sa.Column(
            "updated_at",
            mysql.DATETIME(fsp=3),
            nullable=False,
            server_default=sa.text("CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)"),
        ),
        if_not_exists=True,
        **_UTF8,
    )
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=True),
        sa.Column("consumer_group", _NAME, nullable=False),
        sa.Column("kafka_topic", _TOPIC, nullable=False),
        sa.Column("kafka_partition", sa.Integer, nullable=False),
        sa.Column("kafka_offset", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.String(20), nullable=False),
        sa.Column("detail", sa.String(1000), nullable=False),
        sa.Column("value", mysql.LONGBLOB),
        sa.Column("kafka_key", mysql.LONGBLOB),
        sa.Column("kafka_ts", mysql.DATETIME(fsp=3)),
        sa.Column("created_at", mysql.DATETIME(fsp=3), nullable=False),
        sa.Column("replayed_at", mysql.DATETIME(fsp=3)),
        sa.UniqueConstraint(
            "consumer_group",
            "kafka_topic",
            "kafka_partition",
            "kafka_offset",
            name="uq_dead_letters",
        ),
        if_not_exists=True,
        **_UTF8,
    )
    op.create_table(
        "batches",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=True),
        sa.Column("consumer_group", _NAME, nullable=False),
        sa.Column("worker", sa.String(100), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("opened", mysql.DATETIME(fsp=3), nullable=False),
        sa.Column("written", mysql.DATETIME(fsp=3), nullable=False),
        sa.Column("events", sa.Integer, nullable=False),
        sa.Column("valid", sa.Integer, nullable=False),
        sa.Column("malformed", sa.Integer, nullable=False),
        sa.Column("invalid", sa.Integer, nullable=False),
        sa.Column("unstorable", sa.Integer, nullable=False),
        sa.Column("filled", sa.JSON, nullable=False),
        sa.Column("repaired", sa.JSON, nullable=False),
        sa.Column("revenue", mysql.DOUBLE, nullable=False),
        sa.Column("seconds", mysql.DOUBLE, nullable=False),
        sa.UniqueConstraint("worker", "number", name="uq_batches"),
        if_not_exists=True,
        **_UTF8,
    )


def downgrade() -> None:
    # Events are never dropped by a migration: the table was there before this app.
    for table in ("batches", "dead_letters", "stream_offsets"):
        op.drop_table(table)
