"""Dead letters of a write, as rows: each event once, whatever its size, in bounded memory.

The driver sends bytes as hexadecimal digits, two for each byte, and copies a statement several
times on its way to the server (*measured*: nine bytes of memory for each byte of a value, so 76 MB
for the largest). So they are inserted in groups of about a megabyte of SQL. A value or key that is
too large for the server's `max_allowed_packet` or for our own limit is cut: otherwise the write
would be rejected for ever. Length and digest are those of the whole value.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from logging import getLogger
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.dialects.mysql import insert

from db.connection.session import fenced_sql
from db.schema.tables import dead_letters
from pipeline.chunk import DeadLetter
from pipeline.log_events import named
from pipeline.partition import Partition

log = getLogger(__name__)

#: Bytes kept of a value and of a key at most.
VALUE_LIMIT = 8 << 20
KEY_LIMIT = 1 << 20

#: Bytes of SQL in one statement of several dead letters, about.
_GROUP_BYTES = 1_000_000
#: Upper bounds of what a statement has besides its dead letters, and one of them besides its texts.
_STATEMENT_OVERHEAD = 1_000
_DEAD_LETTER_OVERHEAD = 300

# A dead letter that is stored already stays as it is: the event is the same, and so are the time it
# was written and whether it was replayed. Unlike IGNORE this hides no other error.
_INSERT = insert(dead_letters).on_duplicate_key_update(id=dead_letters.c.id)

_Row = dict[str, Any]
#: A dead letter, and the partition it is from.
PlacedDeadLetter = tuple[Partition, DeadLetter]


def insert_dead_letters(
    connection: Connection, group: str, found: Iterable[PlacedDeadLetter], session: int, packet: int
) -> None:
    """Insert dead letters, except those that are stored already.

    Args:
        connection: in the transaction of the write.
        group: the consumer group.
        found: taken one after the other; about a megabyte of them is held at a time.
        session: of that transaction; in any other one nothing is inserted.
        packet: bytes that the server takes in one statement.

    Raises:
        sqlalchemy.exc.DBAPIError: the server refused it; the transaction must be rolled back.
    """
    packet -= _STATEMENT_OVERHEAD
    now = datetime.now(UTC)
    rows = (_row(group, *letter, now, packet) for letter in found)
    if (first := next(rows, None)) is None:
        return
    # Only the first is fenced: many rows in one statement must be plain parameters.
    here = text(fenced_sql(session, ":here")).bindparams(here=group)
    connection.execute(_INSERT.values(first[0] | {"consumer_group": here}))
    del first
    for some in _groups(rows, min(_GROUP_BYTES, packet)):
        connection.execute(_INSERT, some)


def _row(
    group: str, partition: Partition, letter: DeadLetter, now: datetime, packet: int
) -> tuple[_Row, int]:
    """The row, and the bytes of SQL it takes at most."""
    value, key, detail = letter.value, letter.key, letter.detail[:1000]
    # Quotes in a text are doubled, and digits double bytes.
    size = _DEAD_LETTER_OVERHEAD + 2 * len(f"{group}{partition.topic}{detail}".encode())
    room = max(0, packet - size) // 2
    kept_key = key and key[: min(KEY_LIMIT, room // 8)]
    kept = value and value[: min(VALUE_LIMIT, room - len(kept_key or b""))]
    if (kept, kept_key) != (value, key):
        log.warning(
            "The dead letter of %s/%d is truncated: %d of %d bytes of its value, %d of %d of "
            "its key.",
            partition,
            letter.offset,
            len(kept or b""),
            len(value or b""),
            len(kept_key or b""),
            len(key or b""),
            extra=named("dead_letter_truncated"),
        )
    row: _Row = {
        "consumer_group": group,
        "kafka_topic": partition.topic,
        "kafka_partition": partition.number,
        "kafka_offset": letter.offset,
        "reason": letter.reason,
        "detail": detail,
        "value": kept,
        "kafka_key": kept_key,
        "kafka_ts": _utc(letter.timestamp),
        "created_at": now,
        "value_bytes": None if value is None else len(value),
        # A digest of nothing for a tombstone: in a unique key, nulls are all different.
        "value_sha256": sha256(value or b"").digest(),
    }
    return row, size + 2 * (len(kept or b"") + len(kept_key or b""))


def _groups(rows: Iterator[tuple[_Row, int]], limit: int) -> Iterator[list[_Row]]:
    group: list[_Row] = []
    size = 0
    for row, more in rows:
        if group and size + more > limit:
            yield group
            group, size = [], 0
        group.append(row)
        size += more
    if group:
        yield group


def _utc(milliseconds: int | None) -> datetime | None:
    """Kafka's timestamp; None for "no timestamp" (-1) and what no DATETIME can hold."""
    if milliseconds is None or not 0 <= milliseconds < 253_402_300_800_000:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
