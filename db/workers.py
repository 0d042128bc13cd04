"""What a worker leaves in the database for the pages and reports of all: heartbeat and events.

All times are the server's: workers' clocks may differ. Blocking.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, delete, func, literal, select, text
from sqlalchemy.dialects.mysql import insert

from db.connection.errors import classified
from db.schema.tables import worker_events, worker_heartbeats

#: Days that a worker's row is kept after its last heartbeat, and an event.
GONE_DAYS = 7
EVENT_DAYS = 30
#: Events kept at most.
MOST_EVENTS = 20_000
#: Rows removed by one statement at most.
_REMOVED = 1_000
#: Characters that the columns hold.
_TEXT = 1_000


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A worker's state.

    ``uptime`` is in seconds; the next heartbeat is due in ``next_seconds``. ``unready`` says why it
    is not ready. ``partitions`` has ``topic``, ``partition`` and ``end`` of each, the offset at
    which its log ends, None where unknown.
    """

    uptime: float
    next_seconds: int
    unready: str | None
    partitions: Sequence[dict[str, Any]]
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to a worker: it ended ``age`` seconds ago, and took ``seconds`` if it lasted.

    ``number`` is how often it happened.
    """

    kind: str
    detail: str
    age: float
    seconds: float | None = None
    number: int = 1


class WorkerStore:
    """The rows of one worker.

    Args:
        engine: from ``db.connection.engine.connect_for_queries``.
        group: the consumer group.
        worker: its name in the ledger.
        version: of the app.

    Raises (every method):
        TransientError, RowError, FatalError: see ``pipeline.errors``.
    """

    def __init__(self, engine: Engine, group: str, worker: str, version: str) -> None:
        self._engine = engine
        self._of = {"consumer_group": group, "worker": worker}
        self._version = version

    def beat(self, state: Heartbeat) -> None:
        """Renew the worker's row, in one statement."""
        statement = insert(worker_heartbeats).values(
            **self._of,
            version=self._version[:50],
            started_at=ago(state.uptime),
            seen_at=ago(0),
            next_seconds=state.next_seconds,
            stopped_at=ago(0) if state.stopped else None,
            unready=state.unready and state.unready[:_TEXT],
            partitions=list(state.partitions),
        )
        new = statement.inserted
        names = "seen_at", "next_seconds", "stopped_at", "unready", "partitions"
        with classified(), self._engine.connect() as connection:
            connection.execute(
                statement.on_duplicate_key_update({name: new[name] for name in names})
            )

    def note(self, events: Sequence[Event]) -> None:
        """Add events, in one statement."""
        rows = [
            {
                **self._of,
                "kind": event.kind,
                "since": None if event.seconds is None else ago(event.age + event.seconds),
                "at": ago(event.age),
                "number": event.number,
                "detail": event.detail[:_TEXT],
            }
            for event in events
        ]
        with classified(), self._engine.connect() as connection:
            connection.execute(insert(worker_events).values(rows))

    def clean(self) -> None:
        """Remove workers that are gone for long, and old events, of all groups."""
        with classified(), self._engine.connect() as connection:
            newest = connection.scalar(select(func.max(worker_events.c.id))) or 0
            for table, old in (
                (worker_heartbeats, worker_heartbeats.c.seen_at < ago(GONE_DAYS * 86_400)),
                (worker_events, worker_events.c.at < ago(EVENT_DAYS * 86_400)),
                (worker_events, worker_events.c.id <= newest - MOST_EVENTS),
            ):
                few = delete(table).where(old).with_dialect_options(mysql_limit=_REMOVED)
                connection.execute(few)


def rehearse(connection: Connection) -> None:
    """Run a worker's statements on no rows; the caller rolls back.

    Raises:
        sqlalchemy.exc.DBAPIError: the server refused, perhaps because a right is missing.
    """
    for table in (worker_heartbeats, worker_events):
        nothing = table.select().where(table.c.worker == "").where(literal(1) == 0)
        connection.execute(table.insert().from_select(table.columns.keys(), nothing))
        connection.execute(table.delete().where(table.c.worker == ""))
    unseen = worker_heartbeats.c.worker == ""
    connection.execute(worker_heartbeats.update().where(unseen).values(unready=None))


def ago(seconds: float) -> ColumnElement[Any]:
    """The server's time so many seconds ago, UTC."""
    now = func.utc_timestamp(text("3"))
    return func.timestampadd(text("MICROSECOND"), -round(seconds * 1e6), now) if seconds else now
