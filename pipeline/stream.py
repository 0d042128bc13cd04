"""A stream: everything that source, pipeline and writer know about the events they carry."""

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from operator import attrgetter, itemgetter
from typing import Any, Protocol, TypeAlias

import msgspec

from pipeline.packed_records import PackedValues, values
from pipeline.quality import Quality
from pipeline.record import Record

#: Why an event is a dead letter: not an event, dropped by a rule, or a row that cannot be stored.
REASONS = MALFORMED, INVALID, UNSTORABLE = "malformed", "invalid", "unstorable"

#: The values of a row, in the order of the stream's columns.
Row: TypeAlias = Sequence[Any]

#: Rows as JSON lines, in texts that end before each value that has none, and with the last value;
#: the places of these values; the quality flags of each value; the sum of the summed column.
Rows: TypeAlias = tuple[list[bytes], Sequence[int], "array[int]", float]

#: From values to their rows.
WholeRows: TypeAlias = Callable[[list[bytes | None] | PackedValues], Rows]


class Rejected(Protocol):
    """An event that is not stored as a row."""

    @property
    def reason(self) -> str:
        """One of ``REASONS``."""

    @property
    def detail(self) -> str:
        """Why, in a sentence."""


@dataclass(frozen=True)
class Stream:
    """The events of one topic and the table they go to.

    Args:
        table: the table's name.
        columns: the columns a row has values for.
        transform: turns a Kafka value into a row and its quality flags (bits of a number), or into
            a rejection, which is no tuple. Never raises.
        restore: turns a row into the value of an event that would become this row.
        tally: turns the number of rows with each combination of flags into rows filled, by column,
            and rows repaired, by ``column.kind``.
        trial: makes the value of an event that becomes a row with this text as its key.
        fields: names of an event's fields, as rejections call them.
        summed: the column whose sum the ledger keeps, if any.
        key: the column that identifies an event, if any.
        whole_rows: makes the rows of the usual events, faster than ``transform``.
        rows_by: what makes rows, for logs and checks.
        quality: what may be filled and repaired, and which shares of that are high.
    """

    table: str
    columns: tuple[str, ...]
    transform: Callable[[bytes | None], tuple[Row, int] | Rejected]
    restore: Callable[[Row], bytes]
    tally: Callable[[Mapping[int, int]], tuple[dict[str, int], dict[str, int]]]
    trial: Callable[[str], bytes]
    fields: tuple[str, ...]
    summed: str | None = None
    key: str | None = None
    whole_rows: WholeRows | None = None
    rows_by: str = "Python"
    quality: Quality = field(default_factory=Quality)

    def rows(self, records: Sequence[Record]) -> Rows:
        """The rows that ``whole_rows`` makes."""
        if self.whole_rows is None:
            count = len(records)
            return [b""] * (count + 1), range(count), array("Q", bytes(8 * count)), 0.0
        texts, others, flags, total = self.whole_rows(values(records))
        return texts, others, flags, total if self.summed else 0.0

    def total(self, rows: Sequence[Row]) -> float:
        """The sum of the summed column."""
        return sum(map(self._amount, rows)) if self.summed else 0.0

    def column(self, name: str, lines: bytes) -> list[Any]:
        """The values of one column of rows given as JSON lines."""
        decode = _decoder(self.columns[: self.columns.index(name) + 1])
        return list(map(attrgetter(name), decode(lines)))

    @cached_property
    def _amount(self) -> Callable[[Row], float]:
        return itemgetter(self.columns.index(self.summed or ""))


@cache
def _decoder(columns: tuple[str, ...]) -> Callable[[bytes], list[Any]]:
    """A decoder of rows that returns these columns, which must be the first ones."""
    # Not tracked by the garbage collector: they are many and short-lived.
    row = msgspec.defstruct("_Row", columns, array_like=True, gc=False)
    return msgspec.json.Decoder(row).decode_lines
