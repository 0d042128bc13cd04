"""What other clients and bad disks leave in a topic: odd headers, old formats, broken batches."""

import re

import pytest

from tests.helpers import wire
from tests.helpers.events import event, ids, names, offsets_of
from tests.helpers.worker import configure

#: Much less than a bomb expands to, and more than any other batch here.
LIMIT = 1024 * 1024
BOMB = b'{"event_id": "' + b"x" * (32 * LIMIT) + b'"}'


def events(first, count=10, **fields):
    return [event(n, **fields) for n in range(first, first + count)]


def test_header_keys_and_values_may_be_any_bytes(worker, broker, topic, migrated_url):
    odd: list[wire.Header] = [
        (b"\xff\xfe\xc3\x28", b"\x80"),
        (b"", None),
        (b"trace", "Zürich".encode("latin1")),
    ]
    usual: list[wire.Header] = [(b"content-type", b"application/json")]
    kinds: list[list[wire.Header]] = [usual, odd, [], odd, usual]
    for turn, headers in enumerate(kinds):
        made = {
            partition: wire.batch(events(turn * 40 + partition * 10), headers=headers)
            for partition in range(4)
        }
        wire.send(broker, topic, made)
    worker().wait_ready().wait_stored(migrated_url, 200)
    assert ids(migrated_url) == names(range(200))


@pytest.fixture
def overwrite(apache, topic):
    """Changes the batch of partition 0 at offset 10 on the broker's disk; the topic goes later."""
    yield lambda change: wire.overwrite(apache, topic, 0, 10, change)
    # A broker that is killed would look at all it has.
    apache.delete_topic(topic)


# --- batches that cannot be read


def broken_value(batch):
    batch[-20] ^= 1
    return batch


def magic_9(batch):
    batch[wire.MAGIC_AT] = 9
    return batch


def codec_7(batch):
    return wire.with_codec(batch, 7)


def garbage_with_a_right_crc(batch):
    batch[wire.RECORDS_AT :] = b"\xff" * (len(batch) - wire.RECORDS_AT)
    return wire.with_crc(batch)


def not_the_gzip_it_says(batch):
    return wire.with_codec(batch, 1)


def cut_short(batch):
    """A record says that it is longer than what there is."""
    batch[wire.RECORDS_AT : wire.RECORDS_AT + 2] = b"\xfe\x7f"
    return wire.with_crc(batch)


# Where a batch is broken is told in unit tests; here one of each kind goes through a worker.
BROKEN = [
    broken_value,
    *(
        pytest.param(change, marks=pytest.mark.slow)
        for change in (magic_9, garbage_with_a_right_crc, codec_7, not_the_gzip_it_says, cut_short)
    ),
]


@pytest.fixture
def stops_at(worker, broker, topic, migrated_url, faust):
    """Checks that a worker stops before the batch of partition 0 from offset 10 to 19.

    Before and behind it are batches of ten events, and so are in other partitions.
    """

    def check():
        commands = []
        for _ in "first", "again":
            stopped = worker(DECOMPRESSED_MAX_BYTES=LIMIT)
            assert stopped.wait(60) == 1, stopped.log_text()[-2000:]
            log = stopped.log_text()
            assert "Traceback" not in log
            # It is logged, and the last line.
            logged, sentence = [line for line in log.splitlines() if "offsets reset" in line]
            assert logged.endswith(sentence)
            assert f"{topic}/0" in sentence
            assert re.search(r"\b10\b", sentence), sentence
            commands += re.findall(r"faust -A app (offsets reset --partition 0 --to \d+)", sentence)
            assert offsets_of(migrated_url)[0] == 10
            # Of the other partitions as much as was read until then.
            assert set(names(range(10))) <= set(ids(migrated_url))
            assert set(ids(migrated_url)) <= set(names(range(10), range(30, 60)))
        assert len(commands) == 2
        assert commands[0] == commands[1]
        faust(*commands[0].split(), "--yes")
        running = worker(DECOMPRESSED_MAX_BYTES=LIMIT).wait_ready()
        running.wait_stored(migrated_url, 50)
        assert ids(migrated_url) == names(range(10), range(20, 60))

    return check


@pytest.mark.parametrize("change", BROKEN, ids=lambda change: change.__name__)
def test_broken_batch_stops_the_worker_and_its_command_skips_it(
    apache, topic, overwrite, stops_at, change
):
    wire.send(apache, topic, {0: wire.batch(events(0)), 1: wire.batch(events(30))})
    wire.send(apache, topic, {0: wire.batch(events(10)), 2: wire.batch(events(40), "gzip")})
    wire.send(apache, topic, {0: wire.batch(events(20)), 3: wire.batch(events(50))})
    overwrite(change)
    stops_at()


@pytest.mark.parametrize(
    "codec",
    ["zstd", "gzip", "snappy", "lz4"],
)
@pytest.mark.slow
def test_batch_that_expands_too_far_counts_as_broken(apache, topic, stops_at, codec):
    bomb = wire.batch([BOMB, *events(11, 9)], codec)
    wire.send(apache, topic, {0: wire.batch(events(0)), 1: wire.batch(events(30))})
    configure(apache, topic, max_message_bytes=4 * LIMIT)
    wire.send(apache, topic, {0: bomb, 2: wire.batch(events(40), "gzip")})
    wire.send(apache, topic, {0: wire.batch(events(20)), 3: wire.batch(events(50))})
    stops_at()


@pytest.mark.slow
def test_a_broken_batch_at_the_logs_end_is_gone_past_as_well(
    worker, apache, topic, overwrite, migrated_url, faust
):
    wire.send(apache, topic, {0: wire.batch(events(0))})
    wire.send(apache, topic, {0: wire.batch(events(10))})
    overwrite(broken_value)
    stopped = worker()
    assert stopped.wait(60) == 1, stopped.log_text()[-2000:]
    assert ids(migrated_url) == names(range(10))
    found = re.search(r"faust -A app (offsets reset --partition 0 --to 20)", stopped.log_text())
    assert found
    faust(*found[1].split(), "--yes")
    running = worker().wait_ready()
    wire.send(apache, topic, {0: wire.batch(events(20))})
    running.wait_stored(migrated_url, 20)
    assert ids(migrated_url) == names(range(10), range(20, 30))


def test_broken_batch_stops_a_running_worker(worker, apache, topic, overwrite, migrated_url):
    running = worker().wait_ready()
    wire.send(apache, topic, {0: wire.batch(events(0))})
    running.wait_stored(migrated_url, 10)
    running.pause()
    wire.outlast_waiting_fetches(apache, topic, 10)
    wire.send(apache, topic, {0: wire.batch(events(10))})
    overwrite(broken_value)
    wire.send(apache, topic, {0: wire.batch(events(20))})
    running.resume()
    assert running.wait(60) == 1, running.log_text()[-2000:]
    assert "offsets reset --partition 0 --to 20" in running.log_text()
    assert "Traceback" not in running.log_text()
    assert ids(migrated_url) == names(range(10))


# --- formats before batches, which a broker still has on disk


@pytest.mark.parametrize(
    ("magic", "codec"),
    [
        (0, "none"),
        (0, "snappy_xerial"),
        (1, "lz4"),
        *(
            pytest.param(magic, codec, marks=pytest.mark.slow)
            for magic, codec in ((0, "gzip"), (1, "none"), (1, "gzip"), (1, "snappy_xerial"))
        ),
    ],
)
def test_events_in_the_old_formats_are_stored(
    worker, apache, topic, overwrite, migrated_url, magic, codec
):
    wire.send(apache, topic, {0: wire.batch(events(0))})
    wire.send(apache, topic, {0: wire.batch(events(10, unknown="x" * 500))})
    wire.send(apache, topic, {0: wire.batch(events(20))})

    def old(batch):
        """Nine messages in a set of this codec, and one that fills the rest with white space."""
        made = wire.message_set(events(10, 9), magic, first=10, codec=codec)
        left = len(batch) - len(made) - len(wire.message_set([b""], magic))
        return made + wire.message_set([event(19).ljust(left)], magic, first=19)

    overwrite(old)
    worker().wait_ready().wait_stored(migrated_url, 30)
    assert ids(migrated_url) == names(range(30))
