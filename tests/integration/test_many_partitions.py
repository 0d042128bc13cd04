"""A topic with hundreds of partitions, shared by workers that come and go."""

from time import monotonic

import pytest

from dev.audit import count_stored
from tests.helpers.traffic import Traffic, audit, stored_again
from tests.helpers.worker import wait_until

PARTITIONS = 600


@pytest.fixture
def wide(apache, topic):
    """Name of a topic with that many."""
    name = f"{topic}-wide"
    apache.create_topic(name, PARTITIONS)
    yield name
    apache.delete_topic(name)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_three_workers_share_600_partitions(wide, apache, worker, migrated_url, record_property):
    def seen(name, value):
        record_property(name, value)
        print(f"{name}: {value}")

    flow = Traffic(apache, wide, rate=1000)
    begun = monotonic()
    running = [worker(TOPIC=wide, SESSION_TIMEOUT=10) for _ in range(3)]
    wait_until(lambda: count_stored(migrated_url) > 0, 90, "the first rows")
    seen("seconds to the first rows", round(monotonic() - begun, 1))
    for one in running:
        one.wait_ready(90)

    def shares():
        return sorted(len(one.get("/batches/")["partitions"]) for one in running)

    wait_until(lambda: shares() == [200] * 3, 90, "each has a third")
    seen("seconds until each has a third", round(monotonic() - begun, 1))
    stored_again(migrated_url)
    assert running.pop().terminate() == 0
    wait_until(lambda: shares() == [300] * 2, 90, "each has a half")
    stored_again(migrated_url)
    running.pop().kill()
    wait_until(lambda: shares() == [PARTITIONS], 90, "one has all")
    stored_again(migrated_url)
    [last] = running
    flow.stop()
    verdict = audit(migrated_url, flow.sent, timeout=120)
    seen("events", verdict.sent)
    seen("MB of a worker at most", round(last.peak_memory()))
    wait_until(lambda: all(p["lag"] == 0 for p in last.get("/batches/")["partitions"]), 30)
    assert last.is_ready()
    assert last.exit_code is None
    assert last.terminate() == 0
