"""Servers and workers fail under traffic: every event is stored once, none twice, none lost."""

import time
from random import Random

import pytest

from commands.traffic.simulator import Outcome
from tests.helpers.databases import each_server, each_server_slow
from tests.helpers.traffic import Traffic, audit
from tests.helpers.worker import rows, wait_until


@pytest.fixture
def traffic(broker, topic):
    started = []

    def start(**options):
        started.append(Traffic(broker, topic, **options))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.mark.slow
@each_server_slow
def test_killed_at_random_moments(worker, traffic, migrated_url):
    random = Random(7)
    flow = traffic(rate=2500, count=30_000)
    running = worker(FLUSH_INTERVAL=0.5, FLUSH_MAX_EVENTS=1000).wait_ready()
    kills = 0
    while kills < 5:
        time.sleep(random.uniform(0.3, 2.0))
        running.kill()
        kills += 1
        running = worker(FLUSH_INTERVAL=0.5, FLUSH_MAX_EVENTS=1000).wait_ready()
    flow.finish()
    verdict = audit(migrated_url, flow.sent)
    assert verdict.sent == 30_000
    assert verdict.dropped[Outcome.MALFORMED] > 0


@each_server
def test_the_database_stops_under_traffic_and_comes_back(worker, traffic, migrated_url, server):
    flow = traffic(rate=1000, count=15_000)
    running = worker(FLUSH_INTERVAL=0.5).wait_ready()
    wait_until(lambda: rows(migrated_url), 20)
    server.kill()
    try:
        wait_until(lambda: running.request("/ready/")[0] == 503, 15, "not ready")
        assert "database" in running.get("/ready/")["reason"]
        assert running.request("/health/")[0] == 200
        time.sleep(3)  # it fails again and again
    finally:
        server.start()
    wait_until(running.is_ready, 30, "ready again")
    flow.finish()
    audit(migrated_url, flow.sent)
    assert running.exit_code is None


def test_workers_join_and_leave_under_traffic(worker, traffic, migrated_url):
    # Topics without compression exist as well.
    flow = traffic(rate=1500, count=20_000, compression="none")
    first = worker(FLUSH_INTERVAL=0.5).wait_ready()
    second = worker(FLUSH_INTERVAL=0.5).wait_ready()
    wait_until(lambda: len(first.get("/batches/")["partitions"]) == 2, 20, "two partitions each")
    assert first.terminate() == 0
    wait_until(lambda: len(second.get("/batches/")["partitions"]) == 4, 20, "all four")
    flow.finish()
    audit(migrated_url, flow.sent)


@pytest.mark.slow
def test_no_commit_is_sent_while_the_group_is_rebalanced(worker, traffic, migrated_url):
    """A commit behind the request to join is answered in the next generation: it is refused, and
    aiokafka joins again for that, so that the group would be rebalanced again and again."""
    flow = traffic(rate=500, count=10_000)
    first = worker(FLUSH_INTERVAL=0.3).wait_ready()
    second = worker(FLUSH_INTERVAL=0.3).wait_ready()
    wait_until(lambda: len(first.get("/batches/")["partitions"]) == 2, 20, "two partitions each")
    # It does not hear of the rebalance: the others wait for it until its session ends.
    second.pause()
    third = worker(FLUSH_INTERVAL=0.3)
    wait_until(lambda: third.is_ready() and first.is_ready(), 60, "both continue")
    flow.finish()
    audit(migrated_url, flow.sent)
    said = first.log_text() + third.log_text()
    assert "IllegalGeneration" not in said
    assert "UnknownMember" not in said
