"""What `report` says of a span: counted from the ledger, dead letters and workers' events."""

import json
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from agents.flash_sales import FLASH_SALES
from checks.report import read_report
from db.connection.engine import connect_for_queries
from db.workers import Event, Heartbeat, WorkerStore
from db.write.writer import Writer
from tests.helpers import sales
from tests.helpers.accounts import dba
from tests.helpers.databases import each_server
from tests.helpers.listings import records
from tests.helpers.sink import NOW
from tests.helpers.worker import wait_until

SINCE = datetime(2026, 11, 27, 2, tzinfo=UTC)
UNTIL = datetime(2026, 11, 27, 3, tzinfo=UTC)


def at(clock):
    """A time of that night, as the tables have it."""
    return f"2026-11-27 {clock}"


@pytest.fixture
def night(begun):
    """Batches, dead letters, workers and events of a night, some of them outside of the hour."""
    queries = connect_for_queries(begun.url)
    mistyped = [sales.event(n, price="19.99") for n in range(3, 8)]
    written = {
        1: ("01:59:59.999", [sales.event(0)], 9.0),
        2: ("02:00:00", [sales.event(1), sales.event(2, quantity=None), *mistyped], 0.5),
        3: ("02:10:00", [b"bad", b"{}", sales.event(10), sales.event(11, price="x")], 4.0),
        4: ("03:00:00", [sales.event(12)], 8.0),
    }
    start = 0
    for number, (_, values, _) in written.items():
        Writer(begun, "g", FLASH_SALES, "a").write(number, NOW, [sales.chunk(values, start=start)])
        start += len(values)
    store = WorkerStore(queries, "g", "a", "1.2")
    store.beat(Heartbeat(0.0, 10, None, []))
    store.note(
        [
            Event("outage", "the database is away", 0.0, 60.0),
            Event("retries", "4 connection", 0.0, number=4),
            Event("assigned", "t/0, t/1", 0.0),
        ]
    )
    with dba(begun).begin() as connection:
        for number, (clock, _, seconds) in written.items():
            connection.execute(
                text("UPDATE batches SET written = :at, seconds = :seconds WHERE number = :number"),
                {"at": at(clock), "seconds": seconds, "number": number},
            )
        for statement in (
            f"UPDATE dead_letters SET created_at = '{at('02:10:00')}'",
            f"UPDATE worker_events SET at = '{at('02:05:00')}'",
            f"UPDATE worker_events SET since = '{at('01:55:00')}' WHERE kind = 'outage'",
            f"UPDATE worker_events SET at = '{at('03:00:01')}' WHERE kind = 'assigned'",
            f"UPDATE worker_heartbeats SET started_at = '{at('01:00:00')}',"
            f" seen_at = '{at('02:30:00')}'",
        ):
            connection.execute(text(statement))
    yield begun
    queries.dispose()


def test_the_report_counts_the_hour_and_nothing_else(night):
    found = read_report(night, "g", FLASH_SALES, SINCE, UNTIL)
    assert (found.batches, found.events, found.rows) == (2, 11, 9)
    assert dict(found.dropped) == {"malformed": 1, "invalid": 1, "unstorable": 0}
    assert found.rate == 11 / 3600
    assert found.busiest == (SINCE, 7 / 60)
    assert [(one.reason, one.dead_letters) for one in found.drops] == [
        ("invalid", 1),
        ("malformed", 1),
    ]
    assert all(one.example and one.detail for one in found.drops)
    repairs = {(one.column, one.kind): one for one in found.repairs}
    assert repairs["quantity", "filled"].values == 1
    mistyped = repairs["price", "mistyped"]
    assert (mistyped.values, mistyped.most, mistyped.batch) == (6, 5, 2)
    assert mistyped.share == 6 / 9
    assert [(one.number, one.seconds) for one in found.slowest] == [(3, 4.0), (2, 0.5)]
    assert [(f"{one.since:%H:%M}", one.seconds) for one in found.pauses] == [
        ("02:00", 600.0),
        ("02:10", 3000.0),
    ]
    assert [(one.kind, one.number) for one in found.happened] == [("outage", 1), ("retries", 4)]
    [a] = found.workers
    assert (a.started, a.went, a.batches, a.events) == (None, "silent", 2, 11)
    assert f"{a.ended:%H:%M}" == "02:30"


def test_an_hour_without_anything_is_empty(night):
    found = read_report(
        night, "g", FLASH_SALES, datetime(2026, 11, 26, 2, tzinfo=UTC), SINCE.replace(hour=1)
    )
    assert (found.batches, found.workers, found.happened, found.pauses) == (0, [], [], [])


@each_server
def test_the_command_says_it_as_text_and_json(night, faust, faust_out, broker):
    span = ("--since", "2026-11-27T02:00Z", "--until", "2026-11-27T03:00Z")
    said = faust("report", *span, CONSUMER_GROUP="g")
    assert "g, 2026-11-27 02:00:00 to 2026-11-27 03:00:00 UTC\n" in said
    assert "11 events in 2 batches: 9 rows, 2 dropped (1 malformed, 1 invalid)\n" in said
    for line in ("outage", "the database is away", "4 connection", "mistyped", "silent"):
        assert line in said
    found = json.loads(faust_out("report", *span, "--json", CONSUMER_GROUP="g"))
    assert (found["rows"], found["dropped"]["invalid"]) == (9, 1)
    assert found["slowest"][0]["seconds"] == 4.0
    assert found["happened"][0]["since"] == "2026-11-27T01:55:00.000Z"
    assert faust_out("report", *span, "--csv", CONSUMER_GROUP="g").count("\n") == 3
    batches = records(faust_out("batches", *span, "--json", CONSUMER_GROUP="g"))
    assert [one["batch"] for one in batches] == [3, 2]


@pytest.mark.parametrize("command", ["report", "batches"])
def test_a_range_that_is_turned_round_is_a_sentence(run_faust, command):
    done = run_faust(
        command, "--since", "2026-11-27T03:00Z", "--until", "2026-11-27T02:00Z", status=2
    )
    assert "No time is in this range" in done.stderr


def test_a_range_without_batches_is_named(faust_out):
    shown = faust_out("batches", "--since", "2026-11-27T02:00Z", "--until", "2026-11-27T03:00Z")
    assert shown.startswith("No batches, written since 2026-11-27 02:00:00 UTC and before")


def test_an_outage_and_a_killed_worker_are_in_the_report(worker, produce, faust_out, server):
    one = worker(FLUSH_INTERVAL=0.3).wait_ready()
    produce([sales.event(n) for n in range(20)])
    wait_until(lambda: one.get("/batches/")["batches"] >= 1, 20)
    server.kill()
    try:
        wait_until(lambda: not one.is_ready(), 20, "not ready")
    finally:
        server.start()
    wait_until(one.is_ready, 30, "ready")

    def kinds():
        found = json.loads(faust_out("report", "--json"))
        return {line["kind"]: line for line in found["happened"]}

    wait_until(lambda: "outage" in kinds(), 30, "the outage")
    outage = kinds()["outage"]
    assert outage["since"] < outage["at"]
    assert "the database is away" in outage["detail"]
    assert {"started", "assigned"} <= kinds().keys()
