"""flash-sale ETL: Kafka events, filled and priced, into MySQL, each exactly once.

`faust -A app worker -l info` runs it. An event goes one way: source → agents → pipeline → db.
"""

import gc

# Imports create no garbage: without the collector each command starts and ends sooner.
gc.disable()

import asyncio
import signal
import sys
from functools import partial
from typing import Any

from mode.utils.logging import get_logger

from agents.breaker_service import BreakerService
from agents.circuit_breaker import CircuitBreaker
from agents.enrichment import enrichment
from agents.flash_sales import FLASH_SALES
from agents.newest_events import NewestEvents
from checks.startup import prepare
from commands.faust_commands import OurCommand
from commands.registry import Tools, add_commands, needed_servers
from commands.worker import Worker, log_reading, running, worker_name
from config.load import load
from config.settings import Settings
from config.version import VERSION
from db.background import background
from db.breakers import BreakerStore
from db.connection.engine import connect, connect_for_queries
from db.connection.patience import wait_for_server
from db.probe import DatabaseProbe
from db.schema.preconditions import Preconditions
from db.write.offsets import OffsetStore
from db.write.writer import Writer
from pipeline import metrics
from pipeline.background.database_watch import DatabaseWatch
from pipeline.batch import Batch
from pipeline.flush.flusher import Flusher
from pipeline.lane import Lane
from pipeline.log_events import named
from pipeline.memory import Memory
from pipeline.patience import Patience
from pipeline.stream import Stream
from source import log_ends, patches
from source.cluster.auth import Cluster
from source.cluster.topics import topic_bounds
from source.control import ConsumerControl
from source.faust_app import FaustApp
from source.log_ends import LogEnds
from source.log_reader import LogReader
from source.start_offsets import StartOffsets
from source.transport import FetchTransport, PassThrough
from telemetry.traces import write_spans
from web.history import History
from web.middleware import guarded
from web.progress import Progress
from web.server import PageServer
from web.site import serve

log = get_logger(__name__)


class App(FaustApp):
    """The worker's parts, each made of those before it, and the commands. Nothing is connected yet.

    Args:
        settings: read from the environment by ``config.load``.
        stream: what the topic's events are and where they go.
        patience: seconds that a connection to the database is waited for.
    """

    def __init__(
        self, settings: Settings, stream: Stream = FLASH_SALES, patience: float = 0.0
    ) -> None:
        patches.install(settings.decompressed_max_bytes)
        super().__init__(settings, Worker=Worker, web_application_options=guarded(settings))
        self.settings, self.cluster = settings, Cluster.of(settings, patience)
        self.patience = Patience(settings.start_timeout)
        database, newest = (settings.database, settings.database_tls), settings.newest_database
        self.engine = connect(*database, newest=newest)
        self.queries = connect_for_queries(*database, newest=newest)
        for engine in (self.engine, self.queries):
            wait_for_server(engine, patience)
        self._add_flow(stream)
        self._add_services(stream)
        self.first_line = running(settings, settings.topic, stream)
        parts = settings, self.cluster, settings.topic, stream, self.engine, self.queries
        add_commands(self, Tools(*parts))

    def _add_flow(self, stream: Stream) -> None:
        """From Kafka to the database; what reads needs what writes, so that is made first."""
        settings, engine, group = self.settings, self.engine, self.settings.consumer_group
        self.worker_name = worker_name()

        # State that the parts share, and what acts on committed batches.
        self.memory = Memory(settings.buffer_max_events, settings.buffer_max_bytes)
        self.progress = Progress(read_committed=settings.read_committed)
        self.history = History(stream.quality)
        metrics.expose(stream.quality.flags)
        self.control = ConsumerControl(self)
        self.breakers = BreakerService(
            CircuitBreaker(settings.breaker_share, settings.breaker_window, settings.breaker_pause),
            BreakerStore(engine, group),
            hold=partial(self.control.hold, "breaker"),
            seek_back=self.control.seek_back,
            is_backlog=NewestEvents(stream, self.control, settings.breaker_share).are_good,
        )
        self.rollups, self.housekeeping = background(engine, self.queries, settings)

        # Writes the agent's chunks in batches, and informs the others of each one.
        informed = self.progress, self.control, self.breakers, self.rollups, self.history, self
        self.preconditions = Preconditions(engine, deduplicate=settings.deduplicate)
        verify, name = self.preconditions.verify_again, self.worker_name
        self.flusher = Flusher(
            Writer(engine, group, stream, name, deduplicate=settings.deduplicate, verify=verify),
            interval=settings.flush_interval,
            max_events=settings.flush_max_events,
            # A write in flight, what waits meanwhile, and what is being read.
            max_bytes=settings.buffer_max_bytes // 4,
            stop_timeout=settings.shutdown_timeout,
            refetch_some=self.control.refetch,
            listeners=[*(part.committed for part in informed), *write_spans()],
            on_stuck=partial(self.control.hold, "flusher"),
        )

        # Reads from where the database says.
        self.start_offsets = StartOffsets(
            OffsetStore(engine, group),
            from_beginning=settings.starting_offsets == "earliest",
            read_committed=settings.read_committed,
        )
        self.transport = FetchTransport(
            self.conf.broker_consumer,
            self,
            logs=LogReader(self.cluster.addresses, self.cluster.options),
            memory=self.memory,
            read_committed=settings.read_committed,
            starts=self.start_offsets,
            listeners=[self.progress.assigned, self.breakers.assigned, log_reading],
            flusher=self.flusher,
        )
        fetches = self.topic(settings.topic, schema=PassThrough(), acks=False)
        enrichment(self, fetches, Lane(stream, self.flusher), self.breakers)
        self.on_partitions_revoked.connect(self.drain)

    def _add_services(self, stream: Stream) -> None:
        """What runs in the background, and what shows it."""
        topic, group = self.settings.topic, self.settings.consumer_group
        self.watch = DatabaseWatch(
            DatabaseProbe(self.engine, self.queries, group, topic, self.breakers.found_open),
            self.flusher,
            self.control,
            self.progress,
            listeners=[self.progress.move, self.control.report],
        )
        self.ends = LogEnds(
            topic,
            self.control,
            find_topic=partial(topic_bounds, self.cluster, topic),
            watcher=self.progress,
            service=self.flusher,
        )
        self.status, heartbeats = serve(self, self, topic, stream)
        # The first is stopped last.
        first = heartbeats, self.flusher, self.breakers, self.watch
        for service in (*first, self.rollups, self.housekeeping):
            # Faust takes a service that is made already as well as its class.
            self.service(service)  # type: ignore[arg-type]
        self.timer(log_ends.INTERVAL)(self.look_at_log_ends)

    def _new_web(self) -> PageServer:
        return PageServer(self)

    def command(self, *options: Any, base: Any = OurCommand, **named: Any) -> Any:
        """Decorate a command's function, as Faust's."""
        return super().command(*options, base=base, **named)

    async def before_start(self) -> None:
        """Wait until all the worker needs is there.

        Raises:
            NotYetError: it is not in time.
            FatalError: something is not, and the text says what to change.
        """
        parts = self.engine, self.preconditions, self.start_offsets
        checks = partial(prepare, self.settings, self.cluster, self.settings.topic, *parts)
        await self.patience.wait_out(checks)
        log.info("%s", self.first_line, extra=named("worker_started", version=VERSION))
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.breakers.close_all)

    async def look_at_log_ends(self) -> None:
        """Update the lag and the charts."""
        await self.ends.look()
        self.status.sample()

    async def drain(self, *_: object, **__: object) -> None:
        """Write what is buffered of revoked partitions, and forget them."""
        await self.flusher.drain()
        self.breakers.forget()

    def committed(self, batch: Batch) -> None:
        """Log a committed batch."""
        if batch.events:
            lag = self.progress.total_lag
            facts = named("batch_stored", **batch.facts(), lag=lag)
            log.info("%s%s", batch.line(), "" if lag is None else f", lag {lag}", extra=facts)


_is_worker = "worker" in sys.argv
_settings = load(needed_servers(sys.argv), is_worker=_is_worker)
# A worker waits as a whole, and serves its pages meanwhile.
app = App(_settings, patience=0.0 if _is_worker else _settings.command_timeout)

# Imports last until the exit: freeze them so that the collector skips them.
gc.freeze()
gc.enable()
