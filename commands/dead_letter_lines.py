"""Formats dead letters: columns, lines, and a whole one as text."""

from typing import Any

from sqlalchemy import Row

from commands.output import Column, Line
from db.dead_letters.query import is_cut
from pipeline.printable import printable

#: Maximum bytes of a value that a line of a table needs.
LISTED_BYTES = 200

LISTED = (
    Column("id"),
    Column("written", "written (UTC)"),
    Column("reason"),
    Column("position"),
    Column("why"),
    Column("value"),
    Column("replayed", "replayed (UTC)", spare=True),
)
WHOLE = tuple(
    map(
        Column,
        (
            *("id", "written", "reason", "topic", "partition", "offset", "why", "key", "value"),
            *("value_bytes", "sha256", "sent", "replayed"),
        ),
    )
)
SUMMARY = (
    Column("day", "day (UTC)"),
    Column("reason"),
    Column("field"),
    Column("dead_letters", "dead letters"),
    Column("pending"),
    Column("example", "example id"),
    Column("position"),
    Column("detail", "why"),
    Column("value", table=False),
)
REFUSALS = (
    Column("reason"),
    Column("dead_letters", "dead letters"),
    Column("example", "example id"),
    Column("why"),
)


def listed_line(letter: Row[Any]) -> Line:
    """A line of the table."""
    return {
        "id": letter.id,
        "written": letter.created_at,
        "reason": letter.reason,
        "position": _position(letter),
        "why": letter.detail,
        "value": printable(letter.value, LISTED_BYTES // 4),
        "replayed": letter.replayed_at,
    }


def whole_line(letter: Row[Any]) -> Line:
    """A whole dead letter, with typed values."""
    return {
        "id": letter.id,
        "written": letter.created_at,
        "reason": letter.reason,
        "topic": letter.kafka_topic,
        "partition": letter.kafka_partition,
        "offset": letter.kafka_offset,
        "why": letter.detail,
        "key": letter.kafka_key,
        "value": letter.value,
        "value_bytes": letter.value_bytes,
        "sha256": letter.value_sha256.hex(),
        "sent": letter.kafka_ts,
        "replayed": letter.replayed_at,
    }


def whole(letter: Row[Any]) -> str:
    """A whole dead letter as printable text."""
    return (
        f"dead letter {letter.id} at {_position(letter)}\n"
        f"  written   {letter.created_at} UTC"
        f"{f', replayed {letter.replayed_at} UTC' if letter.replayed_at else ''}\n"
        f"  sent      {letter.kafka_ts} UTC\n"
        f"  reason    {letter.reason}: {printable(letter.detail.encode())}\n"
        f"  key       {printable(letter.kafka_key)}\n"
        f"  value     {printable(letter.value)}\n{_cut(letter)}"
    )


def _cut(letter: Row[Any]) -> str:
    if not is_cut(letter):
        return ""
    return (
        f"            value cut at {len(letter.value)} of {letter.value_bytes} bytes, "
        f"SHA-256 {letter.value_sha256.hex()}\n"
    )


def _position(letter: Row[Any]) -> str:
    return f"{letter.kafka_topic}/{letter.kafka_partition}/{letter.kafka_offset}"
