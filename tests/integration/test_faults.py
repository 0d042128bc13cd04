"""Servers and workers fail under traffic: every event is stored once, none twice, none lost."""

import threading
import time
from random import Random

import pytest
from confluent_kafka import Producer

from local.audit import Sent
from local.simulator import Outcome, events
from tests.support import wait_until


class Traffic:
    """Numbered events, sent in the background until the count is reached or it is stopped."""

    def __init__(self, broker, topic, *, rate, count, seed=1, bad=0.05):
        self._producer = Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 20})
        self._topic = topic
        self._rate = rate
        self._events = events(seed=seed, prefix="fault", bad=bad)
        self._count = count
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.sent = Sent()
        self._thread.start()

    def _run(self):
        started = time.monotonic()
        while len(self.sent) < self._count and not self._stop.is_set():
            due = min(self._count, int((time.monotonic() - started) * self._rate))
            for _ in range(due - len(self.sent)):
                event = next(self._events)
                self._producer.produce(self._topic, event.value, key=event.key)
                self.sent.add(event)
                self._producer.poll(0)
            time.sleep(0.02)

    def finish(self, timeout=60):
        """Wait until all is sent and acknowledged."""
        self._thread.join(timeout)
        assert not self._thread.is_alive()
        assert self._producer.flush(30) == 0

    def stop(self):
        self._stop.set()
        self.finish()


@pytest.fixture
def traffic(broker, topic):
    started = []

    def start(**options):
        started.append(Traffic(broker, topic, **options))
        return started[-1]

    yield start
    for one in started:
        one.stop()


def audit(url, sent, timeout=60):
    """Wait until as much is stored as was sent, then judge."""
    wait_until(lambda: stored_all(url, sent), timeout, "every event stored")
    verdict = sent.audit(url)
    assert verdict.exact, str(verdict)
    return verdict


def stored_all(url, sent):
    from local.audit import count_stored

    return count_stored(url) >= len(sent)


def test_killed_at_random_moments(worker, traffic, migrated_url):
    random = Random(7)
    flow = traffic(rate=2500, count=30_000)
    running = worker(FLUSH_INTERVAL=0.5, FLUSH_MAX_ROWS=1000).wait_ready()
    kills = 0
    while kills < 5:
        time.sleep(random.uniform(0.3, 2.0))
        running.kill()
        kills += 1
        running = worker(FLUSH_INTERVAL=0.5, FLUSH_MAX_ROWS=1000).wait_ready()
    flow.finish()
    verdict = audit(migrated_url, flow.sent)
    assert verdict.sent == 30_000
    assert verdict.dropped[Outcome.MALFORMED] > 0


def test_the_database_stops_under_traffic_and_comes_back(worker, traffic, migrated_url, mariadb):
    flow = traffic(rate=1000, count=15_000)
    running = worker(FLUSH_INTERVAL=0.5).wait_ready()
    time.sleep(1)
    mariadb.kill()
    try:
        wait_until(lambda: running.request("/ready/")[0] == 503, 15, "not ready")
        assert "database" in running.get("/ready/")["reason"]
        assert running.request("/health/")[0] == 200
        time.sleep(3)
    finally:
        mariadb.start()
    wait_until(running.is_ready, 30, "ready again")
    flow.finish()
    audit(migrated_url, flow.sent)
    assert running.exit_code is None


def test_workers_join_and_leave_under_traffic(worker, traffic, migrated_url):
    flow = traffic(rate=1500, count=20_000)
    first = worker(FLUSH_INTERVAL=0.5).wait_ready()
    second = worker(FLUSH_INTERVAL=0.5).wait_ready()
    wait_until(lambda: len(first.get("/batches/")["partitions"]) == 2, 20, "two partitions each")
    assert first.terminate() == 0
    wait_until(lambda: len(second.get("/batches/")["partitions"]) == 4, 20, "all four")
    flow.finish()
    audit(migrated_url, flow.sent)
