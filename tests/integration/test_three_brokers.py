"""Of three brokers one is away: the other two are enough to start, and to read on."""

import pytest

from tests.helpers.three_brokers import ThreeBrokers
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
