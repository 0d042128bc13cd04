"""An event as sent to Kafka, and as stored: the only declaration of every field.

The decoder, the table's columns and limits, the quality flags, the table checks, the simulator and
docs/events.md are derived from it, through ``models.fields``. To add a text or an integer that is
only passed through, declare it among the shared fields and add its column in a migration.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import faust
from faust.models.fields import (
    DatetimeField,
    FieldDescriptor,
    FloatField,
    IntegerField,
    StringField,
)


def _field(
    kind: type[FieldDescriptor[Any]],
    about: str,
    *examples: object,
    nullable: bool = True,
    filled: str = "",
    **options: Any,
) -> Any:
    """Declare a field.

    Args:
        kind: Faust's descriptor; a StringField takes ``max_length``, in characters.
        about: its meaning, for the docs.
        examples: typical values; the simulator sends them unless it computes the field.
        nullable: whether a row may have NULL.
        filled: what ``models.rules`` fills in for a missing value, for the docs.
        options: passed to the descriptor.
    """
    return kind(about=about, examples=examples, nullable=nullable, filled=filled, **options)


class SharedFields(faust.Record, abstract=True):
    """Fields of both an event and its row. In an event, each may be missing or null."""

    event_id: str | None = _field(
        StringField, "names the event", "evt-1", max_length=50, nullable=False
    )
    user_id: str | None = _field(
        StringField,
        "who looked or bought",
        "user_17",
        max_length=50,
        nullable=False,
        filled="`guest_` and the product; `invalid` without one",
    )
    product_id: str | None = _field(StringField, "the product", "P0042", max_length=50)
    category: str | None = _field(
        StringField,
        "the product's category",
        "toys",
        max_length=50,
        nullable=False,
        filled="`category_` and the product's first two characters; `invalid` without one",
    )
    event_type: str | None = _field(
        StringField, "what was done", "purchase", "view", "add_to_cart", max_length=20
    )
    price: float | None = _field(FloatField, "price of one piece", 19.5, nullable=False, filled="0")
    quantity: int | None = _field(IntegerField, "how many pieces", 2, nullable=False, filled="1")


class FlashSaleEvent(SharedFields):
    """An event as the shop sends it."""

    timestamp: datetime | None = _field(
        DatetimeField, "when it happened; UTC unless it names a zone", "2026-11-27T11:15:30+01:00"
    )


class EnrichedEvent(SharedFields):
    """An event as it is stored, in the order of a row's columns.

    ``price`` and ``revenue`` are numbers that the server converts to the right FLOATs; ``ts`` is
    UTC, ``YYYY-MM-DD HH:MM:SS`` with any fraction, which the server rounds or cuts.
    """

    revenue: float = _field(FloatField, "price × quantity", nullable=False)
    ts: datetime | None = _field(
        DatetimeField, "`timestamp` in UTC; MySQL rounds a fraction of a second, MariaDB cuts it"
    )


def as_event(row: Sequence[Any]) -> bytes:
    """An event that would become this stored row, as JSON."""
    stored = dict(zip(EnrichedEvent._options.fields, row, strict=True))
    sent = {name: stored.get(name) for name in FlashSaleEvent._options.fields}
    return json.dumps({**sent, "timestamp": stored["ts"]}, ensure_ascii=False).encode()


def trial_event(name: str) -> bytes:
    """An event with this id that becomes a row, as JSON."""
    value = {"event_id": name, "user_id": "check", "category": "check", "product_id": "check"}
    return json.dumps(value).encode()
