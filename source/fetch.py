"""A fetch: the records that the agent gets at once, of one partition."""

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.memory import Lease
from pipeline.record import LastRecord, Record


class Fetch(NamedTuple):
    """Records of one partition, sorted by offset, covering offsets ``[start, end)``.

    ``last`` identifies the last one; the lease is on their memory.
    """

    start: int
    end: int
    records: Sequence[Record]
    last: LastRecord | None
    lease: Lease
