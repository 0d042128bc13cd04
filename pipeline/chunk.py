"""A chunk: the events of one fetch of one partition, refined and ready to be stored.

A chunk covers the half-open range of offsets ``[start, end)`` of its partition. The ranges of
the chunks of a partition follow each other without a hole, also where Kafka itself has none of
the offsets (compaction, transaction markers), so that storing a chunk means exactly "everything
below ``end`` is done".
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import Protocol

import msgspec

from models.event import EnrichedEvent
from models.rules import Reason, Rejection, refine
from models.sales import Sales

_REVENUE = list(EnrichedEvent._options.fields).index("revenue")
_encode = msgspec.json.Encoder().encode


class Record(Protocol):
    """What is needed of a Kafka record."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int | None:
        """Milliseconds since 1970."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that is not stored as a row, whole, and why."""

    record: Record
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """Refined events of ``[start, end)`` of a partition.

    ``rows`` is JSON: the valid rows as arrays in the column order of ``EnrichedEvent``, joined
    by commas without the outer brackets, so that chunks are joined as text. Text is a quarter
    of the memory of the objects, and what the database is given in the end.
    """

    topic: str
    partition: int
    start: int
    end: int
    records: Sequence[Record]
    rows: bytes
    valid: int
    revenue: float
    sales: Sales
    notes: Counter[int]
    dead: tuple[DeadLetter, ...]

    @classmethod
    def refine(
        cls, topic: str, partition: int, start: int, end: int, records: Sequence[Record]
    ) -> "Chunk":
        """Refine the records of ``[start, end)``, sorted by offset. Never raises for a value."""
        rows = []
        notes = []
        dead = []
        for record in records:
            refined = refine(record.value)
            if isinstance(refined, Rejection):
                dead.append(DeadLetter(record, refined.reason, refined.detail))
            else:
                row, note = refined
                rows.append(row)
                if note:
                    notes.append(note)
        return cls(
            topic=topic,
            partition=partition,
            start=start,
            end=end,
            records=records,
            rows=_encode(rows)[1:-1],
            valid=len(rows),
            revenue=sum(map(itemgetter(_REVENUE), rows)),
            sales=Sales.of(rows),
            notes=Counter(notes),
            dead=tuple(dead),
        )

    def since(self, offset: int) -> "Chunk":
        """The part at and after ``offset``; refined anew, because that is rare and simplest."""
        if offset <= self.start:
            return self
        first = bisect_left(self.records, offset, key=attrgetter("offset"))
        return Chunk.refine(self.topic, self.partition, offset, self.end, self.records[first:])

    def halves(self) -> tuple["Chunk", "Chunk"]:
        """Two chunks that together cover this one; it must hold two records or more."""
        middle = len(self.records) // 2
        border = self.records[middle].offset
        left, right = self.records[:middle], self.records[middle:]
        return (
            Chunk.refine(self.topic, self.partition, self.start, border, left),
            Chunk.refine(self.topic, self.partition, border, self.end, right),
        )

    def condemned(self, detail: str) -> "Chunk":
        """This chunk of one record with its row turned into a dead letter."""
        letter = DeadLetter(self.records[0], Reason.UNSTORABLE, detail)
        return Chunk(
            topic=self.topic,
            partition=self.partition,
            start=self.start,
            end=self.end,
            records=self.records,
            rows=b"",
            valid=0,
            revenue=0.0,
            sales=Sales(),
            notes=Counter(),
            dead=(letter,),
        )
