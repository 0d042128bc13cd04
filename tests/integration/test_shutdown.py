"""SIGTERM: what is in memory is written if it can be, the exit comes in time, nothing is lost."""

import signal
import time

import pytest
from confluent_kafka.admin import AdminClient

from tests.helpers.databases import each_server_slow
from tests.helpers.events import event, stored
from tests.helpers.worker import rows, stored_offsets, wait_until

#: Seconds of grace: what a worker with the default settings may take to exit.
DEADLINE = 10


def fill(worker, produce, count, **settings):
    """A worker that has read events and not written them: its interval is an hour."""
    running = worker(FLUSH_INTERVAL=3600, **settings).wait_ready()
    running.wait_first_flush()
    produce([event(n) for n in range(count)])
    buffered = min(count, int(settings.get("FLUSH_MAX_EVENTS", 30_000)))
    wait_until(lambda: running.get("/batches/")["buffered"] >= buffered, 30, "a full buffer")
    return running


def members(broker, group):
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    return admin.describe_consumer_groups([group])[group].result(20).members


def test_a_full_buffer_is_written_and_the_group_left(worker, produce, migrated_url, broker, topic):
    running = fill(worker, produce, 20_000, FLUSH_MAX_EVENTS=30_000)
    assert not rows(migrated_url)
    assert running.terminate(DEADLINE) == 0
    assert len(rows(migrated_url)) == 20_000
    assert sum(stored_offsets(migrated_url).values()) == 20_000
    if broker.has_admin:
        assert not members(broker, f"group-{topic}"), "it said goodbye"


@each_server_slow
def test_exits_in_time_without_a_database_and_loses_nothing(worker, produce, migrated_url, server):
    running = fill(worker, produce, 500, SHUTDOWN_TIMEOUT=3)
    server.kill()
    try:
        assert running.terminate(DEADLINE) == 0
        assert "will be re-read" in running.log_text()
    finally:
        server.start()
    assert not rows(migrated_url)
    worker().wait_ready()
    wait_until(lambda: stored(migrated_url) == 500, 20)


@pytest.mark.slow
def test_with_the_database_frozen_in_mid_write_it_exits_in_time(
    worker, produce, migrated_url, server
):
    running = worker(FLUSH_INTERVAL=0.2, SHUTDOWN_TIMEOUT=3).wait_ready()
    server.pause()
    try:
        produce([event(n) for n in range(500)])
        wait_until(lambda: running.get("/batches/")["buffered"] == 500, 20)
        time.sleep(1)  # five intervals: the write has begun
        assert running.terminate(DEADLINE) == 0
    finally:
        server.resume()
    worker().wait_ready()
    wait_until(lambda: sum(stored_offsets(migrated_url).values()) == 500, 20)
    assert sorted(row["event_id"] for row in rows(migrated_url)) == sorted(
        f"e{n}" for n in range(500)
    )


@pytest.mark.slow
def test_impatience_does_not_hang_it(worker, produce, migrated_url, server):
    running = fill(worker, produce, 500, SHUTDOWN_TIMEOUT=3)
    server.pause()
    try:
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT, signal.SIGINT):
            running.signal(number)
            time.sleep(0.3)  # as somebody presses keys
        running.wait(DEADLINE)
    finally:
        server.resume()
    worker().wait_ready()
    wait_until(lambda: stored(migrated_url) == 500, 20)


def test_ctrl_c_writes_what_is_buffered(worker, produce, migrated_url):
    running = fill(worker, produce, 500)
    running.signal(signal.SIGINT)
    assert running.wait(DEADLINE) == 0
    assert len(rows(migrated_url)) == 500
