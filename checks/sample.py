"""A dry run on real events: which would be stored or dropped. Changes nothing."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from checks.storing import Answer
from pipeline.errors import FatalError
from pipeline.partition import Partition
from pipeline.printable import printable
from pipeline.record import Record
from pipeline.stream import UNSTORABLE, Row, Stream
from source.cluster.auth import Cluster
from source.log_reader import Bounds

#: Seconds to wait for the events.
READ_TIMEOUT = 20


@dataclass(frozen=True, slots=True)
class Drop:
    """Events that would be dropped for one reason, with an example."""

    events: int
    position: str
    detail: str
    value: str


@dataclass(slots=True)
class Sample:
    """What would happen to the events read."""

    events: int = 0
    stored: int = 0
    duplicate: int = 0
    filled: Mapping[str, int] = field(default_factory=dict)
    repaired: Mapping[str, int] = field(default_factory=dict)
    dropped: dict[str, Drop] = field(default_factory=dict)
    row: dict[str, Any] | None = None
    not_asked: str = ""

    def text(self) -> str:
        """The sample as text that is safe for a terminal."""
        lines = [
            f"{self.events} events read, the newest of each partition:",
            f"would be stored   {self.stored}",
        ]
        for what, counts in (("filled", self.filled), ("repaired", self.repaired)):
            if counts:
                shown = ", ".join(f"{name} {number}" for name, number in sorted(counts.items()))
                lines.append(f"  {what:<15} {shown}")
        if self.row is not None:
            lines.append("  such as")
            lines += [f"    {name:<13} {value}" for name, value in self.row.items()]
        if self.duplicate:
            lines.append(f"would be skipped  {self.duplicate}, stored already (DEDUPLICATE)")
        lines.append(f"would be dropped  {sum(drop.events for drop in self.dropped.values())}")
        for reason, drop in sorted(self.dropped.items()):
            lines.append(f"  {reason:<15} {drop.events}, such as {drop.position}: {drop.detail}")
            lines.append(f"    {drop.value}")
        if self.not_asked:
            lines.append(f"Not tested in the database: {self.not_asked}.")
        else:
            lines.append("Tested in the database: all rows were inserted and rolled back.")
        return "\n".join(lines)


def judge(stream: Stream, records: Sequence[tuple[Partition, Record]], answer: Answer) -> Sample:
    """Transform each record as the worker does; ``answer`` is the database's."""
    sample = Sample(events=len(records), not_asked=answer.not_asked)
    flags: Counter[int] = Counter()
    for place, (partition, record) in enumerate(records):
        if place in answer.known:
            sample.duplicate += 1
            continue
        transformed = stream.transform(record.value)
        position = f"{partition}/{record.offset}"
        if place in answer.refused:
            detail = f"the database says: {answer.refused[place]}"
            _drop(sample, UNSTORABLE, detail, position, record)
        elif isinstance(transformed, tuple):
            row, bits = transformed
            flags[bits] += 1
            sample.stored += 1
            sample.row = sample.row or _shown(stream, row)
        else:
            _drop(sample, transformed.reason, transformed.detail, position, record)
    sample.filled, sample.repaired = stream.tally(flags)
    return sample


def _drop(sample: Sample, reason: str, detail: str, position: str, record: Record) -> None:
    """Count a dropped event; the first one for each reason is the example."""
    first = sample.dropped.get(reason) or Drop(
        0, position, printable(detail.encode(), 200), printable(record.value, 200)
    )
    sample.dropped[reason] = replace(first, events=first.events + 1)


def _shown(stream: Stream, row: Row) -> dict[str, Any]:
    return dict(zip(stream.columns, map(_printable, row), strict=True))


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value.encode(), 60)
    # A FLOAT's digits, not those of a float64.
    return float(f"{value:.7g}") if isinstance(value, float) else value


async def read_newest(
    cluster: Cluster, bounds: Mapping[Partition, Bounds], count: int, isolation_level: str
) -> list[tuple[Partition, Record]]:
    """The newest ``count`` events, as many from each partition; joins no group.

    Raises:
        FatalError: they could not be read.
    """
    share = -(-count // max(1, len(bounds)))
    committed = isolation_level == "read_committed"
    ends = {one: b.readable if committed else b.end for one, b in bounds.items()}
    starts = {
        TopicPartition(*one): max(bounds[one].beginning, end - share)
        for one, end in ends.items()
        if end > bounds[one].beginning
    }
    consumer = AIOKafkaConsumer(
        bootstrap_servers=cluster.addresses,
        group_id=None,
        auto_offset_reset="none",
        isolation_level=isolation_level,
        **cluster.options,
    )
    records: list[tuple[Partition, Record]] = []
    try:
        await consumer.start()
        consumer.assign(list(starts))
        for tp, start in starts.items():
            consumer.seek(tp, start)
        async with asyncio.timeout(READ_TIMEOUT):
            while not await _is_read(consumer, ends):
                for tp, found in (await consumer.getmany(timeout_ms=500)).items():
                    records += [(Partition(*tp), record) for record in found]
    except (KafkaError, TimeoutError) as error:
        raise FatalError(f"Events cannot be read from Kafka: {type(error).__name__}.") from error
    finally:
        await consumer.stop()
    return records[:count]


async def _is_read(consumer: AIOKafkaConsumer, ends: Mapping[Partition, int]) -> bool:
    # By positions rather than records, because some offsets have no record.
    return all(
        [await consumer.position(tp) >= ends[Partition(*tp)] for tp in consumer.assignment()]
    )
