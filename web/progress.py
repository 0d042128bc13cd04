"""What the worker has done and how far it is: pure state behind the pages and the metrics."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import metrics
from pipeline.batch import Batch, empty_drops

Partition = tuple[str, int]


class Progress:
    """Totals since the worker started, and offsets of the partitions it has now."""

    def __init__(self) -> None:
        self.batches = 0
        self.events = 0
        self.valid = 0
        self.dropped = empty_drops()
        self.filled: Counter[str] = Counter()
        self.repaired: Counter[str] = Counter()
        self.revenue = 0.0
        self.last: Batch | None = None
        self.stored: dict[Partition, int] = {}
        self.ends: dict[Partition, int] = {}

    def add(self, batch: Batch) -> None:
        """Count a committed batch."""
        self.batches += 1
        self.events += batch.events
        self.valid += batch.valid
        self.dropped.update(batch.dropped)
        self.filled.update(batch.filled)
        self.repaired.update(batch.repaired)
        self.revenue += batch.revenue
        self.last = batch
        self.stored.update(
            {key: offset for key, offset in batch.offsets.items() if key in self.stored}
        )
        _export(batch)

    def assign(self, stored: Mapping[Partition, int]) -> None:
        """The worker has these partitions now, stored up to these offsets."""
        metrics.REBALANCES.inc()
        for gone in self.stored.keys() - stored.keys():
            for gauge in (metrics.STORED_OFFSET, metrics.LOG_END_OFFSET, metrics.LAG):
                gauge.remove(*map(str, gone))
        self.stored = dict(stored)
        self.ends = {key: end for key, end in self.ends.items() if key in stored}
        self._export_offsets(stored)

    def see(self, ends: Mapping[Partition, int]) -> None:
        """The logs end at these offsets now."""
        self.ends.update({key: end for key, end in ends.items() if key in self.stored})
        self._export_offsets(self.stored)

    def lag(self, partition: Partition) -> int | None:
        """Events in the log that are not stored; None until the log's end is known."""
        end = self.ends.get(partition)
        return None if end is None else max(0, end - self.stored[partition])

    @property
    def total_dropped(self) -> int:
        return sum(self.dropped.values())

    @property
    def total_lag(self) -> int | None:
        """Events in the partitions' logs that are not stored; None until all ends are known."""
        lags = [self.lag(partition) for partition in self.stored]
        known = [lag for lag in lags if lag is not None]
        return sum(known) if lags and len(known) == len(lags) else None

    def as_json(self) -> dict[str, Any]:
        """What ``/batches/`` shows, apart from the buffer."""
        return {
            "batches": self.batches,
            "events": self.events,
            "valid": self.valid,
            "dropped": dict(self.dropped),
            "filled": dict(self.filled),
            "repaired": _nested(self.repaired),
            "revenue": round(self.revenue, 2),
            "last_batch": _last(self.last),
            "partitions": [
                {
                    "topic": topic,
                    "partition": partition,
                    "stored_offset": stored,
                    "lag": self.lag((topic, partition)),
                }
                for (topic, partition), stored in sorted(self.stored.items())
            ],
        }

    def _export_offsets(self, partitions: Iterable[Partition]) -> None:
        for key in partitions:
            labels = tuple(map(str, key))
            metrics.STORED_OFFSET.labels(*labels).set(self.stored[key])
            lag = self.lag(key)
            if lag is not None:
                metrics.LOG_END_OFFSET.labels(*labels).set(self.ends[key])
                metrics.LAG.labels(*labels).set(lag)


def _export(batch: Batch) -> None:
    metrics.BATCHES.inc()
    metrics.BATCH_ROWS.observe(batch.valid)
    metrics.EVENTS.labels("stored").inc(batch.valid)
    for reason, number in batch.dropped.items():
        metrics.EVENTS.labels(reason).inc(number)
    for field, number in batch.filled.items():
        metrics.FILLED.labels(field).inc(number)
    for mend, number in batch.repaired.items():
        metrics.REPAIRED.labels(*mend.split(".")).inc(number)
    metrics.REVENUE.inc(batch.revenue)
    metrics.FLUSH_SECONDS.observe(batch.seconds)
    metrics.LAST_BATCH.set(batch.written.timestamp())
    if batch.oldest_timestamp:
        metrics.EVENT_TO_ROW_SECONDS.observe(
            max(0.0, batch.written.timestamp() - batch.oldest_timestamp / 1000)
        )
    for (topic, partition), offset in batch.offsets.items():
        metrics.STORED_OFFSET.labels(topic, str(partition)).set(offset)


def _last(batch: Batch | None) -> dict[str, Any] | None:
    if batch is None:
        return None
    return {
        "number": batch.number,
        "events": batch.events,
        "valid": batch.valid,
        "dropped": batch.total_dropped,
        "seconds": round(batch.seconds, 3),
        "written": batch.written.isoformat(timespec="milliseconds"),
    }


def _nested(repaired: Mapping[str, int]) -> dict[str, dict[str, int]]:
    fields: dict[str, dict[str, int]] = {}
    for mend, number in repaired.items():
        field, kind = mend.split(".")
        fields.setdefault(field, {})[kind] = number
    return fields
