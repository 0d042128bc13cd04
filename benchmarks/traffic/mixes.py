"""The mixes of events that topics are filled with: each of a pool of simulated ones."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from random import Random
from typing import Any

from commands.traffic.simulator import Event, events
from models.fields import EVENT_FIELDS
from models.rules import Rejection, Row, transform

#: Different events in the pool; ids apart.
POOL = 20_000
_ID = "evt-000000000"
#: Events a second of the simulated sale, by their own timestamps.
RATE = 1000
#: Seconds since 1970 at which the simulated sale begins, in November 2026.
_BEGIN = 1_795_000_000
#: Seconds after which minutes of their own begin again: a TIMESTAMP ends in 2038.
_DECADE = 315_000_000
_FIELDS = {field.name for field in EVENT_FIELDS}
_FILLABLE = [field.name for field in EVENT_FIELDS if field.filled]
_EVERY = 20
#: Primes, so that no partition gets all of them.
_DROPPED_EVERY, _MISTYPED_EVERY = 499, 101
#: Values that no program reads as numbers, not even from a text.
_MISTYPED = ({"price": "n/a"}, {"quantity": "two"})
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


def sale(share: Random) -> Iterator[Template]:
    """19 of 20 events are whole, one lacks a value that the rules fill; each becomes a row."""
    for number, fields in enumerate(_whole()):
        if number % _EVERY == 0:
            fields[share.choice(_FILLABLE)] = None
        yield _template(fields)


def shop(share: Random) -> Iterator[Template]:
    """The main mix, a shop's traffic: guests, holes, some mistakes; a third buy.

    Of the events 40 % are of guests, half of which have no ``user_id`` and half a null; 5 % have
    no category; 1 % have a price or quantity that is no number, which every program takes for
    absent; 0.2 % have neither user nor product, so that every program drops them.
    """
    for number, fields in enumerate(_buying(share, 5_000), start=1):
        if share.random() < 0.4:
            fields["user_id"] = None
            if share.random() < 0.5:
                del fields["user_id"]
        if share.random() < 0.05:
            del fields["category"]
        if number % _DROPPED_EVERY == 0:
            fields |= {"user_id": None, "product_id": None}
            yield _dropped(fields)
            continue
        if number % _MISTYPED_EVERY == 0:
            fields |= share.choice(_MISTYPED)
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


def whole(share: Random) -> Iterator[Template]:
    """Events to which nothing has to be done."""
    return map(_template, _whole())


def filled(share: Random) -> Iterator[Template]:
    """Half of the events have no user, a fifth no category, a tenth no quantity."""
    for fields in _whole():
        for name, missing in (("user_id", 0.5), ("category", 0.2), ("quantity", 0.1)):
            if share.random() < missing:
                del fields[name]
        yield _template(fields)


def repaired(share: Random) -> Iterator[Template]:
    """Of 20 events, one has a value that is not what the schema says, and is repaired."""
    for number, fields in enumerate(_whole()):
        if number % _EVERY == 0:
            odd = {"user_id": number, "price": str(fields["price"]), "quantity": 2.0}
            name = share.choice([*odd])
            fields[name] = odd[name]
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


def no_purchases(share: Random) -> Iterator[Template]:
    """Events none of which brings anything."""
    for fields in _whole():
        yield _template({**fields, "event_type": "view"})


def few_products(share: Random) -> Iterator[Template]:
    """A third of the events buy, of 100 products."""
    yield from map(_template, _buying(share, 100))


def many_products(share: Random) -> Iterator[Template]:
    """A third of the events buy, of 5,000 products."""
    yield from map(_template, _buying(share, 5_000))


def all_different(share: Random) -> Iterator[Template]:
    """Every event buys a product of its own in a minute of its own."""
    for number, fields in enumerate(_whole()):
        at = datetime.fromtimestamp(_BEGIN + 60 * number % _DECADE, UTC)
        own = {"product_id": f"P{number:09}", "timestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ")}
        yield _template({**fields, "event_type": "purchase", **own})


def _buying(share: Random, products: int) -> Iterator[_Fields]:
    for number, fields in enumerate(_whole()):
        kind = ("view", "add_to_cart", "purchase")[number % 3]
        product = f"P{share.randrange(products):04}"
        yield {**fields, "event_type": kind, "product_id": product}


Mix = Callable[[Random], Iterator[Template]]


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
    head, tail, transformed = _transformed(fields)
    assert not isinstance(transformed, Rejection), transformed
    return Template(head, tail, transformed[0])


def _dropped(fields: _Fields) -> Template:
    head, tail, transformed = _transformed(fields)
    assert isinstance(transformed, Rejection), transformed
    return Template(head, tail, None)


def _transformed(fields: _Fields) -> tuple[bytes, bytes, tuple[Row, int] | Rejection]:
    """What is before and after an event's id, and what becomes of it."""
    value = json.dumps({**fields, "event_id": _ID}, ensure_ascii=False).encode()
    head, _, tail = value.partition(_ID.encode())
    return head, tail, transform(value)
