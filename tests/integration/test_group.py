"""What workers leave in the database for all pages: heartbeats, events, the ledger by minute."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import select, text

from agents.flash_sales import FLASH_SALES
from db import workers
from db.connection.engine import connect_for_queries
from db.group_reports import GroupReports
from db.schema.tables import batches, worker_events, worker_heartbeats
from db.workers import Event, Heartbeat, WorkerStore
from db.write.writer import Writer
from tests.helpers import sales
from tests.helpers.accounts import dba
from tests.helpers.databases import each_server
from tests.helpers.sink import NOW
from tests.helpers.worker import wait_until


@pytest.fixture
def queries(begun):
    """The engine of a worker's queries, on the tables of group ``g``."""
    engine = connect_for_queries(begun.url)
    yield engine
    engine.dispose()


def partitions(**ends):
    return [{"topic": "t", "partition": int(name[1:]), "end": end} for name, end in ends.items()]


def beat(engine, name, *, seconds=10, unready=None, stopped=False, uptime=5.0, **ends):
    state = Heartbeat(uptime, seconds, unready, partitions(**ends), stopped)
    WorkerStore(engine, "g", name, "1.2").beat(state)


def age(engine, name, seconds):
    """Make a worker's last heartbeat so old."""
    with dba(engine).begin() as connection:
        connection.execute(
            text(
                "UPDATE worker_heartbeats SET seen_at = seen_at - INTERVAL :seconds SECOND"
                " WHERE worker = :name"
            ),
            {"seconds": seconds, "name": name},
        )


def by_name(found):
    return {one["worker"]: one for one in found["workers"]}


def test_the_overview_has_every_worker_and_partition(begun, queries):
    Writer(begun, "g", FLASH_SALES, "a").write(
        1, NOW, [sales.chunk([sales.event(n) for n in range(60)])]
    )
    beat(queries, "a", p0=100)
    beat(queries, "b", unready="the database is away", p1=7)
    Writer(begun, "g", FLASH_SALES, "old").write(
        1, NOW, [sales.chunk([sales.event(n) for n in range(60, 90)], start=60)]
    )
    found = GroupReports(queries, "g", "t").overview()
    a, b, old = (by_name(found)[name] for name in ("a", "b", "old"))
    assert (a["state"], a["version"], a["partitions"], a["lag"]) == ("running", "1.2", [0], 10)
    assert (a["rate"], a["unready"]) == (1.0, None)
    assert (b["unready"], b["partitions"], b["lag"]) == ("the database is away", [1], 7)
    assert (b["rate"], b["last"]) == (0.0, None)
    assert (old["state"], old["version"], old["rate"]) == ("unknown", None, 0.5)
    assert (found["running"], found["rate"], found["lag"]) == (3, 1.5, 17)
    assert [(one["partition"], one["stored"], one["lag"], one["worker"]) for one in
            found["partitions"]] == [(0, 90, 10, "a"), (1, 0, 7, "b")]  # fmt: skip
    assert found["newest"] > 0


def test_a_partition_belongs_to_the_newest_heartbeat(queries):
    beat(queries, "a", p0=9, p1=9)
    age(queries, "a", 5)
    beat(queries, "b", p1=10)
    found = by_name(GroupReports(queries, "g", "t").overview())
    assert (found["a"]["partitions"], found["b"]["partitions"]) == ([0], [1])


def test_workers_that_went_are_told_apart_and_leave(queries):
    for name in ("stopped", "silent", "idle", "gone"):
        beat(queries, name, seconds=60 if name == "idle" else 10, stopped=name == "stopped", p0=4)
    for name, seconds in {"silent": 26, "idle": 140, "gone": 3_700}.items():
        age(queries, name, seconds)
    found = GroupReports(queries, "g", "t").overview()
    states = {name: one["state"] for name, one in by_name(found).items()}
    assert states == {"stopped": "stopped", "silent": "silent", "idle": "running"}
    assert found["running"] == 1
    age(queries, "idle", 11)
    found = GroupReports(queries, "g", "t").overview()
    assert found["running"] == 0
    # What waits is known all the same.
    assert found["partitions"][0] == {"partition": 0, "stored": 0, "lag": 4, "worker": None}


def test_a_lag_that_is_unknown_is_no_zero(queries):
    beat(queries, "a", p0=9, p1=None)
    found = GroupReports(queries, "g", "t").overview()
    assert (found["lag"], by_name(found)["a"]["lag"]) == (None, None)


def test_a_heartbeat_is_one_statement_and_on_the_servers_clock(begun, queries):
    beat(queries, "a", uptime=3600, p0=1)
    beat(queries, "a", uptime=3610, p0=2)
    with begun.connect() as connection:
        now = connection.scalar(text("SELECT UTC_TIMESTAMP(3)"))
        [row] = connection.execute(select(worker_heartbeats)).all()
    assert abs((now - row.seen_at).total_seconds()) < 5
    assert 3595 < (now - row.started_at).total_seconds() < 3615
    assert row.partitions == [{"topic": "t", "partition": 0, "end": 2}]


def test_events_have_the_time_at_which_they_happened(begun, queries):
    store = WorkerStore(queries, "g", "a", "1")
    store.note([Event("started", "version 1", 60.0), Event("outage", "away", 10.0, 30.0, 2)])
    with begun.connect() as connection:
        now = connection.scalar(text("SELECT UTC_TIMESTAMP(3)"))
        started, outage = connection.execute(select(worker_events)).all()
    assert 59 < (now - started.at).total_seconds() < 65
    assert (started.since, started.number) == (None, 1)
    assert (outage.at - outage.since).total_seconds() == 30
    assert (outage.detail, outage.number) == ("away", 2)


def test_old_rows_are_removed(begun, queries, monkeypatch):
    monkeypatch.setattr(workers, "MOST_EVENTS", 3)
    store = WorkerStore(queries, "g", "a", "1")
    beat(queries, "gone", p0=1)
    beat(queries, "here", p0=1)
    age(queries, "gone", 8 * 86_400)
    old = Event("started", "old", 31 * 86_400.0)
    store.note([old, *(Event("started", str(n), 0.0) for n in range(5)), old])
    store.clean()
    with begun.connect() as connection:
        assert connection.scalars(select(worker_heartbeats.c.worker)).all() == ["here"]
        kept = connection.scalars(select(worker_events.c.detail)).all()
    assert kept == ["3", "4"]


def test_the_history_is_the_ledger_by_minute(begun, queries):
    values = [sales.event(n) for n in range(50)] + [b"bad"] * 7
    Writer(begun, "g", FLASH_SALES, "a").write(1, NOW, [sales.chunk(values)])
    reports = GroupReports(queries, "g", "t")
    with dba(begun).begin() as connection:
        connection.execute(
            text("UPDATE batches SET written = UTC_TIMESTAMP(3) - INTERVAL 2 HOUR, seconds = 1.5")
        )
    found = reports.history()
    assert len(found["rows"]) == 720
    place = found["rows"].index(50)
    assert place in (598, 599)
    assert [found[name][place] for name in ("malformed", "seconds", "batches")] == [7, 1.5, 1]
    # Later only the newest minutes are read.
    with dba(begun).begin() as connection:
        connection.execute(batches.delete())
    more = [sales.event(n) for n in range(57, 60)]
    Writer(begun, "g", FLASH_SALES, "a").write(2, NOW, [sales.chunk(more, start=57)])
    found = reports.history()
    assert sum(found["rows"]) == 53
    assert sum(found["rows"][-2:]) == 3


def test_the_ledger_has_the_servers_time(begun):
    early = datetime(2020, 1, 1, tzinfo=UTC)
    Writer(begun, "g", FLASH_SALES, "a").write(1, early, [sales.chunk([sales.event(1)])])
    with begun.connect() as connection:
        now = connection.scalar(text("SELECT UTC_TIMESTAMP(3)"))
        [line] = connection.execute(select(batches)).all()
    assert abs((now - line.written).total_seconds()) < 5
    assert abs((line.opened - early.replace(tzinfo=None)).total_seconds()) < 5


@each_server
def test_two_workers_see_each_other_and_who_left(worker, produce, migrated_engine):
    one = worker(FLUSH_INTERVAL=0.5).wait_ready()
    two = worker(FLUSH_INTERVAL=0.5).wait_ready()

    def group():
        return one.get("/dashboard/data/")["group"]["value"] or {"workers": []}

    def shared():
        return sorted(len(found["partitions"]) for found in group()["workers"]) == [2, 2]

    wait_until(shared, 60, "each has two partitions")
    produce([sales.event(n) for n in range(100)])
    wait_until(lambda: group()["rate"] > 0 and group()["lag"] == 0, 40, "rate and lag")
    assert two.terminate() == 0
    wait_until(
        lambda: sorted(found["state"] for found in group()["workers"]) == ["running", "stopped"],
        40,
        "the other has stopped",
    )
    with migrated_engine.connect() as connection:
        kinds = connection.execute(
            select(worker_events.c.worker, worker_events.c.kind, worker_events.c.detail)
        ).all()
    gone = next(row.worker for row in kinds if row.kind == "stopped")
    assert next(row.kind for row in kinds if row.worker == gone) == "started"
    assert ("stopped", "on request") in {(row.kind, row.detail) for row in kinds}
    assert any(row.kind == "assigned" and "/0" in row.detail for row in kinds)


def test_a_worker_without_the_rights_stores_events_and_warns_once(
    worker, produce, migrated_url, migrated_engine, server
):
    user, database = migrated_engine.url.username, migrated_engine.url.database
    for table, rights in {
        "worker_heartbeats": "SELECT, INSERT, UPDATE, DELETE",
        "worker_events": "SELECT, INSERT, DELETE",
    }.items():
        server.execute(f"REVOKE {rights} ON `{database}`.{table} FROM '{user}'@'127.0.0.1'")
    running = worker(FLUSH_INTERVAL=0.5).wait_ready()
    produce([sales.event(n) for n in range(50)])
    running.wait_stored(migrated_url, 50)
    wait_until(lambda: "cannot be shown" in running.log_text(), 20)
    produce([sales.event(n) for n in range(50, 90)])
    running.wait_stored(migrated_url, 90)
    wait_until(lambda: running.get("/batches/")["batches"] > 1, 10)
    assert running.is_ready()
    warnings = [line for line in running.log_text().splitlines() if "cannot be shown" in line]
    assert len(warnings) == 1
    assert "GRANT INSERT" in warnings[0]
    assert "worker_heartbeats" in warnings[0]
