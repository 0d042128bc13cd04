"""Compressed topics, as most producers write them."""

import re

import pytest
from confluent_kafka import Producer

from tests.helpers import wire
from tests.helpers.events import event, ids, names

NAMES = ("gzip", "snappy", "lz4", "zstd")


def send_compressed(broker, topic, codec, numbers):
    """As librdkafka compresses; it leaves alone what would not get smaller."""
    producer = Producer(
        {"bootstrap.servers": broker.bootstrap, "compression.type": codec, "linger.ms": 50}
    )
    for number in numbers:
        producer.produce(topic, event(number), partition=number % 4)
    assert not producer.flush(20)


@pytest.mark.parametrize("codec", NAMES)
def test_every_event_of_a_compressed_topic_is_stored_once(
    worker, broker, topic, migrated_url, codec
):
    send_compressed(broker, topic, codec, range(400))
    worker().wait_ready().wait_stored(migrated_url, 400)
    assert ids(migrated_url) == names(range(400))


def test_a_topic_may_mix_all_codecs_and_none(worker, broker, topic, migrated_url):
    for turn, codec in enumerate(("none", *NAMES, "none", *reversed(NAMES))):
        send_compressed(broker, topic, codec, range(turn * 40, turn * 40 + 40))
    worker().wait_ready().wait_stored(migrated_url, 400)
    assert ids(migrated_url) == names(range(400))


@pytest.mark.parametrize("codec", ["snappy", "snappy_xerial"])
def test_snappy_is_read_with_and_without_the_java_clients_frame(
    worker, broker, topic, migrated_url, codec
):
    # More than one block of 32 KB.
    wire.send(broker, topic, {1: wire.batch(map(event, range(1000)), codec)})
    worker().wait_ready().wait_stored(migrated_url, 1000)
    assert ids(migrated_url) == names(range(1000))


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
@pytest.mark.slow
def test_a_batch_may_be_compressed_in_several_frames(worker, broker, topic, migrated_url, codec):
    _, compress = wire.CODECS[codec]
    values = map(event, range(100))
    wire.send(broker, topic, {2: wire.batch(values, codec, compress=wire.in_frames(compress))})
    worker().wait_ready().wait_stored(migrated_url, 100)
    assert ids(migrated_url) == names(range(100))


def test_check_names_the_codecs_that_can_be_read(faust, produce):
    produce([event(0)])
    row = re.search(r"^ok +Codecs +(.*)$", faust("check"), re.MULTILINE)
    assert row
    assert all(codec in row[1] for codec in NAMES)
