"""Event ids that are sent again, and ids that only look alike."""

import json

from agents.flash_sales import FLASH_SALES
from pipeline.chunk import Chunk
from pipeline.partition import Partition
from tests.helpers.sink import record

#: Alike to the collations of the servers, byte by byte all different.
ALIKE = (
    "e1",
    "E1",
    "e1 ",
    "e1  ",
    "e1\x00",
    "\u00e9",
    "e\u0301",
    "e",
    "🔥",
    "🔥\t",
    "ß",
    "ss",
    "'\"\\",
)
PARTITIONS = range(4)


def value(event_id: str, **fields: object) -> bytes:
    """The value of a view with this id."""
    whole = {"event_id": event_id, "user_id": "u", "product_id": "p", "category": "c"}
    whole |= {"event_type": "view", "timestamp": "2026-11-27 10:00:00"}
    return json.dumps({**whole, "price": 1.5, "quantity": 2, **fields}).encode()


def chunk_of(values, start=0, partition=0):
    """A chunk of these values."""
    records = [record(start + n, one) for n, one in enumerate(values)]
    return Chunk.transform(
        FLASH_SALES, Partition("t", partition), start, start + len(records), records
    )


def chunk(*ids, start=0, partition=0):
    """A chunk of events with these ids."""
    return chunk_of([value(one) for one in ids], start, partition)
