"""A loop by hand: confluent-kafka, json, executemany; offsets after the commit."""

import json

from confluent_kafka import Consumer
from rules import GROUP, INSERT, KAFKA, TOPIC, connect, to_row

BATCH = 10_000


def main() -> None:
    """Run until killed."""
    consumer = Consumer(
        {
            "bootstrap.servers": KAFKA,
            "group.id": GROUP,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([TOPIC])
    database = connect()
    while True:
        messages = consumer.consume(BATCH, timeout=1.0)
        rows = [to_row(json.loads(message.value())) for message in messages if not message.error()]
        valid = [row for row in rows if row is not None]
        if valid:
            with database.cursor() as cursor:
                cursor.executemany(INSERT, valid)
            database.commit()
        if messages:
            consumer.commit(asynchronous=True)


if __name__ == "__main__":
    main()
