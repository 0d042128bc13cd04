"""A batch: what one transaction stored, as it stands in the ledger."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from models.rules import Reason


class Refused(NamedTuple):
    """An event whose row the database refused, and what it said."""

    topic: str
    partition: int
    offset: int
    detail: str


@dataclass(frozen=True, slots=True)
class Batch:
    """One line of the ledger.

    ``events`` are ``valid``, ``dropped`` (keyed by reason) and ``duplicate`` ones, which are left
    out because their id is stored; ``filled`` by field; ``repaired`` by ``field.kind``;
    ``offsets`` is the next offset to store of each ``(topic, partition)``, ``rows`` how many rows
    each had, ``refused`` what became dead letters because the database refused the row; times are
    UTC.
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
    revenue: float
    offsets: Mapping[tuple[str, int], int]
    oldest_timestamp: int | None = None
    duplicate: int = 0
    rows: Mapping[tuple[str, int], int] = field(default_factory=dict)
    refused: Sequence[Refused] = ()

    @property
    def total_dropped(self) -> int:
        return sum(self.dropped.values())

    def line(self) -> str:
        """The batch in the words of the job this app replaces."""
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.dropped.items() if count)
        return (
            f"Batch {self.number}: {self.valid} valid rows written, "
            f"{self.total_dropped} dropped{f' ({reasons})' if reasons else ''}, "
            f"{f'{self.duplicate} duplicate, ' if self.duplicate else ''}"
            f"{sum(self.repaired.values())} repaired, {self.seconds:.2f} s"
        )


def empty_drops() -> Counter[str]:
    """Zero of every reason, so that a reader need not know which have happened."""
    return Counter({reason.value: 0 for reason in Reason})
