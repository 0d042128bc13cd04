"""Topics full of numbered events, and what the table must hold after each has been read once.

Events are made of a pool of simulated ones: each is one of the pool with an `event_id` of its
own. So a million of them take seconds, and so does the checksum of their rows.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import cycle, islice
from random import Random
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from benchmarks.traffic.mixes import POOL, Mix, Template, all_different, sale
from dev.servers.broker import DEFAULT_PARTITIONS, Broker
from dev.servers.database import DEFAULT, chosen
from models.fields import ROW_FIELDS, ROW_NAMES
from models.rules import Row

#: Events from before that may be sent again.
_REMEMBERED = 100_000
#: Settings of the producer: what a busy shop's would be.
CODEC = "lz4"
PRODUCER = {"compression.type": CODEC, "linger.ms": 50, "batch.size": 131_072, "acks": "all"}

#: What the checksum is of, besides the id; prices and revenues are added up.
_DIGESTED = [
    field.name for field in ROW_FIELDS if field.kind is not float and field.name != "event_id"
]


@dataclass
class Expected:
    """What the table must hold: the number of rows, and sums over all of them."""

    rows: int = 0
    dropped: int = 0
    checksum: int = 0
    price: float = 0.0
    revenue: float = 0.0

    def add(self, template: Template, event_id: bytes) -> None:
        """Take in what must become of one more event."""
        if template.row is None:
            self.dropped += 1
            return
        self.rows += 1
        self.checksum += zlib.crc32(_digest(template.row), zlib.crc32(event_id))
        self.price += _value(template.row, "price")
        self.revenue += _value(template.row, "revenue")


@dataclass(frozen=True)
class Topic:
    """A topic of ``events`` events, and what must become of them."""

    name: str
    events: int
    expected: Expected
    #: Bytes of a value, on average.
    size: float = 0.0


#: Has the database refuse those rows.
CHECKED = "ALTER TABLE flash_sale_events ADD CONSTRAINT not_refused CHECK (event_type <> 'refused')"


def numbered(mix: Mix) -> Iterator[tuple[bytes | None, Template, bytes]]:
    """Events without end: value, template and id. The same mix gives the same events."""
    templates = mix(Random(3))  # noqa: S311 - not for secrets
    for number, template in enumerate(
        templates if mix is all_different else cycle(islice(templates, POOL))
    ):
        event_id = b"evt-%09d" % number
        yield template.value(event_id), template, event_id


def repeating(mix: Mix, every: int) -> Iterator[tuple[bytes | None, Template | None, bytes]]:
    """As ``numbered``, but one of ``every`` events is one from before, and has no template."""
    chance = Random(4)  # noqa: S311 - not for secrets
    before: list[tuple[bytes | None, bytes]] = []
    for number, (value, template, event_id) in enumerate(numbered(mix), start=1):
        if number % every == 0:
            again, its_id = chance.choice(before)
            yield again, None, its_id
            continue
        if len(before) < _REMEMBERED:
            before.append((value, event_id))
        else:
            before[chance.randrange(_REMEMBERED)] = value, event_id
        yield value, template, event_id


def expected(mix: Mix, size: int) -> Expected:
    """What must become of the first ``size`` events of a mix, each sent once."""
    found = Expected()
    for _, template, event_id in islice(numbered(mix), size):
        found.add(template, event_id)
    return found


def fill(
    broker: Broker,
    name: str,
    size: int,
    mix: Mix = sale,
    codec: str = CODEC,
    repeat: int = 0,
    partitions: int = DEFAULT_PARTITIONS,
) -> Topic:
    """Create a topic and send events to its partitions in turn, compressed with a codec.

    Args:
        broker: where.
        name: of the topic.
        size: how many events.
        mix: which ones.
        codec: they are compressed with it.
        repeat: one of so many was sent before; 0 for none.
        partitions: of the topic.

    Raises:
        RuntimeError: the broker did not take them all.
    """
    broker.create_topic(name, partitions)
    failures: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append(error)

    producer = Producer(
        {
            **PRODUCER,
            "compression.type": codec,
            "bootstrap.servers": broker.bootstrap,
            "queue.buffering.max.messages": 1_000_000,
            "delivery.report.only.error": True,
            "on_delivery": delivered,
        }
    )
    must_hold = Expected()
    total = 0
    source = repeating(mix, repeat) if repeat else numbered(mix)
    for number, (value, template, event_id) in enumerate(islice(source, size)):
        while True:
            try:
                producer.produce(name, value, partition=number % partitions)
                break
            except BufferError:
                producer.poll(0.1)
        total += len(value or b"")
        if template is not None:
            must_hold.add(template, event_id)
    if producer.flush(120) or failures:
        raise RuntimeError(f"The broker did not take all of {name}: {failures[:1]}")
    return Topic(name, size, must_hold, total / size if size else 0.0)


#: The same over the table; price and revenue are sums of their own, because a program that
#: computes in float32 is right as well.
CHECK = f"""
SELECT COUNT(*), COALESCE(SUM(price), 0), COALESCE(SUM(revenue), 0), COALESCE(SUM(CRC32(CONCAT_WS(
    '|', event_id, {", ".join(f"COALESCE({name}, '')" for name in _DIGESTED)}))), 0)
FROM flash_sale_events WHERE id > %s
"""  # noqa: S608 - names of our own


def _digest(row: Row) -> bytes:
    parts = (_as_stored(name, _value(row, name)) for name in _DIGESTED)
    return "".join(f"|{'' if part is None else part}" for part in parts).encode()


def _as_stored(name: str, value: Any) -> Any:
    """The value as the column has it: of a time, MySQL rounds the fraction and MariaDB cuts it."""
    if name != "ts" or value is None or "." not in value:
        return value
    moment = datetime.fromisoformat(value)
    if (chosen() or DEFAULT).startswith("mysql"):
        moment += timedelta(seconds=0.5)
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _value(row: Row, name: str) -> Any:
    return row[ROW_NAMES.index(name)]
