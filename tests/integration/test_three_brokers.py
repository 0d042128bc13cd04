"""Of three brokers one is away: the other two are enough to start, and to read on."""

import time
from random import Random

import pytest

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
