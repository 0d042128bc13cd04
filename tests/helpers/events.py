"""Events as tests send them, what became of them in the database, and what Kafka lost."""

import json

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from tests.helpers.worker import dead_letters, rows, stored_offsets


def event(number, **fields):
    """The value of an event that becomes a row; its id is ``e`` and the number."""
    good = {"event_id": f"e{number}", "user_id": "u", "product_id": "p", "category": "c"}
    return json.dumps({**good, "price": 2.0, "quantity": 3, **fields}).encode()


def stored(url):
    """How many events became a row or a dead letter."""
    return len(rows(url)) + len(dead_letters(url))


def names(*numbers):
    """The ids of these events, sorted."""
    return sorted(f"e{n}" for found in numbers for n in found)


def offsets_of(url):
    """The stored offsets by partition."""
    return {partition: offset for (_, _, partition), offset in stored_offsets(url).items()}


def ids(url):
    """The event ids of the rows, sorted."""
    return sorted(row["event_id"] for row in rows(url))


def delete_before(broker, topic, partition, offset):
    """As retention does."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    for future in admin.delete_records([TopicPartition(topic, partition, offset)]).values():
        future.result(20)
