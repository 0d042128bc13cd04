"""Chunks of sales: many products, categories and minutes."""

import json

from sqlalchemy import text

from agents.flash_sales import FLASH_SALES
from db.write.writer import Writer
from pipeline.chunk import Chunk
from pipeline.partition import Partition
from pipeline.record import PlainRecord
from tests.helpers.accounts import owner
from tests.helpers.sink import NOW


def chunk(values, partition=0, start=0):
    """A chunk of these values."""
    records = [
        PlainRecord(start + n, value, timestamp=1_795_774_530_000) for n, value in enumerate(values)
    ]
    return Chunk.transform(
        FLASH_SALES, Partition("t", partition), start, start + len(values), records
    )


def event(number, **fields):
    """The value of an event: its number decides what was sold, to which step and when."""
    good = {
        "event_id": f"e{number}",
        "user_id": "u",
        "product_id": f"P{number % 7}",
        "category": f"c{number % 3}",
        "event_type": ("view", "add_to_cart", "purchase", "purchase", "gift", None)[number % 6],
        "price": 1.25 * number,
        "quantity": 1 + number % 3,
        "timestamp": f"2026-11-27T{number % 3:02}:{number % 60:02}:05Z",
    }
    return json.dumps({**good, **fields}).encode()


def write(engine, number, *, partition=0, size=10, group="g"):
    """Write events of which no other number has any."""
    values = [event(number * size + n) for n in range(size)]
    Writer(engine, group, FLASH_SALES, f"w{group}{partition}").write(
        number, NOW, [chunk(values, partition, number * size)]
    )


def shown(engine):
    """Orders that the views show."""
    with owner(engine).connect() as connection:
        return connection.execute(text("SELECT SUM(orders) FROM sales_per_minute")).scalar()
