"""Faust as its guide has it: a Record, an agent over single events, a list that is flushed."""

import asyncio
from time import monotonic

import faust
from rules import GROUP, INSERT, KAFKA, TOPIC, connect, to_row

BATCH = 5_000
INTERVAL = 5.0


class FlashSaleEvent(faust.Record):
    """An event as the shop sends it."""

    event_id: str | None = None
    user_id: str | None = None
    product_id: str | None = None
    category: str | None = None
    event_type: str | None = None
    price: float | None = None
    quantity: int | None = None
    timestamp: str | None = None


app = faust.App(
    GROUP,
    broker=f"kafka://{KAFKA}",
    store="memory://",
    web_enabled=False,
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
)
topic = app.topic(TOPIC, value_type=FlashSaleEvent)
database = connect()
rows: list[tuple[object, ...]] = []
last_flush = monotonic()


def write(batch: list[tuple[object, ...]]) -> None:
    """Store a batch in a transaction."""
    with database.cursor() as cursor:
        cursor.executemany(INSERT, batch)
    database.commit()


async def flush() -> None:
    """Store what is waiting, in a thread."""
    global rows, last_flush
    batch, rows, last_flush = rows, [], monotonic()
    if batch:
        await asyncio.to_thread(write, batch)


@app.agent(topic)
async def enrich(stream: faust.StreamT[FlashSaleEvent]) -> None:
    """Make each event a row; flush when there are many, or some and old."""
    async for event in stream:
        row = to_row(event.asdict())
        if row is not None:
            rows.append(row)
        if len(rows) >= BATCH or monotonic() - last_flush > INTERVAL:
            await flush()


@app.timer(1.0)
async def flush_the_rest() -> None:
    """Store what came last, when nothing follows."""
    if monotonic() - last_flush > INTERVAL:
        await flush()


if __name__ == "__main__":
    app.main()
