"""The tables that every stream needs, as SQLAlchemy metadata.

Migrations create them and those of `db/schema/sales_tables.py`; a test keeps both in sync.
"""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Computed,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.mysql import (
    BINARY,
    DATETIME,
    DOUBLE,
    LONGBLOB,
    VARCHAR,
)

metadata = MetaData()

#: Kafka's names are case-sensitive, so compare by code point, whatever the server's default is.
_NAME = VARCHAR(255, charset="utf8mb4", collation="utf8mb4_bin")
_TOPIC = VARCHAR(249, charset="utf8mb4", collation="utf8mb4_bin")
UTF8: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_row_format": "DYNAMIC",
}


#: The source of truth: every offset below `next_offset` is done. `last_…` identify the last record
#: read below it (offset, leader epoch, Kafka's timestamp in ms, CRC of the value), NULL if unknown.
#: Another record at that offset means that the topic was recreated.
stream_offsets = Table(
    "stream_offsets",
    metadata,
    Column("consumer_group", _NAME, primary_key=True),
    Column("kafka_topic", _TOPIC, primary_key=True),
    Column("kafka_partition", Integer, primary_key=True, autoincrement=False),
    Column("next_offset", BigInteger, nullable=False),
    Column(
        "updated_at",
        DATETIME(fsp=3),
        nullable=False,
        server_default=text("CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)"),
    ),
    Column("last_offset", BigInteger, nullable=True),
    Column("last_epoch", Integer, nullable=True),
    Column("last_timestamp", BigInteger, nullable=True),
    Column("last_checksum", BigInteger, nullable=True),
    **UTF8,
)

#: Partitions paused because too much was dropped, when the next attempt to resume them is due
#: (NULL: a person must), and whether someone asked for one.
circuit_breakers = Table(
    "circuit_breakers",
    metadata,
    Column("consumer_group", _NAME, primary_key=True),
    Column("kafka_topic", _TOPIC, primary_key=True),
    Column("kafka_partition", Integer, primary_key=True, autoincrement=False),
    Column("opened_at", DATETIME(fsp=3), nullable=True),
    Column("reason", String(1000), nullable=True),
    Column("close_requested_at", DATETIME(fsp=3), nullable=True),
    Column(
        "updated_at",
        DATETIME(fsp=3),
        nullable=False,
        server_default=text("CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)"),
    ),
    Column("next_attempt_at", DATETIME(fsp=3), nullable=True),
    **UTF8,
)

#: Dropped events: the value (cut if the server takes no more, with its full length and digest),
#: its position and the reason. Digest and Kafka's timestamp are in the key because a recreated
#: topic has another event at the same position.
dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("consumer_group", _NAME, nullable=False),
    Column("kafka_topic", _TOPIC, nullable=False),
    Column("kafka_partition", Integer, nullable=False),
    Column("kafka_offset", BigInteger, nullable=False),
    Column("reason", String(20), nullable=False),
    Column("detail", String(1000), nullable=False),
    Column("value", LONGBLOB, nullable=True),
    Column("kafka_key", LONGBLOB, nullable=True),
    Column("kafka_ts", DATETIME(fsp=3), nullable=True),
    Column("created_at", DATETIME(fsp=3), nullable=False),
    Column("replayed_at", DATETIME(fsp=3), nullable=True),
    Column("value_bytes", BigInteger, nullable=True),
    # A tombstone has that of the empty value. The default is for workers of the previous version.
    Column(
        "value_sha256",
        BINARY(32),
        nullable=False,
        server_default=text("'unknown, written by an older app'"),
    ),
    # Unique keys treat nulls as different.
    Column(
        "kafka_ts_key",
        DATETIME(fsp=3),
        Computed("COALESCE(kafka_ts, TIMESTAMP'1000-01-01 00:00:00')", persisted=False),
    ),
    UniqueConstraint(
        "consumer_group",
        "kafka_topic",
        "kafka_partition",
        "kafka_offset",
        "value_sha256",
        "kafka_ts_key",
        name="uq_dead_letters",
    ),
    **UTF8,
)

#: Noted hourly: the newest event's id, and each table's bytes by its name.
growth = Table(
    "growth",
    metadata,
    Column("noted_at", DATETIME(fsp=3), primary_key=True),
    Column("newest_id", BigInteger, nullable=False),
    Column("bytes", JSON, nullable=False),
    **UTF8,
)

#: The ledger: one row per batch, written in the batch's own transaction.
batches = Table(
    "batches",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("consumer_group", _NAME, nullable=False),
    Column("worker", String(100), nullable=False),
    Column("number", Integer, nullable=False),
    Column("opened", DATETIME(fsp=3), nullable=False),
    Column("written", DATETIME(fsp=3), nullable=False),
    Column("events", Integer, nullable=False),
    Column("valid", Integer, nullable=False),
    Column("malformed", Integer, nullable=False),
    Column("invalid", Integer, nullable=False),
    Column("unstorable", Integer, nullable=False),
    Column("filled", JSON, nullable=False),
    Column("repaired", JSON, nullable=False),
    Column("revenue", DOUBLE(asdecimal=False), nullable=False),
    Column("seconds", DOUBLE(asdecimal=False), nullable=False),
    # The default is for workers of the previous version.
    Column("duplicate", Integer, nullable=False, server_default=text("0")),
    UniqueConstraint("worker", "number", name="uq_batches"),
    Index("ix_batches_written", "consumer_group", "written"),
    **UTF8,
)

#: What each worker says of itself, on the server's clock; those gone for long are removed.
worker_heartbeats = Table(
    "worker_heartbeats",
    metadata,
    Column("worker", String(100), primary_key=True),
    Column("consumer_group", _NAME, nullable=False),
    Column("version", String(50), nullable=False),
    Column("started_at", DATETIME(fsp=3), nullable=False),
    Column("seen_at", DATETIME(fsp=3), nullable=False),
    Column("next_seconds", Integer, nullable=False),
    Column("stopped_at", DATETIME(fsp=3), nullable=True),
    Column("unready", String(1000), nullable=True),
    Column("partitions", JSON, nullable=False),
    **UTF8,
)

#: What happened to workers, on the server's clock; old ones are removed.
worker_events = Table(
    "worker_events",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("consumer_group", _NAME, nullable=False),
    Column("worker", String(100), nullable=False),
    Column("kind", String(30), nullable=False),
    Column("since", DATETIME(fsp=3), nullable=True),
    Column("at", DATETIME(fsp=3), nullable=False),
    Column("number", Integer, nullable=False),
    Column("detail", String(1000), nullable=False),
    **UTF8,
)
