"""The worker's last minutes, for the dashboard's charts: bounded, pure state."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.batch import Batch
from pipeline.quality import Quality, Share

#: Samples kept: 20 minutes at one every five seconds.
SAMPLES = 240
#: Samples that a rate is averaged over, because events arrive in fetches.
SMOOTHED = 4
BATCHES = 60


@dataclass(frozen=True, slots=True)
class Totals:
    """The worker's totals at a time (seconds since 1970)."""

    at: float
    read: int
    dropped: int
    lag: int | None
    buffered: int


class History:
    """Samples of the worker's totals, and its last batches.

    Args:
        quality: which shares of filled and repaired rows are high.
    """

    def __init__(self, quality: Quality | None = None) -> None:
        self._judged = quality or Quality()
        self._samples: deque[dict[str, Any]] = deque(maxlen=SAMPLES)
        self._batches: deque[dict[str, Any]] = deque(maxlen=BATCHES)
        #: Of the same batches: rows, rows filled by field, rows repaired by ``field.kind``.
        self._quality: deque[tuple[int, Mapping[str, int], Mapping[str, int]]] = deque(
            maxlen=BATCHES
        )
        self._totals: deque[Totals] = deque(maxlen=SMOOTHED)

    def sample(self, now: Totals) -> None:
        """Add a sample of rates per second, averaged over the last samples."""
        self._totals.append(now)
        before = self._totals[0]
        seconds = now.at - before.at
        if seconds <= 0:
            return
        self._samples.append(
            {
                "at": round(now.at, 1),
                # Fewer than before if partitions were revoked with events in memory.
                "events": round(max(0, now.read - before.read) / seconds, 1),
                "dropped": round((now.dropped - before.dropped) / seconds, 2),
                "lag": now.lag,
                "buffered": now.buffered,
            }
        )

    def committed(self, batch: Batch) -> None:
        """Keep a batch, unless it has only moved offsets."""
        if not batch.events:
            return
        self._quality.append((batch.valid, batch.filled, batch.repaired))
        self._batches.append(
            {
                "number": batch.number,
                "at": round(batch.written.timestamp(), 1),
                "rows": batch.valid,
                "dropped": batch.total_dropped,
                "seconds": round(batch.seconds, 3),
            }
        )

    def quality(self) -> list[Share]:
        """What was filled and repaired in these batches."""
        rows = 0
        filled: Counter[str] = Counter()
        repaired: Counter[str] = Counter()
        for valid, of_fields, of_kinds in self._quality:
            rows += valid
            filled.update(of_fields)
            repaired.update(of_kinds)
        return self._judged.shares(rows, filled, repaired)

    def as_json(self) -> dict[str, Any]:
        """Samples and batches, oldest first."""
        return {"samples": list(self._samples), "batches": list(self._batches)}
