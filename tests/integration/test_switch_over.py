"""The real PySpark 3.5 job, killed under traffic, and a worker that goes on: each event once."""

import random
import time

import pytest
from sqlalchemy import make_url

from benchmarks.measuring.programs import Job
from benchmarks.peers.peer_list import PROGRAMS
from dev.audit import engine
from tests.helpers.old_tables import ddl
from tests.helpers.traffic import Traffic, audit
from tests.helpers.worker import wait_until

SPARK = next(one for one in PROGRAMS if one.name == "PySpark (the job replaced)")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def migrated_url(database_url):
    """URL of a database with the job's own table, which nobody has migrated."""
    with engine(database_url).begin() as connection:
        connection.exec_driver_sql(ddl())
    return database_url


@pytest.fixture
def job(apache, topic, migrated_url, tmp_path):
    """The job, which has a checkpoint and reads a topic that is filled meanwhile."""
    if why := SPARK.missing():
        pytest.skip(f"{SPARK.name} cannot run: {why}; `make bench` sets it up")
    [process] = SPARK.start(Job(apache.bootstrap, topic, "", migrated_url, 2_000, tmp_path))
    yield process
    process.kill()
    print(process.log_text()[-3000:])


def rows(url):
    with engine(url).connect() as connection:
        return connection.exec_driver_sql("SELECT COUNT(*) FROM flash_sale_events").scalar()


def kill_at_random(job, url):
    """Kill the job at a random moment behind its first rows."""
    wait_until(lambda: rows(url) > 0 or job.exit_code is not None, 180, "the job's first rows")
    wait = random.uniform(0, 8)
    print(f"killed {wait:.2f} s after the first rows")
    time.sleep(wait)
    job.kill()


def test_worker_and_job_at_once_store_each_event_once(
    job, apache, topic, migrated_url, faust, worker, tmp_path
):
    flow = Traffic(apache, topic, rate=300, bad=0)
    wait_until(lambda: rows(migrated_url) > 0, 180, "the job's first rows")
    faust("migrate", DEDUPLICATE="true")
    checkpoint = tmp_path / "checkpoint"
    faust("offsets", "adopt", "--spark-checkpoint", checkpoint, DEDUPLICATE="true")
    running = worker(DEDUPLICATE="true").wait_ready()
    kill_at_random(job, migrated_url)
    flow.stop()
    audit(migrated_url, flow.sent)
    assert running.terminate() == 0


@pytest.mark.parametrize("how", ["checkpoint", "table"])
def test_worker_continues_where_a_killed_job_stopped(
    job, apache, topic, migrated_url, server, faust, worker, tmp_path, how
):
    flow = Traffic(apache, topic, rate=300, bad=0)
    kill_at_random(job, migrated_url)
    database = make_url(migrated_url).database
    left = f"SELECT COUNT(*) FROM information_schema.processlist WHERE db = '{database}'"
    wait_until(lambda: server.execute(left) == [(0,)], 30, "the job's connections gone")
    faust("migrate", DEDUPLICATE="true")
    options = {
        "checkpoint": ("--spark-checkpoint", tmp_path / "checkpoint"),
        "table": ("--from-table", "--yes"),
    }
    adopt = "offsets", "adopt", *options[how]
    assert f"{topic}/0: none → " in faust(*adopt, "--dry-run", DEDUPLICATE="true")
    said = faust(*adopt, DEDUPLICATE="true")
    print(said)
    if "planned but not committed" in said:
        assert "already stored are skipped" in said
    before = rows(migrated_url)
    running = worker(DEDUPLICATE="true", STARTING_OFFSETS="latest").wait_ready()
    wait_until(lambda: rows(migrated_url) > before, 30, "the worker's first rows")
    flow.stop()
    verdict = audit(migrated_url, flow.sent)
    assert verdict.rows == len(flow.sent)
    assert running.terminate() == 0
