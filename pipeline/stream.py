"""A stream: everything that source, pipeline and writer know about the events they carry."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from operator import attrgetter, itemgetter
from typing import Any, Protocol, TypeAlias

import msgspec

from pipeline.quality import Quality

#: Why an event is a dead letter: not an event, dropped by a rule, or its row was rejected.
REASONS = MALFORMED, INVALID, UNSTORABLE = "malformed", "invalid", "unstorable"

#: The values of a row, in the order of the stream's columns.
Row: TypeAlias = Sequence[Any]

#: From values to the JSON of each one's row, or None; and the sum of these rows' summed column.
WholeRows: TypeAlias = Callable[[list[bytes | None]], tuple[list[bytes | None], float]]


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
        columns: those that a row has values for.
        transform: makes a Kafka value a row and its quality flags, as bits of a number, or says why
            not. Never raises. A rejection is no tuple.
        restore: makes a row the value of an event that would become this row.
        tally: from how many rows have which flags to rows filled by column, and rows repaired by
            ``column.kind``.
        trial: makes the value of an event that becomes a row, with this text as its key.
        fields: the names by which details of rejections call what is in a value.
        summed: the column of which the ledger keeps the sum, if any.
        key: the column that tells one event from another, if any.
        whole_rows: makes the rows of events that need nothing done, faster than ``transform``.
        rows_by: what makes rows, in words.
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

    def lines(self, values: list[bytes | None]) -> tuple[list[bytes | None], float]:
        """The rows that ``whole_rows`` makes, None for the others; and their sum."""
        if self.whole_rows is None:
            return [None] * len(values), 0.0
        lines, total = self.whole_rows(values)
        return lines, total if self.summed else 0.0

    def total(self, rows: Sequence[Row]) -> float:
        """The sum of the summed column."""
        return sum(map(self._amount, rows)) if self.summed else 0.0

    def column(self, name: str, lines: bytes) -> list[Any]:
        """The values of one column, from rows that are JSON, a line each."""
        decode = _decoder(self.columns[: self.columns.index(name) + 1])
        return list(map(attrgetter(name), decode(lines)))

    @cached_property
    def _amount(self) -> Callable[[Row], float]:
        return itemgetter(self.columns.index(self.summed or ""))


@cache
def _decoder(columns: tuple[str, ...]) -> Callable[[bytes], list[Any]]:
    """Decodes these columns, the first ones of rows."""
    # Not tracked by the garbage collector, as they are many and gone at once.
    row = msgspec.defstruct("_Row", columns, array_like=True, gc=False)
    return msgspec.json.Decoder(row).decode_lines
