"""The worker's progress: pure state behind the pages and the metrics."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import Gauge

from pipeline import metrics
from pipeline.batch import Batch, empty_drops
from pipeline.partition import Partition, total_lag
from source.log_reader import Bounds

#: Declared here because `pipeline.metrics` knows nothing of sales.
REVENUE = Gauge(
    "etl_revenue",
    "Sum of the column `revenue` over all rows stored, whatever their event type; sales are in "
    "the database's views.",
)

_OF_LOG = metrics.LOG_END_OFFSET, metrics.LAG, metrics.OPEN_TRANSACTION
_OF_PARTITION = metrics.COMMITTED_OFFSET, *_OF_LOG


class Progress:
    """Totals since the worker started, and offsets of its current partitions."""

    def __init__(self, *, read_committed: bool = True) -> None:
        self._read_committed = read_committed
        self.batches = 0
        self.events = 0
        self.valid = 0
        self.dropped = empty_drops()
        self.duplicate = 0
        self.filled: Counter[str] = Counter()
        self.repaired: Counter[str] = Counter()
        self.revenue = 0.0
        self.last: Batch | None = None
        self.stored: dict[Partition, int] = {}
        self.bounds: dict[Partition, Bounds] = {}
        #: Whether they are those of now.
        self._sees_ends = True

    def committed(self, batch: Batch) -> None:
        """Count a batch, unless it has only moved offsets."""
        self.move(batch.offsets)
        if not batch.events:
            return
        self.batches += 1
        self.events += batch.events
        self.valid += batch.valid
        self.dropped.update(batch.dropped)
        self.duplicate += batch.duplicate
        self.filled.update(batch.filled)
        self.repaired.update(batch.repaired)
        self.revenue += batch.total
        self.last = batch
        _export(batch)

    def move(self, offsets: Mapping[Partition, int]) -> None:
        """Update the stored offsets."""
        moved = {key: offset for key, offset in offsets.items() if key in self.stored}
        self.stored.update(moved)
        self._export_offsets(moved)

    def assigned(self, stored: Mapping[Partition, int]) -> None:
        """Replace the worker's partitions by these, with their stored offsets."""
        metrics.REBALANCES.inc()
        for gone in self.stored.keys() - stored.keys():
            for gauge in _OF_PARTITION:
                gauge.remove(*map(str, gone))
        self.stored = dict(stored)
        self.bounds = {key: bounds for key, bounds in self.bounds.items() if key in stored}
        self._export_offsets(stored)

    def see(self, bounds: Mapping[Partition, Bounds]) -> None:
        """Update the bounds of the partitions' logs."""
        self._sees_ends = True
        self.bounds.update({key: found for key, found in bounds.items() if key in self.stored})
        self._export_offsets(self.stored)

    def lose_ends(self) -> None:
        """Have no lag until the logs' ends are seen again: an old one would look like a new one."""
        self._sees_ends = False
        for key in self.stored:
            for gauge in _OF_LOG:
                gauge.remove(*map(str, key))

    def ends_went_back(self, bounds: Mapping[Partition, Bounds]) -> bool:
        """Whether a log's end has moved back: the topic may have been recreated."""
        return any(
            found.end < self.bounds[key].end for key, found in bounds.items() if key in self.bounds
        )

    @property
    def known_bounds(self) -> Mapping[Partition, Bounds]:
        """The bounds of now; none while Kafka does not answer."""
        return self.bounds if self._sees_ends else {}

    def lag(self, partition: Partition) -> int | None:
        """Offsets in the log that are not stored; None while the log's end is not known."""
        found = self.known_bounds.get(partition)
        return None if found is None else max(0, found.end - self.stored[partition])

    def open_transaction(self, partition: Partition) -> dict[str, int] | None:
        """The offset at which an open transaction blocks reading, and how many offsets follow."""
        found = self.known_bounds.get(partition)
        if found is None or not self._read_committed or found.readable >= found.end:
            return None
        if self.stored[partition] > found.readable:
            return None  # it has ended since the bounds were read
        return {"offset": found.readable, "events": found.end - found.readable}

    @property
    def total_dropped(self) -> int:
        return sum(self.dropped.values())

    @property
    def total_lag(self) -> int | None:
        """Events in the logs that are not stored; None until all ends are known."""
        return total_lag(map(self.lag, self.stored))

    def as_json(self) -> dict[str, Any]:
        """The content of ``/batches/``, except the buffer."""
        return {
            "batches": self.batches,
            "events": self.events,
            "valid": self.valid,
            "dropped": dict(self.dropped),
            "duplicate": self.duplicate,
            "filled": dict(self.filled),
            "repaired": _nested(self.repaired),
            "revenue": round(self.revenue, 2),
            "last_batch": _last(self.last),
            "partitions": [
                {
                    "topic": partition.topic,
                    "partition": partition.number,
                    "committed_offset": stored,
                    "lag": self.lag(partition),
                    "open_transaction": self.open_transaction(partition),
                }
                for partition, stored in sorted(self.stored.items())
            ],
        }

    def _export_offsets(self, partitions: Iterable[Partition]) -> None:
        for key in partitions:
            labels = tuple(map(str, key))
            metrics.COMMITTED_OFFSET.labels(*labels).set(self.stored[key])
            lag = self.lag(key)
            if lag is not None:
                metrics.LOG_END_OFFSET.labels(*labels).set(self.bounds[key].end)
                metrics.LAG.labels(*labels).set(lag)
                waiting = self.open_transaction(key)
                metrics.OPEN_TRANSACTION.labels(*labels).set(waiting["events"] if waiting else 0)


def _export(batch: Batch) -> None:
    metrics.BATCHES.inc()
    metrics.BATCH_ROWS.observe(batch.valid)
    metrics.EVENTS.labels("stored").inc(batch.valid)
    metrics.EVENTS.labels("duplicate").inc(batch.duplicate)
    for reason, number in batch.dropped.items():
        metrics.EVENTS.labels(reason).inc(number)
    for field, number in batch.filled.items():
        metrics.FILLED.labels(field).inc(number)
    for field_and_kind, number in batch.repaired.items():
        metrics.REPAIRED.labels(*field_and_kind.split(".")).inc(number)
    REVENUE.inc(batch.total)
    metrics.FLUSH_DURATION.observe(batch.seconds)
    metrics.LAST_BATCH.set(batch.written.timestamp())
    if batch.oldest_timestamp:
        metrics.END_TO_END_LATENCY.observe(
            max(0.0, batch.written.timestamp() - batch.oldest_timestamp / 1000)
        )


def _last(batch: Batch | None) -> dict[str, Any] | None:
    if batch is None:
        return None
    return {
        "number": batch.number,
        "events": batch.events,
        "valid": batch.valid,
        "dropped": batch.total_dropped,
        "duplicate": batch.duplicate,
        "seconds": round(batch.seconds, 3),
        "written": batch.written.isoformat(timespec="milliseconds"),
    }


def _nested(repaired: Mapping[str, int]) -> dict[str, dict[str, int]]:
    fields: dict[str, dict[str, int]] = {}
    for field_and_kind, number in repaired.items():
        field, kind = field_and_kind.split(".")
        fields.setdefault(field, {})[kind] = number
    return fields
