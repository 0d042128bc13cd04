"""What an event is: as sent to Kafka, and as stored. The only definition of the schema."""

import json
from collections.abc import Sequence
from typing import Any

import faust
from faust.models.fields import StringField


class FlashSaleEvent(faust.Record):
    """An event as the shop sends it; any field may be missing or null."""

    event_id: str | None = None
    user_id: str | None = None
    product_id: str | None = None
    category: str | None = None
    event_type: str | None = None
    price: float | None = None
    quantity: int | None = None
    timestamp: str | None = None


class EnrichedEvent(faust.Record):
    """An event as it is stored, in the order of the table's columns.

    ``price`` and ``revenue`` are numbers that become the right FLOATs; ``ts`` is UTC,
    ``YYYY-MM-DD HH:MM:SS``.
    """

    event_id: str = StringField(max_length=50)
    user_id: str = StringField(max_length=50)
    product_id: str | None = StringField(max_length=50)
    category: str = StringField(max_length=50)
    event_type: str | None = StringField(max_length=20)
    price: float
    quantity: int
    revenue: float
    ts: str | None


def max_length(field: str) -> int:
    """Most characters (code points) the stored field holds."""
    descriptor: Any = EnrichedEvent._options.descriptors[field]
    return int(descriptor.max_length)


def as_event(row: Sequence[Any]) -> bytes:
    """An event that would become this stored row, as JSON."""
    stored = dict(zip(EnrichedEvent._options.fields, row, strict=True))
    sent = {name: stored.get(name) for name in FlashSaleEvent._options.fields}
    return json.dumps({**sent, "timestamp": stored["ts"]}, ensure_ascii=False).encode()
