"""What lag monitors read in Kafka: the group's committed offsets follow what is stored."""

import pytest
from confluent_kafka import Consumer, TopicPartition

from tests.helpers import wire
from tests.helpers.coordinator import AbsentCoordinator
from tests.helpers.events import event, ids, names, offsets_of
from tests.helpers.worker import configure, wait_until

#: Seconds within which they are reported.
SOON = 15


def asking(broker, topic):
    """What answers the group's committed offsets in Kafka by partition; None where there is none.

    It never joins the group.
    """
    consumer = Consumer(
        {"bootstrap.servers": broker.bootstrap, "group.id": f"group-{topic}", "log_level": 0}
    )

    def ask():
        found = consumer.committed([TopicPartition(topic, p) for p in range(4)], timeout=10)
        return {tp.partition: tp.offset if tp.offset >= 0 else None for tp in found}

    return ask


@pytest.fixture
def committed(broker, topic):
    return asking(broker, topic)


@pytest.mark.parametrize("start", ["earliest", pytest.param("latest", marks=pytest.mark.slow)])
def test_every_partition_is_reported_the_idle_ones_too(
    worker, produce, migrated_url, committed, start
):
    produce([(event(n), n % 2) for n in range(10)])
    worker(STARTING_OFFSETS=start).wait_ready()
    expected = {0: 5, 1: 5, 2: 0, 3: 0}
    wait_until(lambda: committed() == expected, SOON, f"committed {expected}")
    assert offsets_of(migrated_url) == expected


@pytest.mark.slow
def test_what_is_reported_follows_what_is_stored(worker, produce, migrated_url, committed, server):
    worker(FLUSH_INTERVAL=0.3).wait_ready()
    for turn in range(1, 4):
        produce([(event(n), 0) for n in range(10)])
        produce([(event(n), turn) for n in range(7)])
        wait_until(lambda: offsets_of(migrated_url)[0] == 10 * turn, 20)  # noqa: B023
        wait_until(lambda: committed() == offsets_of(migrated_url), SOON)
    before = committed()
    server.pause()
    try:
        produce([(event(n), 0) for n in range(10)])
        with pytest.raises(AssertionError):
            wait_until(lambda: committed() != before, 5)
    finally:
        server.resume()
    wait_until(lambda: committed()[0] == 40, SOON + 15)


@pytest.mark.slow
def test_reset_offsets_are_reported_without_new_events(worker, produce, committed, faust):
    produce([(event(n), 0) for n in range(10)])
    first = worker().wait_ready()
    wait_until(lambda: committed() == {0: 10, 1: 0, 2: 0, 3: 0}, SOON)
    assert first.terminate() == 0
    produce([(event(n), 1) for n in range(10)])
    faust("offsets", "reset", "--to", "end", "--yes")
    worker().wait_ready()
    wait_until(lambda: committed() == {0: 10, 1: 10, 2: 0, 3: 0}, SOON)


@pytest.mark.slow
def test_writing_goes_on_while_kafka_refuses_commits(
    worker, produce, apache, migrated_url, committed
):
    running = worker(FLUSH_INTERVAL=0.3).wait_ready()
    produce([(event(n), n % 4) for n in range(20)])
    wait_until(lambda: set(committed().values()) == {5}, SOON)
    # Where the coordinator writes them down nothing fits in.
    configure(apache, "__consumer_offsets", max_message_bytes=10)
    try:
        for turn in range(1, 11):
            produce([(event(n), n % 4) for n in range(turn * 20, turn * 20 + 20)])
            running.wait_stored(migrated_url, turn * 20 + 20, 10)
        assert set(committed().values()) == {5}
        wait_until(running.is_ready, 10)
    finally:
        configure(apache, "__consumer_offsets", max_message_bytes=1_048_588)
    wait_until(lambda: set(committed().values()) == {55}, 30)
    assert running.exit_code is None


@pytest.mark.usefixtures("apache")
@pytest.mark.slow
def test_writing_goes_on_while_the_coordinator_is_away(worker, tmp_path, migrated_url, topic):
    with AbsentCoordinator(tmp_path / "broker") as other:
        other.create_topic(topic)
        # Longer than the coordinator is away: this is not about members that are given up.
        running = worker(KAFKA_URL=other.url, FLUSH_INTERVAL=0.3, SESSION_TIMEOUT=60).wait_ready()
        with other.coordinator_away():
            # A heartbeat, and that it asks for the coordinator once more.
            wait_until(lambda: other.refused > 1, 30)
            for turn in range(10):
                send(other, topic, turn * 20)
                running.wait_stored(migrated_url, turn * 20 + 20, 10)
            assert running.is_ready()
        committed = asking(other, topic)
        wait_until(lambda: set(committed().values()) == {50}, 30)
        assert running.terminate() == 0
        assert ids(migrated_url) == names(range(200))


def send(broker, topic, first):
    """Five events to each partition."""
    numbers = {p: range(first + p * 5, first + p * 5 + 5) for p in range(4)}
    wire.send(broker, topic, {p: wire.batch(map(event, found)) for p, found in numbers.items()})
