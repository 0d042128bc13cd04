"""Packets are lost between a worker and a server, which neither of them sees; and names move."""

import time

import pytest

from tests.helpers.namespace import Namespace, why_not
from tests.helpers.relayed import TroubledKafka
from tests.helpers.traffic import Traffic, audit, stored_again
from tests.helpers.trouble import Trouble
from tests.helpers.worker import wait_until

#: Seconds within which it is seen: Kafka's own session with its brokers is 9 s, so it gets longer.
SEEN = {"database": 10, "kafka": 20}
#: Seconds until something is stored again.
BACK = 15

pytestmark = [
    pytest.mark.usefixtures("apache"),
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(why_not() != "", reason=why_not()),
]


@pytest.fixture(scope="module")
def network():
    with Namespace("web", "kafka", "database", "spare") as found:
        yield found


@pytest.fixture(scope="module")
def kafka(network, tmp_path_factory):
    with TroubledKafka(tmp_path_factory.mktemp("kafka"), "kafka.test") as found:
        yield found


@pytest.fixture
def away(network, kafka, topic, worker, server, migrated_url):
    """A worker in the other network, and numbered events on their way to it."""
    kafka.create_topic(topic)
    with Trouble().on_the_way_to(server.port, "0.0.0.0") as port:
        url = migrated_url.replace(f"127.0.0.1:{server.port}/", f"database.test:{port}/")
        settings = {"KAFKA_URL": kafka.url, "DATABASE_URL": url, "SESSION_TIMEOUT": 10}
        running = worker(*network.under, **settings)
        running.host = network.lines["web"].there
        running.wait_ready()
        running.flow = Traffic(kafka, topic, rate=300)
        running.wait_stored(migrated_url, 300)
        yield running
        running.flow.stop()
        running.end()


def ends_well(running, url):
    running.flow.stop()
    audit(url, running.flow.sent, timeout=90)
    wait_until(running.is_ready, 20, "ready again")
    assert running.exit_code is None
    assert "Traceback" not in running.log_text()


def run_through(network, away, url, name, seconds, **lost):
    """So many seconds of silence on a line; all is well afterwards."""
    line = network.lines[name]
    line.lose(**lost)
    try:
        seen = wait_until(lambda: not away.is_ready(), 40, "not ready")
        reason = away.get("/ready/")["reason"]
        time.sleep(seconds - seen)
        assert away.request("/health/")[0] == 200
        assert not away.is_ready()
    finally:
        line.heal()
    back = stored_again(url)
    print(f"{name}: seen after {seen:.1f} s, first row after {back:.1f} s: {reason}")
    ends_well(away, url)
    assert seen < SEEN[name]
    assert name in reason.lower()
    assert back < BACK


@pytest.mark.parametrize("name", ["database", "kafka"])
def test_a_minute_without_packets(network, away, migrated_url, name):
    run_through(network, away, migrated_url, name, 60)


@pytest.mark.parametrize("name", ["database", "kafka"])
@pytest.mark.parametrize("heard", ["requests", "answers"])
def test_one_side_does_not_hear_the_other(network, away, migrated_url, name, heard):
    # Longer than each limit of a connection.
    run_through(network, away, migrated_url, name, 40, **{heard: False})


@pytest.mark.parametrize("name", ["database", "kafka"])
def test_a_name_that_moves_is_followed(network, away, migrated_url, name):
    """Its old address is silent for ever, as that of a machine that is gone."""
    network.lines[name].lose()
    network.name(**{name: "spare"})
    try:
        back = stored_again(migrated_url)
        print(f"{name}: first row after {back:.1f} s")
        ends_well(away, migrated_url)
    finally:
        network.lines[name].heal()
        network.name()
    assert back < 45
