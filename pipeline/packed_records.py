"""Records that lie in larger bytes: a record is made only where one is asked for."""

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, overload

from pipeline.record import PlainRecord, Record

if TYPE_CHECKING:
    Numbers: TypeAlias = array[int]
else:
    # Before Python 3.12 the class takes no index.
    Numbers = array

#: Numbers of a record: offset, timestamp (ms), its message, where key and value lie in it, each
#: with its size, -1 for null.
WIDTH = 7


class PackedValues(NamedTuple):
    """Values as they lie in messages: of each its message, its place there, and its size."""

    messages: list[bytes]
    which: Numbers
    starts: Numbers
    sizes: Numbers


class PackedRecords(Sequence[Record]):
    """Records in the order of their offsets.

    Args:
        messages: the bytes that they lie in.
        places: ``WIDTH`` numbers for each.
    """

    __slots__ = ("messages", "places")

    def __init__(self, messages: list[bytes], places: Numbers) -> None:
        self.messages = messages
        self.places = places

    def __len__(self) -> int:
        return len(self.places) // WIDTH

    @overload
    def __getitem__(self, at: int) -> Record: ...
    @overload
    def __getitem__(self, at: slice) -> "PackedRecords": ...
    def __getitem__(self, at: int | slice) -> "Record | PackedRecords":
        if isinstance(at, slice):
            start, stop, _ = at.indices(len(self))
            return PackedRecords(self.messages, self.places[WIDTH * start : WIDTH * stop])
        first = WIDTH * range(len(self))[at]
        offset, timestamp, number, key, key_size, value, size = self.places[first : first + WIDTH]
        message = self.messages[number]
        return PlainRecord(
            offset,
            None if size < 0 else message[value : value + size],
            None if key_size < 0 else message[key : key + key_size],
            timestamp,
        )

    def alone(self) -> "PackedRecords":
        """The same, of one message, without the others."""
        places = self.places[:]
        number = places[2]
        places[2::WIDTH] = array("q", [0]) * len(self)
        return PackedRecords([self.messages[number]], places)


def joined(one: Sequence[Record], other: Sequence[Record]) -> Sequence[Record]:
    """Records and those that follow; packed ones lie in the same messages."""
    if isinstance(one, PackedRecords) and isinstance(other, PackedRecords):
        return PackedRecords(one.messages, one.places + other.places)
    return [*one, *other] if one else other


def since(records: Sequence[Record], offset: int) -> Sequence[Record]:
    """Those at and after an offset."""
    return records[bisect_left(offsets(records), offset) :]


def offsets(records: Sequence[Record]) -> Numbers:
    """Of each record."""
    if isinstance(records, PackedRecords):
        return records.places[::WIDTH]
    return array("q", [record.offset for record in records])


def values(records: Sequence[Record]) -> "list[bytes | None] | PackedValues":
    """Of each record."""
    if isinstance(records, PackedRecords):
        places = records.places
        return PackedValues(records.messages, places[2::WIDTH], places[5::WIDTH], places[6::WIDTH])
    return [record.value for record in records]
