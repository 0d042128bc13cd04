"""On brokers that make topics on first use, asking for one that is not there makes none."""

import re

import pytest
from confluent_kafka.admin import AdminClient

from dev.servers.broker import EmbeddedBroker
from tests.helpers.worker import wait_until


@pytest.fixture
def eager(tmp_path):
    """A broker that makes topics on first use."""
    with EmbeddedBroker(tmp_path / "broker") as running:
        running.create_topic("flash_sale_events")
        yield running


def topics(broker):
    return set(AdminClient({"bootstrap.servers": broker.bootstrap}).list_topics(timeout=10).topics)


def test_check_and_worker_say_that_it_is_missing_and_leave_it_so(faust, worker, eager):
    settings = {"KAFKA_URL": eager.url, "TOPIC": "flash_sale_event", "CONSUMER_GROUP": "g"}
    said = faust("check", status=1, **settings)
    assert re.search("no topic 'flash_sale_event'\n +→ create it, or change TOPIC", said)
    running = worker(**settings)
    assert running.wait(40) == 1
    assert "no topic 'flash_sale_event': create it, or change TOPIC" in running.log_text()
    assert topics(eager) == {"flash_sale_events"}


def test_simulated_events_make_their_topic_as_any_producer_does(faust, eager):
    faust("simulate", "--seconds", 1, "--rate", 10, KAFKA_URL=eager.url, TOPIC="simulated")
    wait_until(lambda: "simulated" in topics(eager), 10)
