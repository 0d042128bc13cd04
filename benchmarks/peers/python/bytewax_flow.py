"""A Bytewax dataflow: its Kafka source, batches through one map, a sink of executemany."""

import json
from typing import Any

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.run import cli_main
from confluent_kafka import OFFSET_BEGINNING
from rules import INSERT, KAFKA, TOPIC, connect, to_row

BATCH = 10_000

Row = tuple[Any, ...]


class Partition(StatelessSinkPartition[Row]):
    """One worker's connection."""

    def __init__(self) -> None:
        self._database = connect()

    def write_batch(self, items: list[Row]) -> None:
        """Store a batch in a transaction."""
        with self._database.cursor() as cursor:
            cursor.executemany(INSERT, items)
        self._database.commit()

    def close(self) -> None:
        """Let the connection go."""
        self._database.close()


class MySQLSink(DynamicSink[Row]):
    """Rows into MySQL."""

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Partition:
        """Give a worker its connection."""
        return Partition()


def to_rows(messages: list[KafkaSourceMessage[Any, Any]]) -> list[Row]:
    """Make a batch of messages rows."""
    rows = [to_row(json.loads(message.value)) for message in messages]
    return [row for row in rows if row is not None]


flow = Dataflow("flash_sale")
source = KafkaSource(
    [KAFKA], [TOPIC], tail=True, starting_offset=OFFSET_BEGINNING, batch_size=BATCH
)
rows = op.flat_map_batch("rows", op.input("kafka", flow, source), to_rows)
op.output("mysql", rows, MySQLSink())

if __name__ == "__main__":
    cli_main(flow)
