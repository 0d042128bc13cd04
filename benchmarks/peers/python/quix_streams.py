"""A Quix Streams application: a dataframe of events, a BatchingSink of executemany."""

from typing import Any

from quixstreams import Application
from quixstreams.sinks.base import BatchingSink, SinkBatch
from rules import GROUP, INSERT, KAFKA, TOPIC, connect, to_row

#: Events between checkpoints, each of which is one write.
CHECKPOINT = 20_000


class MySQLSink(BatchingSink):
    """Rows into MySQL, a transaction for each partition and checkpoint."""

    def setup(self) -> None:
        """Connect."""
        self._database = connect()

    def write(self, batch: SinkBatch) -> None:
        """Store a batch in a transaction."""
        rows = [item.value for item in batch if item.value is not None]
        with self._database.cursor() as cursor:
            cursor.executemany(INSERT, rows)
        self._database.commit()


def main() -> None:
    """Run until killed."""
    app = Application(
        broker_address=KAFKA,
        consumer_group=GROUP,
        auto_offset_reset="earliest",
        commit_interval=5.0,
        commit_every=CHECKPOINT,
    )
    rows: Any = app.dataframe(app.topic(TOPIC, value_deserializer="json")).apply(to_row)
    rows.sink(MySQLSink())
    app.run()


if __name__ == "__main__":
    main()
