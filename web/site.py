"""Everything that is served: pages, metrics, and the heartbeat that other workers' pages read."""

from typing import Any, Protocol

from sqlalchemy import Engine

from agents.breaker_service import BreakerService
from config.settings import Settings
from config.version import VERSION
from db.group_reports import GroupReports
from db.letter_search import LetterSearch
from db.reports import Reports
from db.workers import WorkerStore
from pipeline.background.database_watch import DatabaseWatch
from pipeline.background.housekeeping import Housekeeping
from pipeline.background.rollup_service import RollupService
from pipeline.flush.flusher import Flusher
from pipeline.memory import Memory
from pipeline.patience import Patience
from pipeline.stream import Stream
from source.control import ConsumerControl
from source.log_ends import LogEnds
from web.answers import Answers
from web.dashboard import dashboard
from web.health import Health
from web.heartbeat import Heartbeats
from web.history import History
from web.metrics_export import export
from web.pages import pages
from web.progress import Progress
from web.status import Status


class Parts(Protocol):
    """What is shown of the worker."""

    settings: Settings
    worker_name: str
    queries: Engine
    patience: Patience
    memory: Memory
    progress: Progress
    history: History
    control: ConsumerControl
    flusher: Flusher
    breakers: BreakerService
    watch: DatabaseWatch
    ends: LogEnds
    rollups: RollupService
    housekeeping: Housekeeping


def serve(app: Any, parts: Parts, topic: str, stream: Stream) -> tuple[Status, Heartbeats]:
    """Register pages and metrics on the Faust app; returns what must be sampled and run."""
    settings, flusher, queries = parts.settings, parts.flusher, parts.queries
    group = settings.consumer_group
    health = Health(
        parts.patience,
        flusher,
        parts.watch,
        parts.ends,
        parts.breakers,
        parts.control,
        quiet_limit=60 + 3 * settings.flush_interval,
    )
    status = Status(
        parts.progress,
        parts.history,
        parts.memory,
        flusher,
        parts.breakers,
        parts.rollups,
        parts.housekeeping,
    )
    export(flusher.buffer, parts.memory, health, settings, stream)
    pages(app, status.as_json, health)
    answers = Answers(
        status,
        GroupReports(queries, group, topic),
        Reports(queries),
        LetterSearch(queries, group, stream),
        stream.fields,
    )
    dashboard(app, parts.worker_name, status, health, answers)
    rows = WorkerStore(queries, group, parts.worker_name, VERSION)
    return status, Heartbeats(rows, health, parts.progress)
