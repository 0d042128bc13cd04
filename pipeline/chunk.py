"""A chunk: the events of one fetch of one partition, transformed and ready to be stored.

A chunk covers the offsets ``[start, end)`` of its partition. A partition's ranges are contiguous,
even where Kafka has no records (compaction, transaction markers): a stored chunk means that
everything below ``end`` is done.

It keeps only what has to be stored: the row text and offset of a valid event, the key and value of
a dead letter.
"""

import math
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from operator import not_
from typing import Any

import msgspec

from pipeline.memory import Lease
from pipeline.packed_records import offsets
from pipeline.partition import Partition
from pipeline.record import LastRecord, PlainRecord, Record
from pipeline.stream import Row, Stream

_encode = msgspec.json.Encoder().encode
_decode_lines = msgspec.json.Decoder(list[Any]).decode_lines

#: Approximate bytes of a chunk without its rows and values, and of a dead letter.
_CHUNK_BYTES = 1_000
_DEAD_LETTER_BYTES = 400


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that is not stored as a row, as it was sent, and why; ``timestamp`` in ms."""

    offset: int
    timestamp: int | None
    key: bytes | None
    value: bytes | None
    reason: str
    detail: str

    @classmethod
    def of(cls, record: Record, reason: str, detail: str) -> "DeadLetter":
        """The dead letter of a record."""
        return cls(record.offset, record.timestamp, record.key, record.value, reason, detail)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Transformed events of ``[start, end)`` of a partition.

    ``rows`` is JSON lines: each valid row is an array in the order of the stream's columns. JSON
    escapes line feeds, so the text can be cut at lines. ``offsets`` are those of the rows;
    ``flags`` are the quality flags of each row, 0 for none. ``known_total`` is
    ``total``, or None if it must be computed from the rows. ``oldest`` is the timestamp (ms) of
    the first event; ``duplicate`` counts events that were skipped because they are stored.
    """

    stream: Stream
    partition: Partition
    start: int
    end: int
    rows: bytes = b""
    offsets: Sequence[int] = ()
    flags: Sequence[int] = ()
    known_total: float | None = None
    dead: tuple[DeadLetter, ...] = ()
    oldest: int | None = None
    last: LastRecord | None = None
    lease: Lease | None = None
    duplicate: int = 0

    @classmethod
    def transform(
        cls,
        stream: Stream,
        partition: Partition,
        start: int,
        end: int,
        records: Sequence[Record],
        *,
        last: LastRecord | None = None,
        lease: Lease | None = None,
    ) -> "Chunk":
        """Transform the records of ``[start, end)``, sorted by offset. Never raises for a value.

        Args:
            stream: the stream they belong to.
            partition: their partition.
            start, end: the offsets they cover.
            records: as read from Kafka.
            last: identifies the last of them, if known.
            lease: on the memory of the records, which becomes the chunk's.
        """
        texts, others, flags, total = stream.rows(records)
        lines = [texts[0]]
        rows: list[Row] = []
        dead = []
        dropped = []
        # All that is done for each event in Python is done for those that have no row yet.
        for place, text in zip(others, texts[1:], strict=True):
            found = stream.transform(records[place].value)
            if isinstance(found, tuple):
                row, flags[place] = found
                rows.append(row)
                lines.append(_encode(row))
            else:
                dead.append(DeadLetter.of(records[place], str(found.reason), found.detail))
                dropped.append(place)
            lines.append(text)
        chunk = cls(
            stream=stream,
            partition=partition,
            start=start,
            end=end,
            rows=b"\n".join(filter(None, lines)),
            offsets=_but(offsets(records), dropped),
            flags=_but(flags, dropped),
            known_total=total + stream.total(rows),
            dead=tuple(dead),
            oldest=records[0].timestamp if records else None,
            last=last,
            lease=lease,
        )
        if lease is not None:
            lease.transformed(chunk.size)
        return chunk

    @property
    def valid(self) -> int:
        """Events that are rows."""
        return len(self.offsets)

    @property
    def events(self) -> int:
        """All events."""
        return len(self.offsets) + len(self.dead) + self.duplicate

    @property
    def size(self) -> int:
        """Approximate bytes in memory."""
        dead_letters = sum(
            len(letter.key or b"") + len(letter.value or b"") + _DEAD_LETTER_BYTES
            for letter in self.dead
        )
        return _CHUNK_BYTES + len(self.rows) + 16 * len(self.offsets) + dead_letters

    @property
    def total(self) -> float:
        """The sum of the stream's summed column."""
        return sum(self._amounts(self.rows), 0.0) if self.known_total is None else self.known_total

    def quality(self) -> Counter[int]:
        """How many rows have each combination of quality flags."""
        return Counter(filter(None, self.flags))

    def since(self, offset: int) -> "Chunk":
        """The part at and after ``offset``."""
        return self if offset <= self.start else self._between(offset, self.end)

    def split(self, first: int | None = None) -> tuple["Chunk", "Chunk"]:
        """Split it in two; it must hold at least two events.

        Args:
            first: number of events in the first part; None for half of them.
        """
        offsets = self._all_offsets()
        border = offsets[len(offsets) // 2 if first is None else first]
        return self._between(self.start, border), self._between(border, self.end)

    def event(self, number: int) -> "Chunk":
        """A chunk of one of its events, counted from 0 in the order of offsets."""
        offset = self._all_offsets()[number]
        return self._between(offset, offset + 1)

    def without(self, rows: Collection[int]) -> "Chunk":
        """The same range without some of its rows, named by their index."""
        if not rows:
            return self
        kept = bytearray(b"\1") * self.valid
        for row in rows:
            kept[row] = 0
        return self._with_rows(kept)

    def rebuilt(self, row: int) -> Record:
        """An event restored from its row, for when Kafka no longer has the original."""
        (found,) = _decode_lines(self.rows.split(b"\n")[row])
        return PlainRecord(self.offsets[row], self.stream.restore(found), timestamp=self.oldest)

    def _all_offsets(self) -> list[int]:
        return sorted([*self.offsets, *(letter.offset for letter in self.dead)])

    def _between(self, start: int, end: int) -> "Chunk":
        first, after = (bisect_left(self.offsets, offset) for offset in (start, end))
        return replace(
            self._with_rows(bytes(first) + b"\1" * (after - first) + bytes(self.valid - after)),
            start=start,
            end=end,
            dead=tuple(letter for letter in self.dead if start <= letter.offset < end),
            last=self.last if end == self.end else None,
        )

    def _with_rows(self, kept: bytes | bytearray) -> "Chunk":
        """The chunk with only the rows for which ``kept`` has a 1."""
        lines = self.rows.split(b"\n")
        total = self.known_total
        if total is not None:
            total = _less(total, self._amounts(b"\n".join(compress(lines, map(not_, kept)))))
        return replace(
            self,
            rows=b"\n".join(compress(lines, kept)),
            offsets=array("q", compress(self.offsets, kept)),
            flags=array("Q", compress(self.flags, kept)),
            known_total=total,
        )

    def _amounts(self, lines: bytes) -> list[float]:
        """The values of the summed column of some of the rows."""
        return self.stream.column(self.stream.summed, lines) if self.stream.summed else []


def _but(numbers: "array[int]", places: Sequence[int]) -> "array[int]":
    """Numbers but those at some places, given in order."""
    if not places:
        return numbers
    kept = array(numbers.typecode)
    start = 0
    for place in places:
        kept += numbers[start:place]
        start = place + 1
    return kept + numbers[start:]


def _less(total: float, gone: Sequence[float]) -> float | None:
    """A sum of floats minus some of its addends.

    None if the rest is less than half of the sum: then adding up the rest is more exact than the
    difference.
    """
    is_least = 2 * sum(map(abs, gone)) <= abs(total) < math.inf
    return total - sum(gone) if is_least else None
