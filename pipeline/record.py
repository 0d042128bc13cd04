"""What is needed of a Kafka record, and what identifies it in its log."""

from typing import NamedTuple, Protocol
from zlib import crc32


class Record(Protocol):
    """What is needed of a Kafka record, whichever parser made it."""

    @property
    def offset(self) -> int: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def timestamp(self) -> int | None:
        """Milliseconds since 1970."""


class PlainRecord(NamedTuple):
    """A record; ``timestamp`` is in ms, None if it has none."""

    offset: int
    value: bytes | None
    key: bytes | None = None
    timestamp: int | None = None


class LastRecord(NamedTuple):
    """Identifies a record of a log, to notice another log under the same name.

    ``epoch`` is the leader epoch under which it was written, -1 if its format has none;
    ``timestamp`` is Kafka's in ms, -1 for none; ``checksum`` is the CRC-32 of its value.
    """

    offset: int
    epoch: int
    timestamp: int
    checksum: int

    @classmethod
    def of(cls, record: Record, epoch: int) -> "LastRecord":
        """Identify a record of a batch written under this leader epoch."""
        timestamp = -1 if record.timestamp is None else record.timestamp
        return cls(record.offset, epoch, timestamp, crc32(record.value or b""))
