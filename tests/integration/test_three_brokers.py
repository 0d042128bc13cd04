"""Of three brokers one or two are away: two are enough to start, and to read on; one is not."""

import time
from random import Random

import pytest
from confluent_kafka import Producer

from tests.helpers.three_brokers import ThreeBrokers
from tests.helpers.traffic import Traffic, audit
from tests.helpers.worker import wait_until


@pytest.fixture(scope="module")
def brokers(tmp_path_factory):
    with ThreeBrokers(tmp_path_factory.mktemp("brokers")) as found:
        yield found


@pytest.mark.usefixtures("apache")
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("killed", [0, 1, 2])
def test_workers_start_after_a_broker_was_killed(brokers, killed, topic, worker):
    brokers.create_topic(topic)
    wait_until(lambda: brokers.leaders(topic) == {1, 2, 3}, 60, "each leads partitions")
    brokers.nodes[killed].kill()
    try:
        started = [worker(KAFKA_URL=brokers.url, CONSUMER_GROUP=f"{topic}-{n}") for n in range(3)]
        for one in started:
            one.wait_ready(90)
        assert [one.terminate() for one in started] == [0, 0, 0]
    finally:
        brokers.nodes[killed].start()


@pytest.mark.usefixtures("apache")
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_workers_start_while_brokers_restart_in_turn(brokers, topic, worker, migrated_url):
    brokers.create_topic(topic, partitions=24)
    wait_until(lambda: brokers.leaders(topic) == {1, 2, 3}, 60, "each leads partitions")
    flow = Traffic(brokers, topic, rate=300)
    random = Random(20)
    due = sorted(time.monotonic() + random.uniform(0, 60) for _ in range(20))
    settings = {"KAFKA_URL": brokers.url, "SESSION_TIMEOUT": 20, "FLUSH_INTERVAL": 2}
    running = []

    def start_what_is_due():
        while due and due[0] <= time.monotonic():
            due.pop(0)
            running.append(worker(**settings))
        assert all(one.exit_code is None for one in running)

    while len(running) < 20:
        brokers.restart_in_turn(start_what_is_due)
    wait_until(lambda: all(one.is_ready() for one in running), 180, "all are ready")
    flow.stop()
    audit(migrated_url, flow.sent, timeout=120)
    assert [one.exit_code for one in running] == [None] * 20
    log = "".join(one.log_text() for one in running)
    assert "Traceback" not in log
    assert "[CRITICAL]" not in log


@pytest.fixture(params=[[1], [1, 2, 3]], ids=["controller_left", "quorum_lost"])
def crippled(request, tmp_path, topic):
    """A cluster to stop two brokers of, with the first as its controller or all three of them."""
    with ThreeBrokers(tmp_path / "brokers", controllers=request.param, session=3) as found:
        for name in (topic, PROBED):
            found.create_topic(name, on=None if name == topic else [1, 2, 3], min_insync_replicas=2)
        wait_until(lambda: found.leaders(topic) == {1, 2, 3}, 60, "each leads partitions")
        yield found, len(request.param) == 1


#: A topic like that of the worker, for events that are refused.
PROBED = "probed"


def refusal(brokers):
    """The name of the error that an event gets which the first broker is given."""
    producer = Producer(
        {
            "bootstrap.servers": brokers.nodes[0].bootstrap,
            "acks": "all",
            "retries": 0,
            "message.timeout.ms": 5000,
            "log_level": 0,
        }
    )
    errors = []

    def answered(error, _):
        errors.append(error and error.name())

    producer.produce(PROBED, b"x", partition=0, on_delivery=answered)
    producer.flush(10)
    return errors[0] if errors else None


@pytest.mark.usefixtures("apache")
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_too_few_in_sync_replicas_delay_events_and_lose_none(crippled, worker, migrated_url, topic):
    brokers, has_controller = crippled
    running = worker(KAFKA_URL=brokers.url, FLUSH_INTERVAL=0.5, SESSION_TIMEOUT=10).wait_ready(60)
    flow = Traffic(brokers, topic, rate=200)
    running.wait_stored(migrated_url, 1000)
    others = brokers.nodes[1:]
    for node in others:
        node.kill()
    if has_controller:
        wait_until(lambda: refusal(brokers) == "NOT_ENOUGH_REPLICAS", 60, "events are refused")
        # All that was acknowledged can be read: the first broker leads all partitions.
        wait_until(running.is_ready, 30, "ready: there is nothing to read")
        lags = [one["lag"] for one in running.get("/batches/")["partitions"]]
        assert lags == [0] * 6
    else:
        wait_until(lambda: not running.is_ready(), 40, "not ready: two brokers are silent")
        assert "Kafka has not answered" in running.get("/ready/")["reason"]
        assert refusal(brokers)
    assert running.request("/health/")[0] == 200
    for node in others:
        node.launch()
    for node in others:
        node.wait()
    wait_until(running.is_ready, 90, "ready again")
    flow.stop()
    audit(migrated_url, flow.sent, timeout=120)
    assert running.exit_code is None
    assert running.terminate() == 0
    assert "Traceback" not in running.log_text()
