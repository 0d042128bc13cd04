"""Every metric that any stream has. `docs/metrics.md` is generated from this.

Counted a batch at a time, never an event at a time. Labels are bounded: reasons, fields, kinds,
partitions. Totals are those of this worker since its start.
"""

from collections.abc import Iterable, Iterator

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, Info, Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

from pipeline.quality import FILLED as FILLED_KIND
from pipeline.stream import REASONS

EVENTS = Counter(
    "etl_events",
    "Events handled, by outcome: `stored` as a row, dead-lettered for the reason `malformed`, "
    "`invalid` or `unstorable`, or skipped as a `duplicate`.",
    ["outcome"],
)
FILLED = Counter(
    "etl_filled_values", "Values that were missing and filled in, by field.", ["field"]
)
REPAIRED = Counter(
    "etl_repaired_values",
    "Values of the wrong type or range, by field and kind: `mistyped`, `stringified`, "
    "`out_of_range`, `unparsable`.",
    ["field", "kind"],
)
BATCHES = Counter("etl_batches", "Batches committed to the database.")
BATCH_ROWS = Histogram(
    "etl_batch_rows",
    "Rows of a batch.",
    buckets=(1, 10, 100, 1_000, 5_000, 10_000, 20_000, 50_000, 100_000),
)
EMPTY_FLUSHES = Counter("etl_empty_flushes", "Flushes with nothing to write.")
FLUSH_DURATION = Histogram(
    "etl_flush_duration_seconds",
    "Duration of a write in seconds, from its first lock to its ledger line.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
END_TO_END_LATENCY = Histogram(
    "etl_end_to_end_latency_seconds",
    "Seconds from the Kafka timestamp of a batch's oldest event to its commit.",
    buckets=(0.5, 1, 2.5, 5, 7.5, 10, 30, 60, 300, 1800),
)
LAST_BATCH = Gauge(
    "etl_last_batch_timestamp_seconds",
    "Time of the last committed batch, in seconds since 1970; 0 before the first.",
)
BUFFERED_EVENTS = Gauge("etl_buffered_events", "Events in memory: read, waiting and being written.")
BUFFERED_BYTES = Gauge(
    "etl_buffered_bytes", "Bytes they take, estimated; `BUFFER_MAX_BYTES` is the limit."
)
BUFFERED_AGE = Gauge(
    "etl_oldest_buffered_event_age_seconds",
    "Seconds since the Kafka timestamp of the oldest event in memory; 0 when there is none.",
)
RETRIES = Counter(
    "etl_retries",
    "Writes retried, by error: `connection`, `login`, `deadlock`, `lock_wait`, "
    "`too_many_connections`, `limit`, `read_only`, `resources`, `cluster`, `interrupted`, "
    "`too_large`, `other`.",
    ["error"],
)
CONNECTIONS = Counter(
    "etl_database_connections_opened",
    "Connections opened to the database; a steady rise means that they are being lost.",
)
BREAKER_OPEN = Gauge(
    "etl_breaker_open", "Deprecated: use `etl_breaker_open_partitions`, which is above 0 then."
)
BREAKER_OPEN_PARTITIONS = Gauge(
    "etl_breaker_open_partitions",
    "Partitions paused by the circuit breaker; not while an attempt is under way.",
)
ROLLUP_BEHIND = Gauge(
    "etl_rollup_behind_rows", "Rows not in the sales sums yet, counted by their ids."
)
ROLLUP_BEHIND_SECONDS = Gauge(
    "etl_rollup_behind_seconds",
    "Seconds since the sales sums were last complete; 0 while they are.",
)
ROLLUP_ROWS = Counter("etl_rollup_rows", "Rows that this worker added to the sales sums.")
ROLLUP_RUNS = Counter("etl_rollup_runs", "Transactions in which it did so.")
ROLLUP_ERRORS = Counter(
    "etl_rollup_errors",
    "Failed roll-up runs, by error, as in `etl_retries`.",
    ["error"],
)
READY = Gauge("etl_ready", "1 while `/ready/` answers 200, else 0.")
REBALANCES = Counter("etl_rebalances", "Times this worker was given partitions.")
COMMITTED_OFFSET = Gauge(
    "etl_committed_offset",
    "Next offset in the database, per partition: all events below it are stored.",
    ["topic", "partition"],
)
LOG_END_OFFSET = Gauge(
    "etl_log_end_offset",
    "Offset that the next event in the log will have, per partition.",
    ["topic", "partition"],
)
LAG = Gauge(
    "etl_lag_events",
    "Events in the log that are not stored yet, per partition.",
    ["topic", "partition"],
)
TABLE_BYTES = Gauge(
    "etl_table_bytes", "Bytes of a table with its indexes, by the server's estimate.", ["table"]
)
TABLE_ROWS = Gauge("etl_table_rows", "Rows of a table, by the server's estimate.", ["table"])
TABLES_GROWTH = Gauge(
    "etl_tables_growth_bytes_per_day", "Bytes that all tables grow by in a day, over a week."
)
DATABASE_FULL = Gauge(
    "etl_database_full_days",
    "Days until DATABASE_MAX_BYTES at this growth; NaN if unknown or nothing grows.",
)
PURGED_ROWS = Counter("etl_purged_rows", "Rows deleted by RETENTION, per kind.", ["kind"])
PURGE_ERRORS = Counter("etl_purge_errors", "Failed attempts to note sizes or to purge.", ["error"])
OPEN_TRANSACTION = Gauge(
    "etl_open_transaction_events",
    "Offsets from the start of a transaction that is still open to the log's end, per partition.",
    ["topic", "partition"],
)
KAFKA_ANSWER_AGE = Gauge(
    "etl_kafka_answer_age_seconds",
    "Seconds since Kafka last answered, asked every 5 s; from 15 on the lag is not exposed.",
)
LOST_TO_RETENTION = Counter(
    "etl_lost_to_retention_events", "Events that Kafka's retention removed before they were read."
)
BUILD = Info(
    "etl_build",
    "What runs: versions of the app, of its schema, of Python and of Faust, and what makes rows.",
)
SETTINGS = Info("etl_settings", "Settings that shape the flow; nothing secret and no addresses.")

#: Every outcome is exposed from the start, so that the first event of one is a rise from 0.
for _outcome in ("stored", "duplicate", *REASONS):
    EVENTS.labels(_outcome)


def expose(flags: Iterable[tuple[str, str]]) -> None:
    """Expose each field with each kind from the start, so that its first value is a rise from 0."""
    for field, kind in flags:
        if kind == FILLED_KIND:
            FILLED.labels(field)
        else:
            REPAIRED.labels(field, kind)


#: Names of the version before, which this version still exposes.
DEPRECATED: dict[str, MetricWrapperBase] = {
    "etl_empty_ticks": EMPTY_FLUSHES,
    "etl_flush_seconds": FLUSH_DURATION,
    "etl_event_to_row_seconds": END_TO_END_LATENCY,
    "etl_stored_offset": COMMITTED_OFFSET,
}


class _OldNames(Collector):
    """Exposes metrics under the names of the version before as well."""

    def collect(self) -> Iterator[Metric]:
        for old, metric in DEPRECATED.items():
            for found in metric.collect():
                name = f"{found.name}_total" if found.type == "counter" else found.name
                renamed = Metric(old, f"Deprecated: use `{name}`.", found.type, found.unit)
                renamed.samples = [
                    sample._replace(name=sample.name.replace(found.name, old, 1))
                    for sample in found.samples
                ]
                yield renamed


REGISTRY.register(_OldNames())
