"""A second stream, another Record into another table, through the same source, pipeline, writer."""

import asyncio
from types import SimpleNamespace
from typing import Any

import faust
from sqlalchemy import text

from agents.enrichment import enrichment
from db.write import offsets, writer
from pipeline.flush.flusher import Flusher
from pipeline.lane import Lane
from pipeline.memory import Memory
from pipeline.stream import MALFORMED, Stream
from source import control, patches
from source.log_reader import LogReader
from source.start_offsets import StartOffsets
from source.transport import FetchTransport, PassThrough
from tests.helpers.accounts import WORKER, dba
from tests.helpers.worker import wait_until


class Reading(faust.Record):
    sensor: str
    celsius: float


def transform(value) -> Any:
    try:
        return tuple(Reading.loads(value, serializer="json").asdict().values()), 0
    except ValueError as error:
        return SimpleNamespace(reason=MALFORMED, detail=str(error))


READINGS = Stream(
    table="readings",
    columns=("sensor", "celsius"),
    transform=transform,
    restore=bytes,
    tally=lambda flags: ({}, {}),
    trial=str.encode,
    fields=("sensor", "celsius"),
)


async def test_another_record_goes_into_another_table(broker, migrated_engine, topic, produce):
    def ask(query):
        with migrated_engine.begin() as connection:
            return connection.execute(text(query))

    with dba(migrated_engine).begin() as connection:
        connection.execute(text("CREATE TABLE readings (sensor VARCHAR(20), celsius FLOAT)"))
        connection.execute(text(f"GRANT SELECT, INSERT ON readings TO {WORKER}@127.0.0.1"))
    produce([*(b'{"sensor": "north", "celsius": %d.5}' % n for n in range(100)), b"cold"])
    patches.install()
    app = faust.App("toy", broker=broker.url, web_enabled=False, topic_disable_leader=True)
    starts = StartOffsets(offsets.OffsetStore(migrated_engine, "toy"), from_beginning=True)
    limits: Any = {"interval": 0.2, "max_events": 50, "max_bytes": 1 << 20, "stop_timeout": 5}
    limits["refetch_some"] = control.ConsumerControl(app).refetch
    flusher = Flusher(writer.Writer(migrated_engine, "toy", READINGS, "w"), **limits)
    logs = LogReader([broker.bootstrap], {})
    options: Any = {"memory": Memory(1000, 1 << 20), "read_committed": True, "listeners": []}
    options |= {"logs": logs, "starts": starts, "flusher": flusher}
    app.transport = FetchTransport(app.conf.broker_consumer, app, **options)
    breakers: Any = SimpleNamespace(admit=lambda chunk: chunk)
    fetches = app.topic(topic, schema=PassThrough(), acks=False)
    enrichment(app, fetches, Lane(READINGS, flusher), breakers)
    done = "SELECT SUM(next_offset) FROM stream_offsets"
    async with app, flusher:
        await asyncio.to_thread(wait_until, lambda: ask(done).scalar() == 101, 30)
    assert ask("SELECT COUNT(*), SUM(celsius) FROM readings").one() == (100, 5000)
    assert ask("SELECT reason, value FROM dead_letters").all() == [(MALFORMED, b"cold")]
