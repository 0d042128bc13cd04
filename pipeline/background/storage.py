"""How large the tables are, and what a purge has done, as plain values."""

from collections.abc import Sequence
from typing import Any, NamedTuple


class TableSize(NamedTuple):
    """A table's rows, by the server's estimate, its bytes with indexes, and their growth a day."""

    name: str
    rows: int
    bytes: int
    per_day: float | None


class Storage(NamedTuple):
    """The tables that grow; ``limit`` is how many bytes there are for them, None if unknown."""

    tables: Sequence[TableSize]
    limit: int | None = None

    @property
    def bytes(self) -> int:
        """Of all tables."""
        return sum(one.bytes for one in self.tables)

    @property
    def per_day(self) -> float | None:
        """Bytes that all grow by in a day; None if not known yet."""
        known = [one.per_day for one in self.tables if one.per_day is not None]
        return sum(known) if known else None

    @property
    def full_in(self) -> float | None:
        """Days until the limit at this rate; None if unknown, or if nothing grows."""
        if self.limit is None:
            return None
        left = self.limit - self.bytes
        if left <= 0:
            return 0.0
        return left / self.per_day if self.per_day and self.per_day > 0 else None

    def as_json(self) -> dict[str, Any]:
        """By name."""
        return {
            "tables": [one._asdict() for one in self.tables],
            "bytes": self.bytes,
            "bytes_per_day": self.per_day,
            "limit": self.limit,
            "full_in_days": self.full_in,
        }


class Purged(NamedTuple):
    """What was deleted of a table at once: rows, and those of them that were not replayed.

    ``seconds`` is how long that took, ``is_last`` whether nothing older is left.
    """

    what: str
    rows: int
    pending: int
    seconds: float
    is_last: bool
