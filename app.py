"""flash-sale ETL: Kafka events, filled and priced, into MySQL, each exactly once.

`faust -A app worker -l info` runs it. Data flows one way: Kafka → agents → models → db.
"""

import asyncio
import gc
import os
import signal
import socket
import tempfile
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from secrets import token_hex
from time import time
from typing import Any

import faust
from aiokafka.errors import KafkaError
from faust.types import TP
from mode.utils.logging import get_logger

from agents.breaker_service import BreakerService
from agents.circuit_breaker import CircuitBreaker, Partition
from agents.enrichment import enrichment
from agents.flash_sales import FLASH_SALES
from checks.startup import prepare
from commands.batches import batches
from commands.breaker import breaker
from commands.check import check
from commands.dead_letters import dead_letters
from commands.migrate import migrate
from commands.offsets import offsets
from commands.rollup import rollup
from commands.simulate import simulate
from config.logging import logging_config
from config.settings import load
from db.breakers import BreakerStore
from db.dead_letters import DeadLetters
from db.engine import connect, ping
from db.offsets import OffsetStore
from db.reports import Reports
from db.rollup import Rollup
from db.schema import VERSION
from db.writer import Writer
from pipeline.batch import Batch
from pipeline.database_watch import DatabaseWatch
from pipeline.errors import FatalError, TransientError
from pipeline.flusher import Flusher
from pipeline.memory import Memory, return_freed_memory
from pipeline.originals import Portion
from pipeline.rollup_service import RollupService
from pipeline.shutdown import end_worker
from source import codecs, patches
from source.auth import client_options, credentials
from source.log_reader import LogReader
from source.start_offsets import OtherLogError, Position, StartOffsets
from source.topics import NoTopicError, topic_bounds
from source.transport import FetchConsumer, FetchTransport, PassThrough
from web.dashboard import dashboard
from web.health import Health, seconds_since
from web.history import History, Totals
from web.metrics_export import export
from web.middleware import require_token
from web.pages import pages
from web.progress import Progress

log = get_logger(__name__)
settings = load()

engine = connect(settings.database, settings.database_tls)
store = OffsetStore(engine, settings.consumer_group)
read_committed = settings.isolation_level == "read_committed"
start_offsets = StartOffsets(
    store,
    settings.topic,
    from_beginning=settings.starting_offsets == "earliest",
    read_committed=read_committed,
)
memory = Memory(settings.buffer_max_rows, settings.buffer_max_bytes)
logs = LogReader(settings.broker_addresses, settings.topic, client_options(settings))
patches.install(settings.decompressed_max_bytes)
progress = Progress(read_committed=read_committed)
history = History()


class App(faust.App):
    """The Faust app, which looks before it starts."""

    async def on_first_start(self) -> None:
        return_freed_memory()
        await super().on_first_start()
        try:
            await prepare(settings, engine, start_offsets)
        except FatalError as error:
            log.critical("%s", error)
            raise SystemExit(1) from None
        if missing := codecs.unavailable():
            log.warning(
                "Batches compressed with %s cannot be read: run `pip install cramjam`.",
                ", ".join(missing),
            )
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, breakers.close_all)
        # As it is set by default, the collector of cycles looks at every buffered event again and
        # again; that took a third of the processor time.
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)


app = App(
    settings.consumer_group,
    broker=settings.brokers,
    broker_credentials=credentials(settings),
    logging_config=logging_config(settings.log_format),
    store="memory://",
    datadir=Path(tempfile.gettempdir()) / f"flash-sale-etl-{os.getuid()}",
    web_bind=settings.web_bind,
    web_port=settings.port,
    web_router_enabled=False,
    web_tables_enabled=False,
    web_application_options={
        "middlewares": [
            require_token(settings.web_token.get_secret_value() if settings.web_token else None)
        ]
    },
    topic_disable_leader=True,
    topic_allow_declare=False,
    # A fetch is one message: 2000 events a fetch, 4 fetches waiting for the agent at most.
    broker_max_poll_records=2000,
    stream_buffer_maxsize=4,
    # Bytes a partition; larger ones cost memory and gain no speed.
    consumer_max_fetch_size=131_072,
    # Unacknowledged messages are not waited for: offsets are kept in the database.
    stream_wait_empty=False,
    broker_session_timeout=settings.session_timeout,
    broker_heartbeat_interval=settings.session_timeout / 3,
    # Faust refuses a session that is longer than a request may take, 90 s unless set.
    broker_request_timeout=max(90.0, settings.session_timeout),
    # Positions come from the database alone; a fetch out of range is ours to judge.
    consumer_auto_offset_reset="none",
    # Added partitions are noticed this soon; so is a topic that was deleted.
    consumer_metadata_max_age_ms=30_000,
)
# aiokafka throws out a consumer that reads nothing for this long (s), for good. Set here, a
# variable of Faust's cannot undo it.
app.conf.broker_max_poll_interval = 1e6


def positioned(found: Mapping[int, Position]) -> None:
    """The worker's partitions now, and where they go on."""
    progress.assign({(settings.topic, number): at.start for number, at in found.items()})
    breakers.assigned(found.keys())


app.transport = FetchTransport(
    app.conf.broker_consumer,
    app,
    logs=logs,
    memory=memory,
    read_committed=read_committed,
    resolve=start_offsets.resolve,
    check=start_offsets.check,
    positioned=positioned,
)


def report(batch: Batch) -> None:
    """Count a committed batch, and tell Kafka for those who watch the lag there."""
    progress.move(batch.offsets)
    consumer().report(batch.offsets)
    breakers.stored(batch.rows, batch.refused)
    if batch.events:
        progress.add(batch)
        history.add(batch)
        app.monitor.count("batches", 1)
        app.monitor.count("valid_rows", batch.valid)
        app.monitor.count("dropped_events", batch.total_dropped)


async def reread(topic: str, partition: int, offsets: Sequence[int]) -> Portion | None:
    """Events that only the database refuses, as they came; None where Kafka does not give them."""
    try:
        return await consumer().reread(partition, offsets)
    except KafkaError as error:
        log.warning(
            "Events of %s/%d from offset %d on cannot be read again: %r",
            topic,
            partition,
            offsets[0],
            error,
        )
        return None


def consumer() -> FetchConsumer:
    found = app.consumer
    assert isinstance(found, FetchConsumer)
    return found


#: Partitions that are not read for now, by who wants it.
held: dict[str, Collection[Partition]] = {}


def hold(who: str, partitions: Collection[Partition]) -> None:
    """Do not read these partitions for now, and all others that nobody else holds."""
    held[who] = list(partitions)
    consumer().hold({TP(*partition) for some in held.values() for partition in some})


async def seek_back(partition: Partition, offset: int) -> None:
    """Read a partition again from an offset on."""
    await consumer().seek_back(TP(*partition), offset)


breaker_store = BreakerStore(engine, settings.consumer_group, settings.topic)
breakers = BreakerService(
    CircuitBreaker(settings.breaker_share, settings.breaker_window),
    breaker_store,
    pause=settings.breaker_pause,
    hold=partial(hold, "breaker"),
    seek_back=seek_back,
)
flusher = Flusher(
    Writer(
        engine,
        settings.consumer_group,
        worker=f"{socket.gethostname()}-{os.getpid()}-{token_hex(4)}",
        deduplicate=settings.deduplicate,
    ),
    interval=settings.flush_interval,
    max_events=settings.flush_max_rows,
    # A write in flight, what waits meanwhile, and what is being read.
    max_bytes=settings.buffer_max_bytes // 4,
    stop_timeout=settings.shutdown_timeout,
    reread=reread,
    listeners=[report],
    on_stuck=partial(hold, "flusher"),
)
# Faust takes a service that is made already as well as its class.
app.service(flusher)  # type: ignore[arg-type]
app.service(breakers)  # type: ignore[arg-type]
watch = DatabaseWatch(partial(ping, engine), lambda: flusher.last_write)
app.service(watch)  # type: ignore[arg-type]
sums = Rollup(engine, settings.rollup_interval)
rollups = RollupService(sums.step, settings.rollup_interval)
app.service(rollups)  # type: ignore[arg-type]

enrichment(
    app,
    app.topic(settings.topic, schema=PassThrough(), acks=False),
    FLASH_SALES,
    breakers,
    flusher,
)
migrate(app, settings)
check(app, settings, engine)
offsets(app, settings, store)
dead_letters(
    app,
    DeadLetters(engine, settings.consumer_group, FLASH_SALES, deduplicate=settings.deduplicate),
)
batches(app, engine, settings.consumer_group)
breaker(app, settings.topic, breaker_store)
rollup(app, sums)
simulate(app, settings)


@app.on_partitions_revoked.connect
async def drain(*_: Any, **__: Any) -> None:
    await flusher.drain()
    breakers.forget()


@app.timer(5.0)  # type: ignore[untyped-decorator]
async def look_at_log_ends() -> None:
    try:
        if consumer().topic_partitions(settings.topic) == 0:
            await topic_bounds(settings)
        bounds = await consumer().bounds()
        if progress.ends_went_back(settings.topic, bounds):
            await consumer().check_logs(bounds)
    except (NoTopicError, OtherLogError) as error:
        await end_worker(flusher, error)
    except (KafkaError, TransientError, FatalError) as error:
        log.info("The ends of the logs are not known: %s", error)
    else:
        progress.see(settings.topic, bounds)
    held = memory.events
    read = progress.events + held
    history.sample(Totals(time(), read, progress.total_dropped, progress.total_lag, held))


def done_so_far() -> dict[str, Any]:
    """What `/batches/` shows."""
    return {
        **progress.as_json(),
        "empty_ticks": flusher.empty_ticks,
        "buffered": flusher.buffer.events,
        "breakers": breakers.as_json(),
        "rollup": rollups.as_json(),
        "in_memory": {"events": memory.events, "bytes": memory.bytes},
    }


health = Health(
    quiet_for=lambda: seconds_since(flusher.last_tick),
    quiet_limit=60 + 3 * settings.flush_interval,
    trouble=lambda: flusher.trouble or watch.trouble,
    stuck=lambda: flusher.stuck,
    held_back=lambda: breakers.reason,
    rebalancing=lambda: app.rebalancing,
    positioned=lambda: consumer().positioned,
)
export(flusher.buffer, memory, health, settings, schema=VERSION)
pages(app, done_so_far, health)
dashboard(
    app,
    lambda: {**done_so_far(), "history": history.as_json()},
    health,
    Reports(engine, settings.consumer_group),
)
