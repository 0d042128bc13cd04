"""The tables, as SQLAlchemy metadata. Migrations create them; a test keeps both alike."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
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
    FLOAT,
    LONGBLOB,
    TIMESTAMP,
    VARBINARY,
    VARCHAR,
)

from models.fields import ROW_FIELDS, ROW_NAMES, Field

metadata = MetaData()

#: To Kafka `Group` and `group` differ: compared by code point, whatever the server's default is.
_NAME = VARCHAR(255, charset="utf8mb4", collation="utf8mb4_bin")
_TOPIC = VARCHAR(249, charset="utf8mb4", collation="utf8mb4_bin")
_UTF8: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}

_TYPES: dict[type, Any] = {float: FLOAT, int: Integer, datetime: TIMESTAMP}


def _column(field: Field) -> Column[Any]:
    # Every column takes NULL, as it did with the job replaced.
    kind = String(field.max_length) if field.kind is str else _TYPES[field.kind]
    return Column(field.name, kind, nullable=True)


#: Names and types are those of the table the reports already read.
flash_sale_events = Table(
    "flash_sale_events",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    *map(_column, ROW_FIELDS),
    **_UTF8,
)

#: The source of truth of what is done: everything below `next_offset`. `last_…` identify the last
#: record read below it (offset, leader epoch, Kafka's timestamp in ms, CRC of the value), NULL
#: where unknown: another record at that offset means another log.
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
    **_UTF8,
)

#: Partitions held because too much was dropped, and whether someone asked to release them.
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
    **_UTF8,
)

#: What was dropped: the value, cut where the server takes no more, where it was, and why. Its full
#: length and digest are kept; the digest is in the key, because the position alone does not tell
#: an event from the one that stands there after the topic was recreated.
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
    # Of the empty value for a tombstone. The default is for workers of the version before.
    Column(
        "value_sha256",
        BINARY(32),
        nullable=False,
        server_default=text("'unknown, written by an older app'"),
    ),
    UniqueConstraint(
        "consumer_group",
        "kafka_topic",
        "kafka_partition",
        "kafka_offset",
        "value_sha256",
        name="uq_dead_letters",
    ),
    **_UTF8,
)

#: The ledger: one line a batch, written in the batch's own transaction.
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
    # The default is for workers of the version before.
    Column("duplicate", Integer, nullable=False, server_default=text("0")),
    UniqueConstraint("worker", "number", name="uq_batches"),
    **_UTF8,
)

#: How far the sums are; one row. Rows with ids up to `last_id` are in them, and `last_checksum` is
#: that of this row's `event_id`: if it differs, ids started again. No write of ours in progress can
#: add an id up to `mark_id`, which was the newest id at `marked_at`. At `complete_at` every row was
#: in the sums. Views show the sums of generation `shown`; the next one is built beside them.
rollup_state = Table(
    "rollup_state",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("generation", Integer, nullable=False),
    Column("shown", Integer, nullable=False),
    Column("last_id", BigInteger, nullable=False),
    Column("last_checksum", BigInteger, nullable=True),
    Column("mark_id", BigInteger, nullable=False),
    Column("marked_at", DATETIME(fsp=3), nullable=False),
    Column("complete_at", DATETIME(fsp=3), nullable=False),
    **_UTF8,
)

#: Events by step of the funnel and what purchases brought, by the minute of the event.
rollup_minutes = Table(
    "rollup_minutes",
    metadata,
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("minute", DATETIME, primary_key=True),
    Column("views", BigInteger, nullable=False),
    Column("carts", BigInteger, nullable=False),
    Column("purchases", BigInteger, nullable=False),
    Column("others", BigInteger, nullable=False),
    Column("units", BigInteger, nullable=False),
    Column("revenue", DOUBLE(asdecimal=False), nullable=False),
    **_UTF8,
)

#: Bytes of UTF-8: in every collation that all servers have, some texts that differ are equal.
_KEY_BYTES = VARBINARY(1020)
#: What purchases brought, by the hour of the event, product and category.
rollup_products = Table(
    "rollup_products",
    metadata,
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("hour", DATETIME, primary_key=True),
    Column("product_id", _KEY_BYTES, primary_key=True),
    Column("category", _KEY_BYTES, primary_key=True),
    Column("orders", BigInteger, nullable=False),
    Column("units", BigInteger, nullable=False),
    Column("revenue", DOUBLE(asdecimal=False), nullable=False),
    **_UTF8,
)

#: Columns of a stored row, in the order in which the models make it.
ROW_COLUMNS = ROW_NAMES
