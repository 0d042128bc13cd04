"""Topics that are made again, deleted, cut by retention or given more partitions."""

import time

import pytest
from confluent_kafka.admin import AdminClient

from tests.helpers.events import delete_before, event, ids, offsets_of
from tests.helpers.worker import rows, wait_until


@pytest.mark.slow
def test_recreated_topic_stops_the_worker_until_a_reset(
    worker, produce, migrated_url, apache, topic, faust
):
    produce([(event(n), 0) for n in range(100)])
    first = worker().wait_ready()
    wait_until(lambda: len(rows(migrated_url)) == 100, 20)
    first.terminate()
    apache.delete_topic(topic)
    apache.create_topic(topic)
    produce([(event(n), 0) for n in range(100, 110)])

    stopped = worker()
    assert stopped.wait(30) == 1
    assert f"stored offset of {topic}/0 is 100, but the log ends at 10" in stopped.log_text()
    assert "offsets reset" in stopped.log_text()
    assert "Traceback" not in stopped.log_text()
    assert len(rows(migrated_url)) == 100, "nothing skipped, nothing doubled"

    assert "beyond the log's end" in faust("offsets", "show")
    faust("offsets", "reset", "--to", "beginning", "--dry-run")
    assert offsets_of(migrated_url)[0] == 100
    assert f"{topic}/0: 100 → 0" in faust("offsets", "reset", "--to", "beginning", "--yes")
    worker().wait_ready()
    wait_until(lambda: len(rows(migrated_url)) == 110, 20)
    assert ids(migrated_url) == sorted(f"e{n}" for n in range(110))


@pytest.mark.parametrize("again", [0, 2], ids=["at_once", "later"])
@pytest.mark.slow
def test_a_topic_made_anew_under_a_running_worker_is_noticed(
    worker, produce, migrated_url, apache, topic, again
):
    running = worker(CONSUMER_METADATA_MAX_AGE_MS=1000).wait_ready()
    produce([(event(n), 0) for n in range(100)])
    wait_until(lambda: len(rows(migrated_url)) == 100, 20)
    apache.delete_topic(topic)
    time.sleep(again)
    apache.create_topic(topic)
    assert running.wait(60) == 1
    assert "offsets reset" in running.log_text()
    assert "Traceback" not in running.log_text()


@pytest.mark.slow
def test_a_topic_deleted_under_a_running_worker_is_noticed(
    worker, produce, migrated_url, apache, topic
):
    running = worker(CONSUMER_METADATA_MAX_AGE_MS=1000).wait_ready()
    apache.delete_topic(topic)
    assert running.wait(60) == 1
    assert f"Kafka has no topic {topic!r}" in running.log_text()
    assert "Traceback" not in running.log_text()


@pytest.mark.slow
def test_events_gone_by_retention_are_counted_and_passed_over(
    worker, produce, migrated_url, apache, topic
):
    produce([(event(n), 0) for n in range(100)])
    first = worker().wait_ready()
    wait_until(lambda: len(rows(migrated_url)) == 100, 20)
    first.terminate()
    produce([(event(n), 0) for n in range(100, 150)])
    delete_before(apache, topic, 0, 130)
    running = worker().wait_ready()
    wait_until(lambda: len(rows(migrated_url)) == 120, 20)
    assert f"30 events of {topic}/0, from offset 100 on, were removed" in running.log_text()
    assert "etl_lost_to_retention_events_total 30.0" in running.request("/metrics")[1]
    wait_until(lambda: offsets_of(migrated_url)[0] == 150, 5)


def test_retention_that_overtakes_a_running_worker_is_noticed(
    worker, produce, migrated_url, apache, topic, server
):
    running = worker(FLUSH_MAX_EVENTS=10, BUFFER_MAX_EVENTS=10).wait_ready()
    server.pause()
    try:
        for start in range(0, 20_000, 2000):
            produce([(event(n), 0) for n in range(start, start + 2000)])
        wait_until(lambda: running.get("/batches/")["buffered"] >= 10, 20, "a full buffer")
        delete_before(apache, topic, 0, 19_990)
    finally:
        server.resume()
    wait_until(lambda: offsets_of(migrated_url).get(0) == 20_000, 60)
    found = len(rows(migrated_url))
    lost = 20_000 - found
    if lost:  # what was in memory already is not lost
        assert f"{lost} events of {topic}/0" in running.log_text()
    assert len(set(ids(migrated_url))) == found


def test_added_partitions_are_read_from_their_beginning(
    worker, produce, migrated_url, apache, topic
):
    running = worker(STARTING_OFFSETS="latest", CONSUMER_METADATA_MAX_AGE_MS=2000).wait_ready()
    apache.add_partitions(topic, 6)
    wait_until(lambda: _known(apache, topic) == 6, 20)
    produce([(event(n), 4 + n % 2) for n in range(100)])
    wait_until(lambda: len(rows(migrated_url)) == 100, 60)
    wait_until(lambda: len(running.get("/batches/")["partitions"]) == 6, 10)


def _known(broker, topic):
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    return len(admin.list_topics(topic, timeout=10).topics[topic].partitions)
