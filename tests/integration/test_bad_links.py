"""Connections that are reset, forgotten by a firewall, or slow; without root, by a relay."""

import time
from types import SimpleNamespace

import pytest

from dev.audit import count_stored
from tests.helpers.relayed import TroubledKafka
from tests.helpers.traffic import Traffic, audit, stored_again
from tests.helpers.trouble import Trouble
from tests.helpers.worker import wait_until

pytestmark = [pytest.mark.usefixtures("apache"), pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    with TroubledKafka(tmp_path_factory.mktemp("kafka")) as found:
        yield found


@pytest.fixture
def links(kafka, server, topic, migrated_url):
    """The troubles of both links, and the settings of a worker behind them."""
    kafka.create_topic(topic)
    trouble = {"kafka": kafka.trouble, "database": Trouble()}
    with trouble["database"].on_the_way_to(server.port) as port:
        url = migrated_url.replace(f":{server.port}/", f":{port}/")
        settings = {"KAFKA_URL": kafka.url, "DATABASE_URL": url, "SESSION_TIMEOUT": 10}
        yield SimpleNamespace(**trouble, settings=settings)
        kafka.trouble.delay = 0


def end_exactly(running, flow, url):
    flow.stop()
    audit(url, flow.sent, timeout=90)
    wait_until(running.is_ready, 30, "ready again")
    assert running.exit_code is None
    assert "Traceback" not in running.log_text()


@pytest.mark.parametrize("name", ["kafka", "database"])
def test_connections_are_reset_time_and_again(kafka, links, worker, topic, migrated_url, name):
    running = worker(**links.settings, FLUSH_INTERVAL=0.3).wait_ready()
    flow = Traffic(kafka, topic, rate=1000)
    running.wait_stored(migrated_url, 500)
    trouble = getattr(links, name)
    for number in range(20):
        trouble.reset()
        time.sleep(0.1 + 0.07 * number)
    assert trouble.resets >= 20
    back = stored_again(migrated_url)
    print(f"{name}: {trouble.resets} resets, first row {back:.1f} s later")
    assert back < 10
    end_exactly(running, flow, migrated_url)


def test_a_firewall_that_forgets_connections(kafka, links, worker, topic, migrated_url):
    """To the database; to Kafka it is in `test_kafka_away.py`."""
    running = worker(**links.settings).wait_ready()
    flow = Traffic(kafka, topic, rate=300)
    running.wait_stored(migrated_url, 300)
    links.database.dropping = True
    wait_until(lambda: not running.is_ready(), 10, "not ready")
    time.sleep(35)  # longer than an answer is waited for
    links.database.dropping = False
    back = stored_again(migrated_url)
    print(f"first row {back:.1f} s later")
    assert back < 15
    end_exactly(running, flow, migrated_url)


def test_links_with_50_ms_each_way(kafka, links, worker, topic, migrated_url):
    for link in (links.kafka, links.database):
        link.delay = 0.05
    running = worker(**links.settings, FLUSH_INTERVAL=2).wait_ready(60)
    flow = Traffic(kafka, topic, rate=2000, count=40_000)
    while len(flow.sent) < 40_000:
        assert running.is_ready()
        time.sleep(0.5)
    behind = wait_until(lambda: count_stored(migrated_url) >= 40_000, 30, "all is stored")
    print(f"stored {behind:.1f} s after the last was sent")
    assert behind < 10
    end_exactly(running, flow, migrated_url)
    for warning in ("is away", "has not answered", "retrying"):
        assert warning not in running.log_text()
    assert running.terminate() == 0
