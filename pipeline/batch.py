"""A batch: what one transaction stored, as recorded in the ledger; and the sink that stores it."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from pipeline.chunk import Chunk
from pipeline.flush.refetch import Refetch
from pipeline.partition import Partition
from pipeline.stream import REASONS, UNSTORABLE, Stream


class Refused(NamedTuple):
    """An event whose row the database rejected, and the error."""

    partition: Partition
    offset: int
    detail: str


@dataclass(frozen=True, slots=True)
class Batch:
    """One line of the ledger.

    ``events`` is the sum of ``valid``, ``dropped`` (by reason) and ``duplicate``, which were
    skipped because their id is stored. ``filled`` is by field, ``repaired`` by ``field.kind``.
    ``total`` is the sum of the stream's summed column. ``offsets`` has each partition's next
    offset, ``rows`` how many rows each had, ``refused`` the events whose row the database
    rejected. Times are UTC.
    """

    number: int
    opened: datetime
    written: datetime
    seconds: float
    events: int
    valid: int
    dropped: Mapping[str, int]
    filled: Mapping[str, int]
    repaired: Mapping[str, int]
    total: float
    offsets: Mapping[Partition, int]
    oldest_timestamp: int | None = None
    duplicate: int = 0
    rows: Mapping[Partition, int] = field(default_factory=dict)
    refused: Sequence[Refused] = ()

    @classmethod
    def of(
        cls,
        stream: Stream,
        number: int,
        opened: datetime,
        chunks: Sequence[Chunk],
        seconds: float,
        refused: Sequence[Refused] = (),
    ) -> "Batch":
        """The batch that stores these chunks, except for the rejected rows."""
        flags: Counter[int] = Counter()
        dropped = empty_drops()
        for chunk in chunks:
            flags += chunk.quality()
            dropped.update(letter.reason for letter in chunk.dead)
        dropped[UNSTORABLE] += len(refused)
        filled, repaired = stream.tally(flags)
        return cls(
            number=number,
            opened=opened,
            written=datetime.now(UTC),
            seconds=seconds,
            events=sum(chunk.events for chunk in chunks) + len(refused),
            valid=sum(chunk.valid for chunk in chunks),
            dropped=dropped,
            filled=filled,
            repaired=repaired,
            total=math.fsum(chunk.total for chunk in chunks),
            offsets=ends(chunks),
            rows=_rows(chunks),
            oldest_timestamp=min(
                (chunk.oldest for chunk in chunks if chunk.oldest is not None), default=None
            ),
            refused=refused,
            duplicate=sum(chunk.duplicate for chunk in chunks),
        )

    @property
    def total_dropped(self) -> int:
        return sum(self.dropped.values())

    def facts(self) -> dict[str, object]:
        """The batch in numbers, for programs that read the log."""
        return {
            "batch": self.number,
            "events": self.events,
            "rows": self.valid,
            "dropped": dict(self.dropped),
            "duplicate": self.duplicate,
            "filled": dict(self.filled),
            "repaired": dict(self.repaired),
            "seconds": self.seconds,
        }

    def line(self) -> str:
        """The batch as a log line, worded like that of the replaced job."""
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.dropped.items() if count)
        return (
            f"Batch {self.number}: {self.valid} valid rows written, "
            f"{self.total_dropped} dropped{f' ({reasons})' if reasons else ''}, "
            f"{f'{self.duplicate} duplicate, ' if self.duplicate else ''}"
            f"{sum(self.repaired.values())} repaired, {self.seconds:.2f} s"
        )


class Sink(Protocol):
    """Where batches are written. Blocking."""

    def write(
        self,
        number: int,
        opened: datetime,
        chunks: Sequence[Chunk],
        refetch: Refetch,
        alive: Callable[[], None],
    ) -> Batch:
        """Store what is new in the chunks, if anything, in one transaction.

        Raises:
            TransientError: it is unknown whether it was stored; retry, as a write is idempotent.
            FatalError: nothing is stored; a person must change something.
        """

    def rehearse(self, chunk: Chunk) -> None:
        """Insert a chunk whatever the stored offset, and roll back.

        Raises:
            TransientError, FatalError: as ``write`` would.
        """


def empty_drops() -> Counter[str]:
    """Zero for every reason, so that all are present."""
    return Counter(dict.fromkeys(REASONS, 0))


def ends(chunks: Sequence[Chunk]) -> dict[Partition, int]:
    """The offsets after those of the chunks, by partition."""
    return {chunk.partition: chunk.end for chunk in chunks}


def _rows(chunks: Sequence[Chunk]) -> Counter[Partition]:
    rows: Counter[Partition] = Counter()
    for chunk in chunks:
        rows[chunk.partition] += chunk.valid
    return rows
