"""Long outages change nothing but the lag: memory is bounded, the worker stays in its group."""

import time

import pytest

from tests.helpers.databases import each_server_slow
from tests.helpers.events import event
from tests.helpers.traffic import Traffic, audit
from tests.helpers.worker import rows, stored_offsets, wait_until


@pytest.fixture
def restartable(broker):
    if not broker.can_restart:
        pytest.skip("the embedded broker forgets what it had when it is restarted")
    return broker


@pytest.mark.slow
@each_server_slow
def test_outage_beyond_kafkas_idle_limit_only_adds_lag(worker, broker, topic, migrated_url, server):
    # Kafka's idle limit, 1000 s unless set, is a second here; ours is far above any outage.
    running = worker(
        FLUSH_INTERVAL=0.5, BROKER_MAX_POLL_INTERVAL=1, BUFFER_MAX_EVENTS=40_000
    ).wait_ready()
    # More than the worker buffers, and less than the embedded broker keeps (5 MB a partition).
    flow = Traffic(broker, topic, rate=4500, count=90_000)
    wait_until(lambda: rows(migrated_url), 20)
    server.kill()
    try:
        time.sleep(15)  # Kafka's idle limit many times over
        health, ready = running.request("/health/"), running.get("/ready/")
        assert health[0] == 200
        assert "the database is away" in ready["reason"]
        buffered = running.get("/batches/")["buffered"]
        assert 30_000 < buffered <= 40_000, "bounded by BUFFER_MAX_EVENTS"
        assert running.memory() < 250
    finally:
        server.start()
    flow.finish()
    audit(migrated_url, flow.sent, timeout=90)
    assert running.exit_code is None
    assert running.memory() < 250


@pytest.mark.slow
def test_an_idle_worker_stays_in_its_group(worker, produce, migrated_url):
    running = worker(FLUSH_INTERVAL=0.5).wait_ready()
    time.sleep(10)  # more than two sessions
    assert running.is_ready()
    produce([event(n) for n in range(10)])
    wait_until(lambda: len(rows(migrated_url)) == 10, 10)


@pytest.mark.slow
def test_the_broker_is_gone_for_a_while(worker, restartable, topic, migrated_url):
    running = worker(FLUSH_INTERVAL=0.5).wait_ready()
    flow = Traffic(restartable, topic, rate=500, count=10_000)
    wait_until(lambda: rows(migrated_url), 20)
    restartable.kill()
    try:
        time.sleep(12)  # past its session
        assert running.request("/health/")[0] == 200
    finally:
        restartable.start()
    flow.finish()
    audit(migrated_url, flow.sent, timeout=90)
    assert running.exit_code is None
    wait_until(running.is_ready, 30)


def test_worker_woken_after_a_takeover_adds_nothing(worker, produce, broker, topic, migrated_url):
    zombie = worker(FLUSH_INTERVAL=3600).wait_ready()
    zombie.wait_first_flush()
    produce([event(n) for n in range(2000)])
    wait_until(lambda: zombie.get("/batches/")["buffered"] == 2000, 20, "a full buffer")
    zombie.pause()
    worker(FLUSH_INTERVAL=0.5)
    wait_until(lambda: len(rows(migrated_url)) == 2000, 40, "all read by the other")
    produce([event(n) for n in range(2000, 2500)])
    zombie.resume()
    given = "etl_rebalances_total 2.0"
    wait_until(lambda: given in zombie.request("/metrics")[1], 30, "it hears of the takeover")
    wait_until(lambda: zombie.get("/batches/")["buffered"] == 0, 30, "it hears of the takeover")
    assert zombie.terminate() == 0, "its last write too"
    wait_until(lambda: sum(stored_offsets(migrated_url).values()) == 2500, 30)
    assert sorted(row["event_id"] for row in rows(migrated_url)) == sorted(
        f"e{n}" for n in range(2500)
    )


def test_worker_killed_before_its_first_write_misses_nothing(worker, produce, migrated_url):
    produce([event(n) for n in range(10)])
    first = worker(STARTING_OFFSETS="latest", FLUSH_INTERVAL=3600).wait_ready()
    produce([event(n) for n in range(10, 30)])
    first.kill()
    produce([event(n) for n in range(30, 50)])
    worker(STARTING_OFFSETS="latest").wait_ready()
    wait_until(lambda: len(rows(migrated_url)) == 40, 20)
    assert sorted(row["event_id"] for row in rows(migrated_url)) == sorted(
        f"e{n}" for n in range(10, 50)
    )
