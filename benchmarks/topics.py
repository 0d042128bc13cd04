"""Topics full of numbered events, and what the table must hold after each has been read once.

Events are made of a pool of simulated ones: each is one of the pool with an `event_id` of its
own. So a million of them take seconds, and so does the checksum of their rows.
"""

import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count, cycle, islice
from random import Random
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from commands.traffic.simulator import Event, events
from dev.broker import DEFAULT_PARTITIONS, Broker
from models.fields import EVENT_FIELDS, ROW_FIELDS, ROW_NAMES
from models.rules import Rejection, Row, transform

#: Different events in the pool; ids apart.
POOL = 20_000
#: Events from before that may be sent again.
_REMEMBERED = 100_000
#: Settings of the producer: what a busy shop's would be.
CODEC = "lz4"
PRODUCER = {"compression.type": CODEC, "linger.ms": 50, "batch.size": 131_072, "acks": "all"}

_ID = "evt-000000000"
#: Events a second of the simulated sale, by their own timestamps.
RATE = 1000
#: Seconds since 1970 at which the simulated sale begins, in November 2026.
_BEGIN = 1_795_000_000
#: Seconds after which minutes of their own begin again: a TIMESTAMP ends in 2038.
_DECADE = 315_000_000
_FIELDS = {field.name for field in EVENT_FIELDS}
_FILLABLE = [field.name for field in EVENT_FIELDS if field.filled]
#: What the checksum is of, besides the id; prices and revenues are added up.
_DIGESTED = [
    field.name for field in ROW_FIELDS if field.kind is not float and field.name != "event_id"
]
_EVERY = 20

_Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Template:
    """An event but for its id, and the row it must become; None where it must be dropped."""

    head: bytes | None
    tail: bytes | None
    row: Row | None

    def value(self, event_id: bytes) -> bytes | None:
        """The Kafka value of the event with this id."""
        if self.head is None or self.tail is None:
            return self.head
        return self.head + event_id + self.tail


@dataclass
class Expected:
    """What the table must hold: the number of rows, and sums over all of them."""

    rows: int = 0
    dropped: int = 0
    checksum: int = 0
    price: float = 0.0
    revenue: float = 0.0


@dataclass(frozen=True)
class Topic:
    """A topic of ``events`` events, and what must become of them."""

    name: str
    events: int
    expected: Expected
    #: Bytes of a value, on average.
    size: float = 0.0


def sale(share: Random) -> Iterator[Template]:
    """The main mix: 19 of 20 events are whole, one lacks a value that the rules fill."""
    for number, fields in enumerate(_whole()):
        if number % _EVERY == 0:
            fields[share.choice(_FILLABLE)] = None
        yield _template(fields)


def bad(share: Random) -> Iterator[Template]:
    """19 of 20 events are whole, one must be dropped."""
    broken = events(seed=2, bad=1.0)
    for number, fields in enumerate(_whole()):
        if number % _EVERY == 0:
            yield Template(next(broken).value, None, None)
        else:
            yield _template(fields)


def mistyped(share: Random) -> Iterator[Template]:
    """Every event has its price as a string, so that none can be decoded strictly."""
    for fields in _whole():
        yield _template({**fields, "price": str(fields["price"])})


def repaired(share: Random) -> Iterator[Template]:
    """Of 20 events, one has a value that is not what the schema says, and is repaired."""
    for number, fields in enumerate(_whole()):
        if number % _EVERY == 0:
            fields["user_id"] = number
        yield _template(fields)


def escapes(share: Random) -> Iterator[Template]:
    """Of 100 events, one has a text with characters that JSON and SQL escape."""
    for number, fields in enumerate(_whole()):
        if number % 100 == 0:
            fields["category"] = f'Caf\u00e9 "{number}" \\ it\'s \n'
        yield _template(fields)


def unknown_fields(share: Random) -> Iterator[Template]:
    """Every event has 20 fields that the schema does not know."""
    for number, fields in enumerate(_whole()):
        more: _Fields = {f"field_{place:02}": place * number for place in range(10)}
        more |= {f"label_{place:02}": f"value {number}" for place in range(10)}
        yield _template({**fields, **more})


def long_events(share: Random) -> Iterator[Template]:
    """Every event has about 1,000 bytes, most of them in one unknown field."""
    for fields in _whole():
        yield _template({**fields, "note": "lorem ipsum " * 67})


def one_percent(share: Random) -> Iterator[Template]:
    """Of 100 events, one has a row that the database refuses."""
    for number, fields in enumerate(_whole()):
        yield _refused(fields) if number % 100 == 0 else _template(fields)


def refused(share: Random) -> Iterator[Template]:
    """Every event has a row that the database refuses."""
    return map(_refused, _whole())


#: Has the database refuse those rows.
CHECKED = "ALTER TABLE flash_sale_events ADD CONSTRAINT not_refused CHECK (event_type <> 'refused')"


def no_purchases(share: Random) -> Iterator[Template]:
    """Events none of which brings anything."""
    for fields in _whole():
        yield _template({**fields, "event_type": "view"})


def few_products(share: Random) -> Iterator[Template]:
    """A third of the events buy, of 100 products."""
    yield from _bought(share, 100)


def many_products(share: Random) -> Iterator[Template]:
    """A third of the events buy, of 5,000 products."""
    yield from _bought(share, 5_000)


def all_different(share: Random) -> Iterator[Template]:
    """Every event buys a product of its own in a minute of its own."""
    for number, fields in enumerate(_whole()):
        at = datetime.fromtimestamp(_BEGIN + 60 * number % _DECADE, UTC)
        own = {"product_id": f"P{number:09}", "timestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ")}
        yield _template({**fields, "event_type": "purchase", **own})


def _bought(share: Random, products: int) -> Iterator[Template]:
    for number, fields in enumerate(_whole()):
        kind = ("view", "add_to_cart", "purchase")[number % 3]
        product = f"P{share.randrange(products):04}"
        yield _template({**fields, "event_type": kind, "product_id": product})


Mix = Callable[[Random], Iterator[Template]]


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


def fill(
    broker: Broker, name: str, size: int, mix: Mix = sale, codec: str = CODEC, repeat: int = 0
) -> Topic:
    """Create a topic and send events to its partitions in turn, compressed with a codec.

    Args:
        broker: where.
        name: of the topic.
        size: how many events.
        mix: which ones.
        codec: they are compressed with it.
        repeat: one of so many was sent before; 0 for none.

    Raises:
        RuntimeError: the broker did not take them all.
    """
    broker.create_topic(name)
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
    expected = Expected()
    total = 0
    source = repeating(mix, repeat) if repeat else numbered(mix)
    for number, (value, template, event_id) in enumerate(islice(source, size)):
        while True:
            try:
                producer.produce(name, value, partition=number % DEFAULT_PARTITIONS)
                break
            except BufferError:
                producer.poll(0.1)
        total += len(value or b"")
        if template is None:
            continue
        if template.row is None:
            expected.dropped += 1
        else:
            expected.rows += 1
            expected.checksum += zlib.crc32(_digest(template.row), zlib.crc32(event_id))
            expected.price += _value(template.row, "price")
            expected.revenue += _value(template.row, "revenue")
    if producer.flush(120) or failures:
        raise RuntimeError(f"The broker did not take all of {name}: {failures[:1]}")
    return Topic(name, size, expected, total / size if size else 0.0)


#: The same over the table; price and revenue are sums of their own, because a program that
#: computes in float32 is right as well.
CHECK = f"""
SELECT COUNT(*), COALESCE(SUM(price), 0), COALESCE(SUM(revenue), 0), COALESCE(SUM(CRC32(CONCAT_WS(
    '|', event_id, {", ".join(f"COALESCE({name}, '')" for name in _DIGESTED)}))), 0)
FROM flash_sale_events
"""  # noqa: S608 - names of our own


def _digest(row: Row) -> bytes:
    parts = (_value(row, name) for name in _DIGESTED)
    return "".join(f"|{'' if part is None else part}" for part in parts).encode()


def _value(row: Row, name: str) -> Any:
    return row[ROW_NAMES.index(name)]


def _whole() -> Iterator[_Fields]:
    """Simulated events to which nothing has to be done."""
    ticks = count()
    clock = lambda: _BEGIN + next(ticks) / RATE  # noqa: E731
    for event in events(seed=1, bad=0.0, prefix="pool", clock=clock):
        fields = _as_sent(event)
        if fields.keys() == _FIELDS and None not in fields.values():
            transformed = transform(event.value)
            if not isinstance(transformed, Rejection) and not transformed[1]:
                yield fields


def _as_sent(event: Event) -> _Fields:
    fields: _Fields = json.loads(event.value or b"{}")
    return fields


def _refused(fields: _Fields) -> Template:
    return replace(_template({**fields, "event_type": "refused"}), row=None)


def _template(fields: _Fields) -> Template:
    value = json.dumps({**fields, "event_id": _ID}, ensure_ascii=False).encode()
    transformed = transform(value)
    assert not isinstance(transformed, Rejection), transformed
    head, _, tail = value.partition(_ID.encode())
    return Template(head, tail, transformed[0])
