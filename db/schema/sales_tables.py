"""The events table and the tables of the sales sums, as SQLAlchemy metadata."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    String,
    Table,
    text,
)
from sqlalchemy.dialects.mysql import (
    DATETIME,
    DOUBLE,
    FLOAT,
    TIMESTAMP,
    VARBINARY,
)

from db.schema.tables import UTF8, metadata
from models.fields import ROW_FIELDS, ROW_NAMES, Field

_TYPES: dict[type, Any] = {float: FLOAT, int: Integer, datetime: TIMESTAMP}


def _column(field: Field) -> Column[Any]:
    # Every column is nullable, as in the replaced job's table.
    kind = String(field.max_length) if field.kind is str else _TYPES[field.kind]
    return Column(field.name, kind, nullable=True)


#: With the names and types of the table that existing reports read.
flash_sale_events = Table(
    "flash_sale_events",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    *map(_column, ROW_FIELDS),
    **UTF8,
)


#: How far the sums are; one row. Rows with ids up to `last_id` are in them; `last_checksum` is the
#: checksum of that row's `event_id`: if it differs, ids restarted. `mark_id` was the newest id at
#: `marked_at`, and no write in progress can add an id up to it. At `complete_at` every row was in
#: the sums. Views show generation `shown`, while a rebuild builds the next one. The sums by
#: category have a watermark of their own: workers of the previous version move `last_id` only.
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
    Column("category_generation", Integer, nullable=False, server_default=text("0")),
    Column("category_last_id", BigInteger, nullable=False, server_default=text("0")),
    **UTF8,
)


#: Per minute of event time: events by funnel step, and units and revenue of purchases.
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
    **UTF8,
)


#: UTF-8 bytes: every collation that all servers have treats some different texts as equal.
_KEY_BYTES = VARBINARY(1020)


#: Purchases per hour of event time, product and category.
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
    **UTF8,
)


#: Purchases per minute of event time and category.
rollup_categories = Table(
    "rollup_categories",
    metadata,
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("minute", DATETIME, primary_key=True),
    Column("category", _KEY_BYTES, primary_key=True),
    Column("orders", BigInteger, nullable=False),
    Column("units", BigInteger, nullable=False),
    Column("revenue", DOUBLE(asdecimal=False), nullable=False),
    **UTF8,
)


#: Columns of a stored row, in the order of `models.rules`.
ROW_COLUMNS = ROW_NAMES
