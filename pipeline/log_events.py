"""Names of what is logged: the field ``event`` of each line of ``LOG_FORMAT=json``.

People's filters and alerts rely on these names: they stay the same between versions, while the
sentences may change. ``docs/metrics.md`` lists them.
"""

from typing import Any

#: Each name, and when it is logged.
EVENTS = {
    "batch_rejected": "the database rejects a batch, and the event at fault is searched for",
    "batch_stored": "a batch is committed",
    "breaker_closed": "a partition flows again",
    "breaker_half_open": "an attempt begins: a window of a paused partition is read",
    "breaker_not_recorded": "open breakers cannot be written into the database now",
    "breaker_opened": "a partition is paused, because too much of it is dropped",
    "breaker_stays_open": "an attempt has failed",
    "buffer_dropped": "events not written at a rebalance or at the end will be read again",
    "codec_missing": "a library that decompresses batches is missing",
    "commit_failed": "offsets were not reported to Kafka; they are in the database",
    "database_away": "the database cannot be used",
    "database_back": "the database can be used again",
    "dead_letter_truncated": "a dead letter is too long for the database, and is cut",
    "event_stuck": "an event can neither be stored nor become a dead letter; its partition waits",
    "event_unstuck": "no event is stuck any more",
    "events_lost": "Kafka's retention removed events before they were read",
    "final_flush_timed_out": "the last write did not end in time; its events will be read again",
    "heartbeat_failed": "this worker cannot be shown on the pages of others",
    "heartbeat_missed": "the last heartbeat could not be written",
    "housekeeping_failed": "tables' sizes were not noted, or old rows not purged",
    "instance_unnamed": "`GROUP_INSTANCE_ID=auto` finds no name",
    "join_failed": "joining the consumer group failed and is repeated",
    "kafka_away": "Kafka has not answered for some time",
    "kafka_back": "Kafka answers again",
    "logs_not_compared": "stored offsets could not be compared with the topic's logs",
    "newest_unread": "the newest events of a paused partition could not be read",
    "offsets_followed": "another program moved stored offsets forward",
    "page_failed": "a page failed by a bug",
    "pages_served": "the pages can be asked",
    "partitions_assigned": "what this worker reads from now on",
    "refetch_failed": "events could not be read once more",
    "rollup_continues": "the roll-up works again",
    "rollup_failed": "the roll-up failed by a bug and is repeated",
    "rollup_inexact": "the sums may lack rows of other nodes",
    "rollup_stalled": "the roll-up cannot sum rows",
    "rows_purged": "old rows were deleted by `RETENTION`",
    "secret_renewed": "new connections use the new text of a secret's file",
    "secret_unusable": "the new text of a secret's file cannot be used; the last one is",
    "start_offsets_known": "reading continues from the stored offsets",
    "start_offsets_unknown": "the stored offsets cannot be read yet",
    "table_changed": "a table is not as a write needs it",
    "token_not_renewed": "the token endpoint did not answer; the last token is used",
    "waiting": "the start waits for a server",
    "worker_failed": "the worker ends, and why",
    "worker_started": "the first line: versions, source, destination",
    "write_retried": "a write failed and is repeated",
}


def named(name: str, **fields: object) -> dict[str, Any]:
    """The ``extra`` of a log call: the event's name, and fields of its own."""
    return {"event": name, **fields}
