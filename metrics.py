"""Every metric of the app, by name. Labels are bounded: reasons, fields, kinds, partitions."""

from prometheus_client import Counter, Gauge, Histogram

#: Batches committed to the database.
BATCHES = Counter("etl_batches", "Batches committed to the database.")
#: Flush intervals in which nothing had come in.
EMPTY_TICKS = Counter("etl_empty_ticks", "Flush intervals in which nothing had come in.")
#: Events done, by what became of them: stored, or the reason they were dropped.
EVENTS = Counter("etl_events", "Events done, by outcome.", ["outcome"])
#: Values the rules filled in, by field.
FILLED = Counter("etl_filled_values", "Values the rules filled in, by field.", ["field"])
#: Values that were not what the schema says, by field and kind of mend.
REPAIRED = Counter("etl_repaired_values", "Values mended, by field and kind.", ["field", "kind"])
#: Revenue of the rows stored, in the shop's currency.
REVENUE = Gauge("etl_revenue", "Revenue of the rows stored since the worker started.")
#: Seconds of one write, from its first lock to its ledger line.
FLUSH_SECONDS = Histogram(
    "etl_flush_seconds",
    "Seconds of one write.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
#: Seconds from the Kafka timestamp of a batch's oldest event to its commit.
EVENT_TO_ROW_SECONDS = Histogram(
    "etl_event_to_row_seconds",
    "Seconds from a batch's oldest event to its commit.",
    buckets=(0.5, 1, 2.5, 5, 7.5, 10, 30, 60, 300, 1800),
)
#: Events in memory: waiting and being written.
BUFFERED_EVENTS = Gauge("etl_buffered_events", "Events in memory, waiting or being written.")
#: Writes tried again because the database was away or busy.
RETRIES = Counter("etl_retries", "Writes tried again.")
#: Events that Kafka's retention removed before they were read.
LOST_TO_RETENTION = Counter("etl_lost_to_retention_events", "Events removed before being read.")
#: The next offset to store, per partition.
STORED_OFFSET = Gauge("etl_stored_offset", "Next offset to store.", ["topic", "partition"])
#: The offset of the event to come next, per partition.
LOG_END_OFFSET = Gauge("etl_log_end_offset", "End of the log.", ["topic", "partition"])
#: Events in the log that are not stored yet, per partition.
LAG = Gauge("etl_lag_events", "Events not stored yet.", ["topic", "partition"])
#: When the last batch was committed, seconds since 1970.
LAST_BATCH = Gauge("etl_last_batch_timestamp_seconds", "When the last batch was committed.")
#: 1 while the circuit breaker holds events back, else 0.
BREAKER_OPEN = Gauge("etl_breaker_open", "1 while the circuit breaker holds events back.")
#: 1 when the worker is ready, else 0.
READY = Gauge("etl_ready", "1 when the worker is ready.")
