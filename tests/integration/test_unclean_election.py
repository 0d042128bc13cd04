"""An unclean leader election: a replica that was behind leads, and the log has lost its end.

The broker that led has what the others lack, and does not come back. New events get the offsets of
those that are lost: a worker that read on would skip them.
"""

import re

import pytest
from confluent_kafka import Producer

from tests.helpers.events import event, ids, names
from tests.helpers.three_brokers import ThreeBrokers
from tests.helpers.worker import wait_until

pytestmark = [pytest.mark.usefixtures("apache"), pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture
def brokers(tmp_path, topic):
    """The topic is on the second, which leads, and on the third; the first controls them."""
    with ThreeBrokers(tmp_path / "brokers", controllers=[1], session=2) as found:
        found.create_topic(
            topic, 1, on=[2, 3], min_insync_replicas=1, unclean_leader_election_enable="true"
        )
        wait_until(lambda: found.leaders(topic) == {2}, 60, "the second leads")
        yield found


@pytest.fixture
def send(brokers, topic):
    """Sends events of these numbers, in order; returns when all are acknowledged."""

    def send(numbers):
        settings = {"bootstrap.servers": brokers.bootstrap, "enable.idempotence": True}
        producer = Producer({**settings, "log_level": 0})
        for number in numbers:
            producer.produce(topic, event(number), partition=0)
        assert producer.flush(60) == 0

    return send


@pytest.fixture
def start(brokers, worker):
    """Starts a worker on these brokers."""

    def start(**settings):
        usual = {"KAFKA_URL": brokers.url, "FLUSH_INTERVAL": 0.5, "SESSION_TIMEOUT": 60}
        return worker(**usual, **settings).wait_ready(90)

    return start


@pytest.fixture
def reset(brokers, faust):
    """Sets the offset of partition 0."""
    reset = "offsets", "reset", "--partition", 0, "--yes"
    return lambda to: faust(*reset, "--to", to, KAFKA_URL=brokers.url)


def read_ahead_of_a_replica(brokers, send, running, url):
    """The worker stores events 0 to 199, of which the third broker has only the first hundred."""
    send(range(100))
    running.wait_stored(url, 100)
    brokers.nodes[2].kill()
    send(range(100, 200))
    running.wait_stored(url, 200)


def elect(brokers, topic):
    """The third broker leads."""
    brokers.nodes[2].start()
    wait_until(lambda: brokers.leaders(topic) == {3}, 60, "the third leads")


def test_a_truncated_log_that_has_grown_past_the_offset_is_noticed(
    brokers, start, worker, send, reset, migrated_url, topic
):
    running = start()
    read_ahead_of_a_replica(brokers, send, running, migrated_url)
    # Between two looks at the log's end: it never seems to have become shorter.
    running.pause()
    brokers.nodes[1].kill()
    elect(brokers, topic)
    send(range(200, 400))
    running.resume()
    assert running.wait(60) == 1
    sentence = f"{topic}/0 has another record at offset 199 than the one that was read there"
    assert sentence in running.log_text()
    again = worker(KAFKA_URL=brokers.url)
    assert again.wait(60) == 1
    assert sentence in again.log_text()
    assert ids(migrated_url) == names(range(200)), "nothing of it before someone decides"

    reset(100)
    last = start()
    last.wait_stored(migrated_url, 400)
    assert ids(migrated_url) == names(range(400))
    assert last.terminate() == 0


def test_a_log_that_lost_its_end_ends_the_worker_until_a_reset(
    brokers, start, worker, send, reset, faust, migrated_url, topic
):
    faust("migrate", DEDUPLICATE="true")
    running = start(DEDUPLICATE="true")
    read_ahead_of_a_replica(brokers, send, running, migrated_url)
    brokers.nodes[1].kill()
    wait_until(lambda: not running.is_ready(), 40, "not ready while nobody leads")
    reason = running.get("/ready/")["reason"]
    assert re.search(r"Kafka has not answered for \d+ s", reason), reason
    assert running.request("/health/")[0] == 200
    elect(brokers, topic)
    send(range(200, 250))
    assert running.wait(60) == 1
    # Seen at once by a fetch, or a little later by a look at the ends.
    assert re.search(r"200.* log('s end|| ends at) 1\d\d", running.log_text())
    assert ids(migrated_url) == names(range(200))

    reset("beginning")
    last = start(DEDUPLICATE="true")
    last.wait_stored(migrated_url, 250)
    assert ids(migrated_url) == names(range(250)), "what it had stored is not stored again"
    assert last.terminate() == 0
