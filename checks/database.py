"""Checks whether the database has what a worker needs. Changes nothing."""

import ssl
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from secrets import token_hex
from typing import cast

from sqlalchemy import Connection, Engine, text

from checks.encryption import check_encryption
from checks.result import CheckResults
from checks.storing import check_storing
from db import workers
from db.connection.engine import server_version
from db.connection.errors import classified
from db.retention import purge, sizes
from db.rollup import cluster, watermark
from db.schema import event_index, event_key, version
from db.write.offsets import OffsetStore
from db.write.writer import Writer
from pipeline.chunk import Chunk
from pipeline.errors import FatalError, RowError
from pipeline.partition import Partition
from pipeline.record import PlainRecord
from pipeline.stream import Stream

#: Maximum difference of the clocks in seconds: both write times to the ledger.
_SKEW = 5


def check_database(
    engine: Engine,
    stream: Stream,
    results: CheckResults,
    deduplicate: bool = False,
    purged: Collection[str] = (),
    tls: ssl.SSLContext | None = None,
) -> bool:
    """Check server, session, schema and rights; False if stored offsets cannot be checked."""
    with results.about("Database"), classified(), engine.connect() as connection:
        results.ok("Database", server_version(engine))
        _session(connection, results)
        check_encryption(connection, tls, results)
        _clock(connection, results)
        _cluster(connection, results)
    if results.has_failed("Database"):
        return False
    with results.about("Schema"):
        _schema(version.check(engine), results)
    if results.has_failed("Schema", "Tables"):
        # Without transactions, or with an incompatible table, the rehearsal might leave rows.
        return False
    with results.about("Duplicates"):
        _duplicates(engine, results, deduplicate)
    if results.has_failed("Duplicates"):
        return False
    with results.about("Database rights"):
        rehearse(engine, stream, purged)
        results.ok("Database rights", "a batch was written, summed and rolled back")
        check_storing(engine, stream, results)
        _heartbeats(engine, results)
    return True


def _schema(found: version.Schema, results: CheckResults) -> None:
    if found.is_newer:
        results.warn(
            "Schema",
            f"version {found.version}, newer than this app's {version.VERSION}",
            "run the newer app, unless a release is being rolled out or back",
        )
    else:
        results.ok("Schema", f"version {version.VERSION}, the newest")
    for one in found.problems:
        report = results.fail if one.refused else results.warn
        report("Tables", one.found, one.hint)
    if not found.problems:
        results.ok("Tables", "compatible")


def _duplicates(engine: Engine, results: CheckResults, deduplicate: bool) -> None:
    if warning := event_index.check(engine, deduplicate):
        found, _, hint = warning.rpartition(": ")
        results.warn("Duplicates", found, hint)
    elif deduplicate:
        results.ok("Duplicates", f"skipped by event_id, with the index {event_key.NAME}")
    else:
        results.ok("Duplicates", "stored again (DEDUPLICATE=false)")


def rehearse(engine: Engine, stream: Stream, purged: Collection[str] = ()) -> None:
    """Write a row and a dead letter as a worker would, in a transaction that is rolled back.

    Args:
        engine: of the worker's account.
        stream: of the events.
        purged: what RETENTION purges.

    Raises:
        TransientError, RowError, FatalError: see ``pipeline.errors``.
    """
    group = f"check-{token_hex(8)}"
    records = [PlainRecord(0, stream.trial(group)), PlainRecord(1, b"check")]
    chunk = Chunk.transform(stream, Partition(group, 0), 0, 2, records)
    with classified(), engine.connect() as connection:
        rehearsal = cast(Engine, _Rehearsal(connection))
        OffsetStore(rehearsal, group).begin({Partition(group, 0): 0})
        batch = Writer(rehearsal, group, stream, worker=group).write(1, datetime.now(UTC), [chunk])
        watermark.rehearse(connection)
        sizes.rehearse(connection)
        purge.rehearse(connection, purged)
        connection.rollback()
    if batch and batch.refused:
        raise RowError(batch.refused[0].detail)


def _heartbeats(engine: Engine, results: CheckResults) -> None:
    """Without these rights a worker stores events all the same."""
    try:
        with classified(), engine.connect() as connection:
            workers.rehearse(connection)
            connection.rollback()
    except FatalError as error:
        results.warn(
            "Database rights",
            f"other workers' pages and reports cannot show this one: {error}",
            "grant what docs/database.md#accounts lists",
        )


class _Rehearsal:
    """Behaves like an engine, but never commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        yield self._connection

    connect = begin


def _session(connection: Connection, results: CheckResults) -> None:
    mode, zone = connection.execute(text("SELECT @@SESSION.sql_mode, @@SESSION.time_zone")).one()
    if "STRICT_ALL_TABLES" in mode and zone == "+00:00":
        results.ok("Database session", "strict, in UTC")
    else:
        results.fail(
            "Database session",
            f"sql_mode is {mode} and time_zone {zone}, although the worker sets other values",
            "check for a proxy or an init_connect that changes them",
        )


def _cluster(connection: Connection, results: CheckResults) -> None:
    if (number := cluster.nodes(connection)) > 1:
        results.warn("Sales sums", cluster.limits(number), "let all workers write to one node")


def _clock(connection: Connection, results: CheckResults) -> None:
    theirs = connection.scalar(text("SELECT UTC_TIMESTAMP(6)"))
    assert isinstance(theirs, datetime)
    skew = abs((datetime.now(UTC) - theirs.replace(tzinfo=UTC)).total_seconds())
    if skew > _SKEW:
        results.warn(
            "Database clock",
            f"differs from this machine's by {skew:.0f} s",
            "synchronise both with NTP",
        )
    else:
        results.ok("Database clock", f"within {_SKEW} s of this machine's")
