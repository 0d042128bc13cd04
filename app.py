"""flash-sale ETL: Kafka events, filled and priced, into MySQL, each exactly once.

`faust -A app worker -l info` runs it. An event goes one way: source → agents → pipeline → db.
"""

import gc

# A thousand modules make no garbage: without the collector each command starts and ends sooner.
gc.disable()

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from secrets import token_hex

import faust
from mode.utils.logging import get_logger
from sqlalchemy import Engine

from agents.breaker_service import BreakerService
from agents.circuit_breaker import CircuitBreaker
from agents.enrichment import enrichment
from agents.flash_sales import FLASH_SALES
from checks.startup import prepare
from commands.batches import batches
from commands.breaker import breaker
from commands.check import check
from commands.completion import completion
from commands.dead_letters import dead_letters
from commands.migrate import migrate
from commands.offsets import offsets
from commands.rollup import rollup
from commands.servers import needed_servers
from commands.simulate import simulate
from commands.status import status
from commands.worker import BeforeStart, Worker, running, worker_command
from config.load import load
from config.logging import logging_config
from config.settings import Settings
from config.version import VERSION
from db.breakers import BreakerStore
from db.connection.engine import connect, connect_for_queries, ping
from db.dead_letters.replay import Replayer
from db.reports import Reports
from db.rollup import watermark
from db.rollup.rounds import Rollup
from db.schema import version
from db.schema.preconditions import Preconditions
from db.write.offsets import OffsetStore
from db.write.writer import Writer
from pipeline.batch import Batch
from pipeline.database_watch import DatabaseWatch
from pipeline.flusher import Flusher
from pipeline.memory import Memory, collect_garbage_seldom, return_freed_memory
from pipeline.rollup_service import RollupService
from pipeline.stream import Stream
from source import log_ends, patches
from source.auth import client_options, credentials
from source.control import ConsumerControl
from source.log_ends import LogEnds
from source.log_reader import LogReader
from source.quiet import QuietMonitor
from source.start_offsets import Position, StartOffsets
from source.topics import topic_bounds
from source.transport import FetchTransport, PassThrough
from web.dashboard import dashboard
from web.health import Health, seconds_since
from web.history import History
from web.metrics_export import export
from web.middleware import require_token
from web.pages import pages
from web.progress import Progress
from web.status import Status

log = get_logger(__name__)


class App(faust.App):
    """The Faust app, and what must hold before its worker starts."""

    before_start: BeforeStart

    async def on_first_start(self) -> None:
        return_freed_memory()
        await super().on_first_start()
        collect_garbage_seldom()


def create_app(settings: Settings, stream: Stream = FLASH_SALES) -> App:
    """Build the app: a worker and its commands. Nothing is connected yet.

    Args:
        settings: read from the environment by ``config.settings.load``.
        stream: what the topic's events are and where they go.
    """
    patches.install(settings.decompressed_max_bytes)
    topic, group = settings.topic, settings.consumer_group
    read_committed = settings.isolation_level == "read_committed"
    app = _faust_app(settings)
    engine = connect(settings.database, settings.database_tls)
    queries = connect_for_queries(settings.database, settings.database_tls)

    # The state that the parts share.
    memory = Memory(settings.buffer_max_events, settings.buffer_max_bytes)
    progress = Progress(read_committed=read_committed)
    history = History()

    # The source: fetches, from where the database says.
    offset_store = OffsetStore(engine, group)
    start_offsets = StartOffsets(
        offset_store,
        topic,
        from_beginning=settings.starting_offsets == "earliest",
        read_committed=read_committed,
    )
    control = ConsumerControl(app)

    def positioned(found: Mapping[int, Position]) -> None:
        """The assigned partitions have these start offsets."""
        progress.assign({(topic, number): at.start for number, at in found.items()})
        breakers.assigned(found.keys())

    app.transport = FetchTransport(
        app.conf.broker_consumer,
        app,
        logs=LogReader(settings.broker_addresses, topic, client_options(settings)),
        memory=memory,
        read_committed=read_committed,
        resolve=start_offsets.resolve,
        check=start_offsets.check,
        positioned=positioned,
        next_flush=lambda: flusher.due,
    )

    # The agent, and its circuit breaker.
    breaker_store = BreakerStore(engine, group, topic)
    breakers = BreakerService(
        CircuitBreaker(settings.breaker_share, settings.breaker_window),
        breaker_store,
        pause=settings.breaker_pause,
        hold=partial(control.hold, "breaker"),
        seek_back=control.seek_back,
    )

    # The pipeline: writes the agent's chunks in batches.
    def moved(offsets: Mapping[tuple[str, int], int]) -> None:
        """These offsets are stored now; commit them to Kafka for lag monitors."""
        progress.move(offsets)
        control.report(offsets)

    def report(batch: Batch) -> None:
        """Count a committed batch."""
        moved(batch.offsets)
        breakers.stored(batch.rows, batch.refused)
        if batch.events:
            rollups.stored()
            progress.add(batch)
            lag = progress.total_lag
            log.info("%s%s", batch.line(), "" if lag is None else f", lag {lag}")
            history.add(batch)

    preconditions = Preconditions(engine, deduplicate=settings.deduplicate)
    flusher = Flusher(
        Writer(
            engine,
            group,
            worker=f"{socket.gethostname()}-{os.getpid()}-{token_hex(4)}",
            deduplicate=settings.deduplicate,
            verify=preconditions.verify_again,
        ),
        interval=settings.flush_interval,
        max_events=settings.flush_max_events,
        # A write in flight, what waits meanwhile, and what is being read.
        max_bytes=settings.buffer_max_bytes // 4,
        stop_timeout=settings.shutdown_timeout,
        reread=control.reread,
        listeners=[report],
        on_stuck=partial(control.hold, "flusher"),
    )
    enrichment(app, app.topic(topic, schema=PassThrough(), acks=False), stream, breakers, flusher)

    # Background services.
    watched = OffsetStore(queries, group)

    def stored_offsets(locked: bool) -> dict[tuple[str, int], int]:
        return {(topic, at): to for at, to in watched.read(topic, locked=locked).items()}

    def known_offsets() -> dict[tuple[str, int], int] | None:
        """Those from which the worker continues; None while they may be about to change."""
        if flusher.is_writing or app.rebalancing or not control.is_positioned():
            return None
        return dict(progress.stored)

    watch = DatabaseWatch(
        stored_offsets,
        known_offsets,
        lambda: flusher.last_write,
        lambda: flusher.unanswered_since,
        ping=partial(ping, engine),
        follow=moved,
    )
    sums = Rollup(engine, settings.rollup_interval, queries)
    rollups = RollupService(sums.step, settings.rollup_interval)
    for service in (flusher, breakers, watch, rollups):
        # Faust takes a service that is made already as well as its class.
        app.service(service)  # type: ignore[arg-type]
    state = Status(progress, history, memory, flusher, breakers, rollups)
    ends = LogEnds(
        topic,
        control,
        find_topic=partial(topic_bounds, settings),
        watcher=progress,
        service=flusher,
    )

    @app.timer(log_ends.INTERVAL)  # type: ignore[untyped-decorator]
    async def look_at_log_ends() -> None:
        await ends.look()
        state.sample()

    @app.on_partitions_revoked.connect
    async def drain(*_: object, **__: object) -> None:
        await flusher.drain()
        breakers.forget()

    async def before_start() -> None:
        await prepare(settings, engine, preconditions, start_offsets)
        log.info("%s", running(settings), extra={"version": VERSION})
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, breakers.close_all)

    app.before_start = before_start

    # Pages and metrics.
    health = Health(
        quiet_for=lambda: seconds_since(flusher.last_tick),
        quiet_limit=60 + 3 * settings.flush_interval,
        database_error=lambda: flusher.last_error or watch.last_error,
        stuck=lambda: flusher.stuck,
        held_back=lambda: breakers.reason,
        rebalancing=lambda: app.rebalancing,
        positioned=control.is_positioned,
    )
    export(flusher.buffer, memory, health, settings, schema=version.VERSION)
    pages(app, state.as_json, health)
    dashboard(app, state, health, Reports(queries, group))

    _add_commands(app, settings, stream, engine, offset_store, breaker_store, sums)
    return app


def _faust_app(settings: Settings) -> App:
    """The Faust app, with nothing on it."""
    token = settings.web_token
    app = App(
        settings.consumer_group,
        broker=settings.brokers,
        broker_credentials=credentials(settings),
        Worker=Worker,
        logging_config=logging_config(settings.log_format),
        store="memory://",
        datadir=Path(tempfile.gettempdir()) / f"flash-sale-etl-{os.getuid()}",
        web_bind=settings.web_bind,
        web_port=settings.port,
        web_router_enabled=False,
        web_tables_enabled=False,
        web_application_options={
            "middlewares": [require_token(token.get_secret_value() if token else None)]
        },
        topic_disable_leader=True,
        topic_allow_declare=False,
        Monitor=QuietMonitor,
        # A fetch is one message: 2000 events a fetch, 4 fetches waiting for the agent at most.
        broker_max_poll_records=2000,
        stream_buffer_maxsize=4,
        # Nothing is ever acknowledged, so Faust has nothing to commit.
        broker_commit_interval=60.0,
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
    return app


def _add_commands(
    app: App,
    settings: Settings,
    stream: Stream,
    engine: Engine,
    offset_store: OffsetStore,
    breaker_store: BreakerStore,
    sums: Rollup,
) -> None:
    """Register what `faust -A app` offers besides `worker`."""
    group = settings.consumer_group
    migrate(app, settings)
    check(app, settings, engine)
    offsets(app, settings, offset_store, engine, stream)
    replayer = Replayer(
        engine, group, stream, announce=watermark.join, deduplicate=settings.deduplicate
    )
    dead_letters(app, engine, group, replayer)
    batches(app, engine, group)
    breaker(app, settings.topic, breaker_store)
    rollup(app, sums)
    simulate(app, settings)
    status(app, settings, engine)
    completion(app)
    worker_command()


app = create_app(load(needed_servers(sys.argv), is_worker="worker" in sys.argv))

# All of this stays to the end: it is visited no more, not even at the exit.
gc.freeze()
gc.enable()
