"""Records and chunks for tests of the sink, and what a database holds after a write."""

import json
from datetime import UTC, datetime

from sqlalchemy import select, text
from sqlalchemy.event import listen

from agents.flash_sales import FLASH_SALES
from db.connection.session import Transaction
from db.schema.sales_tables import flash_sale_events
from db.schema.tables import dead_letters
from db.write.offsets import OffsetStore
from pipeline.chunk import Chunk
from pipeline.partition import Partition
from pipeline.record import PlainRecord
from tests.helpers.accounts import dba

NOW = datetime(2026, 11, 27, 10, 0, tzinfo=UTC)


def record(
    offset: int,
    value: bytes | None,
    key: bytes | None = b"\x00key",
    timestamp: int | None = 1_795_774_530_123,
) -> PlainRecord:
    """A record as Kafka has it."""
    return PlainRecord(offset, value, key, timestamp)


def event(number: int, **fields: object) -> bytes:
    """The value of an event that becomes a row."""
    return json.dumps(
        {"event_id": f"e{number}", "user_id": "u", "product_id": "p", "category": "c", **fields}
    ).encode()


def chunk(start: int, end: int, *, partition: int = 0, **fields: object) -> Chunk:
    """A chunk of good events, numbered by their offsets."""
    records = [record(n, event(n, **fields)) for n in range(start, end)]
    return Chunk.transform(FLASH_SALES, Partition("t", partition), start, end, records)


def stored_ids(engine):
    """Event ids of the rows, in the order in which they were stored."""
    with engine.connect() as connection:
        return list(connection.scalars(select(flash_sale_events.c.event_id).order_by("id")))


def statements(engine, part):
    """The statements with this part from now on."""
    seen = []

    def note(_connection, _cursor, statement, *_):
        if part in statement:
            seen.append(statement)

    listen(engine, "before_cursor_execute", note)
    return seen


def stored_offsets(engine):
    """The offsets stored for group ``g`` and topic ``t``, by partition."""
    return {one.number: at for one, at in OffsetStore(engine, "g").read("t").items()}


def dead_letter_rows(engine):
    """The dead letters, oldest first."""
    with engine.connect() as connection:
        return connection.execute(select(dead_letters).order_by(dead_letters.c.id)).all()


def constrain(engine):
    """Have the table take one row a user, none of the category ``bad``, and only product ``p``."""
    with dba(engine).begin() as connection:
        for statement in (
            "CREATE TABLE products (product_id VARCHAR(50) PRIMARY KEY) CHARACTER SET utf8mb4 "
            "COLLATE utf8mb4_bin",
            "INSERT INTO products VALUES ('p')",
            "ALTER TABLE flash_sale_events MODIFY product_id VARCHAR(50) CHARACTER SET utf8mb4 "
            "COLLATE utf8mb4_bin, ADD UNIQUE one_a_user (user_id), "
            "ADD CONSTRAINT none_bad CHECK (category <> 'bad'), "
            "ADD CONSTRAINT listed FOREIGN KEY (product_id) REFERENCES products (product_id)",
        ):
            connection.execute(text(statement))


def write(connection, packet=1 << 24):
    """The transaction of a write on this connection."""
    session = connection.scalar(text("SELECT CONNECTION_ID()"))
    return Transaction(connection, FLASH_SALES, session, packet)
