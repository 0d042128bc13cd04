"""Flash-sale traffic as shops send it: mostly fine, some fields missing or odd, a few broken.

Every event has a number, which is in its Kafka key, and its expected outcome, so that each one can
be accounted for afterwards.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import count, islice
from random import Random
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.protocol.metadata import MetadataRequest

from commands.traffic import PREFIX
from commands.traffic.shop import Shop, rush


class Outcome(StrEnum):
    """An event's expected outcome: a row, or a dead letter with this reason."""

    ROW = "row"
    MALFORMED = "malformed"
    INVALID = "invalid"
    UNSTORABLE = "unstorable"


@dataclass(frozen=True, slots=True)
class Event:
    """A Kafka message; ``key`` is ``PREFIX-NUMBER``, and so is the ``event_id`` unless broken."""

    number: int
    key: bytes
    value: bytes | None
    outcome: Outcome


_Fields = dict[str, Any]


def events(
    seed: int = 0,
    *,
    bad: float = 0.02,
    first: int = 0,
    prefix: str = PREFIX,
    clock: Callable[[], float] = time.time,
) -> Iterator[Event]:
    """An endless iterator of events; the same arguments give the same events.

    Args:
        seed: of the random numbers.
        bad: share of events that must be dropped, from 0 to 1.
        first: number of the first event.
        prefix: of ids, without a hyphen.
        clock: returns seconds since 1970, for timestamps.
    """
    random = Random(seed)  # noqa: S311 - not for secrets
    shop = Shop(random)
    for number in count(first):
        event_id = f"{prefix}-{number}"
        fields = shop.next(event_id, clock())
        if random.random() < bad:
            value, outcome = random.choice(_BREAKS)(fields, random)
        else:
            for change, share in _ODDITIES:
                if random.random() < share:
                    change(fields, random)
            value, outcome = _encode(fields), Outcome.ROW
        yield Event(number, event_id.encode(), value, outcome)


async def send(
    bootstrap: str | list[str],
    topic: str,
    source: Iterator[Event],
    *,
    rate: float | None = None,
    wave: float | None = None,
    seconds: float | None = None,
    total: int | None = None,
    stopped: Callable[[], bool] = lambda: False,
    on_sent: Callable[[Event], None] = lambda _: None,
    compression: str | None = "lz4",
    options: Mapping[str, Any] | None = None,
) -> int:
    """Send events until a limit is reached; when it returns, all are acknowledged.

    Args:
        bootstrap: the broker or brokers, ``host:port``.
        topic: where to send them.
        source: the events.
        rate: average events per second; None for as fast as possible.
        wave: seconds from one rush to the next; None for an even pace.
        seconds: maximum duration; None for no limit.
        total: maximum number of events; None for no limit.
        stopped: called twenty times a second; True ends it.
        on_sent: called with each event that was sent.
        compression: gzip, snappy, lz4 or zstd; None for none.
        options: more options for aiokafka's producer.

    Returns:
        How many were sent.

    Raises:
        aiokafka.errors.KafkaError: the broker did not take one.
    """
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        linger_ms=10,
        enable_idempotence=True,
        max_batch_size=131_072,
        compression_type=compression,
        **(options or {}),
    )
    await producer.start()
    try:
        # Like any producer, let a broker that auto-creates topics create this one.
        node = producer.client.get_random_node()
        await producer.client.send(node, MetadataRequest([topic], allow_auto_topic_creation=True))
        begun = time.monotonic()
        sent = 0
        pending: list[asyncio.Future[Any]] = []
        while not stopped() and (total is None or sent < total):
            elapsed = time.monotonic() - begun
            if seconds is not None and elapsed >= seconds:
                break
            due = 1000 if rate is None else int(_pace(elapsed + _TICK, wave) * rate) - sent
            due = due if total is None else min(due, total - sent)
            for event in islice(source, max(0, due)):
                pending.append(await producer.send(topic, event.value, event.key))
                on_sent(event)
                sent += 1
            # A paced sender sends the next tick's events ahead and sleeps for that tick.
            await asyncio.sleep(0 if rate is None else _TICK)
            pending = _unfinished(pending)
        await asyncio.gather(*pending)
        return sent
    finally:
        await producer.stop()


_TICK = 0.05


def _unfinished(pending: "list[asyncio.Future[Any]]") -> "list[asyncio.Future[Any]]":
    for future in pending:
        if future.done():
            future.result()
    return [future for future in pending if not future.done()]


def _pace(elapsed: float, wave: float | None) -> float:
    return elapsed if wave is None else rush(elapsed, wave)


def _encode(fields: _Fields) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode()


def _without(name: str) -> Callable[[_Fields, Random], None]:
    def change(fields: _Fields, random: Random) -> None:
        if random.random() < 0.5:
            fields[name] = None
        else:
            del fields[name]

    return change


def _with(**odd: object) -> Callable[[_Fields, Random], None]:
    return lambda fields, random: fields.update(odd)


#: Changes that the pipeline fills or repairs, with their probabilities.
_ODDITIES: tuple[tuple[Callable[[_Fields, Random], None], float], ...] = (
    (_without("user_id"), 0.08),
    (_without("category"), 0.05),
    (_without("quantity"), 0.03),
    (_without("price"), 0.03),
    (_without("timestamp"), 0.02),
    (_without("event_type"), 0.01),
    (_with(timestamp="yesterday"), 0.01),
    (_with(price="19.99"), 0.005),
    (_with(quantity=2.0), 0.01),
    (_with(user_id=4711), 0.01),
    (_with(coupon={"code": "BF26", "percent": 20}), 0.02),
)


def _broken(outcome: Outcome, **odd: object) -> Callable[[_Fields, Random], tuple[bytes, Outcome]]:
    return lambda fields, random: (_encode({**fields, **odd}), outcome)


#: Changes because of which the event must be dropped.
_BREAKS: tuple[Callable[[_Fields, Random], tuple[bytes | None, Outcome]], ...] = (
    lambda fields, random: (_encode(fields)[: random.randrange(100)], Outcome.MALFORMED),
    lambda fields, random: (repr(fields).encode(), Outcome.MALFORMED),
    lambda fields, random: (_encode(fields).replace(b"P", b"\xff", 1), Outcome.MALFORMED),
    lambda fields, random: (None, Outcome.MALFORMED),
    _broken(Outcome.INVALID, event_id=None),
    _broken(Outcome.INVALID, user_id=None, product_id=None),
    _broken(Outcome.INVALID, category=None, product_id=None),
    _broken(Outcome.UNSTORABLE, category="a category nobody has ever asked for " * 3),
    _broken(Outcome.UNSTORABLE, price=1e39),
    _broken(Outcome.UNSTORABLE, timestamp="2262-04-11T23:47:16Z"),
)
