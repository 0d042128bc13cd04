"""The roll-up in running workers: exact through kills, shown, and never in the way."""

import re
import signal
from functools import partial

import pytest
from sqlalchemy import text

from tests.helpers.accounts import dba
from tests.helpers.databases import each_server, each_server_slow
from tests.helpers.sales import event
from tests.helpers.sums import assert_sums_true
from tests.helpers.worker import rows, wait_until


def has_more_rows(url, number):
    return len(rows(url)) > number


def behind(running):
    found = running.get("/batches/")["rollup"]
    return None if found is None else found["behind"]


@each_server_slow
def test_sums_are_exact_after_kills_in_several_groups(
    worker, produce, migrated_engine, migrated_url
):
    options = {"FLUSH_INTERVAL": 0.2, "ROLLUP_INTERVAL": 0.2}
    groups = ("one", "one", "other")
    running = [worker(CONSUMER_GROUP=group, **options) for group in groups]
    for one in running:
        one.wait_ready()
    for wave in range(3):
        produce([event(wave * 2000 + n) for n in range(2000)])
        # Not both of a group at once: its events would wait for the session to end.
        wait_until(partial(has_more_rows, migrated_url, wave * 4000), 30)
        running[wave].signal(signal.SIGKILL)
        running[wave] = worker(CONSUMER_GROUP=groups[wave], **options)
    wait_until(lambda: len(rows(migrated_url)) >= 12_000, 60, "all is stored")
    last = running[-1].wait_ready()
    wait_until(lambda: behind(last) == 0, 30, "all is summed")
    assert len(rows(migrated_url)) == 12_000
    assert_sums_true(migrated_engine)
    found = last.get("/batches/")["rollup"]
    assert found == {
        "summed_to": found["newest"],
        "newest": found["newest"],
        "behind": 0,
        "seconds": 0.0,
        "last_error": None,
        "warning": None,
    }
    metrics = last.request("/metrics")[1]
    assert "\netl_rollup_behind_rows 0.0\n" in metrics
    assert "\netl_rollup_behind_seconds 0.0\n" in metrics


@each_server
def test_an_error_is_shown_and_stops_nothing(worker, produce, migrated_engine, migrated_url):
    running = worker(FLUSH_INTERVAL=0.2, ROLLUP_INTERVAL=0.2).wait_ready()
    with dba(migrated_engine).begin() as connection:
        connection.execute(text("RENAME TABLE rollup_minutes TO away"))
    produce([event(n) for n in range(100)])
    running.wait_stored(migrated_url, 100)
    wait_until(lambda: (running.get("/batches/")["rollup"] or {}).get("last_error"), 20)
    assert "run `faust -A app migrate`" in running.get("/batches/")["rollup"]["last_error"]
    assert running.is_ready()
    produce([event(n) for n in range(100)])
    running.wait_stored(migrated_url, 200)
    assert running.log_text().count("The roll-up is stalled") == 1
    with dba(migrated_engine).begin() as connection:
        connection.execute(text("RENAME TABLE away TO rollup_minutes"))
    wait_until(lambda: running.get("/batches/")["rollup"]["last_error"] is None, 20)
    wait_until(lambda: behind(running) == 0, 20)
    assert "The roll-up continues." in running.log_text()
    assert 'etl_rollup_errors_total{error="other"}' in running.request("/metrics")[1]
    assert_sums_true(migrated_engine)
    assert running.terminate() == 0


def test_interval_of_0_disables_sums(worker, produce, migrated_engine, migrated_url, faust):
    running = worker(FLUSH_INTERVAL=0.2, ROLLUP_INTERVAL=0).wait_ready()
    produce([event(n) for n in range(100)])
    running.wait_stored(migrated_url, 100)
    assert running.get("/batches/")["rollup"] is None
    assert running.terminate() == 0
    # Two writes leave a gap between their ids.
    found = re.search(r"Not summed yet: (\d+) rows", faust("rollup", "show"))
    assert found
    assert int(found[1]) >= 100


@pytest.mark.slow
def test_commands_ask_before_they_delete(faust, migrated_engine):
    refusal = "Nothing was changed: run this on a terminal, or add --yes."
    assert refusal in faust("rollup", "rebuild", status=1)
    assert "--before" in faust("rollup", "purge", "--yes", status=2)
    assert refusal in faust("rollup", "purge", "--before", "2026-01-01", status=1)
    said = faust("rollup", "purge", "--before", "2026-01-01", "--yes")
    assert "Deleted: sums of 0 minutes, 0 products' hours and 0 categories' minutes." in said
    with migrated_engine.connect() as connection:
        assert connection.scalar(text("SELECT generation FROM rollup_state")) == 1
    assert "A worker will sum all rows again" in faust("rollup", "rebuild", "--yes")
    with migrated_engine.connect() as connection:
        assert connection.scalar(text("SELECT generation FROM rollup_state")) == 2
