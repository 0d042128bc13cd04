"""However large the events and however slow the database: memory is bounded, nothing is lost."""

import random
import time
from base64 import b64encode
from contextlib import suppress
from hashlib import sha256

import pytest
from confluent_kafka import Producer
from sqlalchemy import text

from dev.audit import count_stored, engine
from dev.servers.database import private_server
from tests.helpers import wire
from tests.helpers.accounts import OWNER, WORKER, dba, grant, make_accounts
from tests.helpers.databases import each_server_slow
from tests.helpers.events import event, ids, names
from tests.helpers.worker import configure, dead_letters, rows, wait_until

#: MB a worker with the default settings may ever have; one at rest has half of it.
LIMIT = 200
#: Settings for a test of seconds, and the MB that go with them.
SMALL = {"BUFFER_MAX_BYTES": 8 * 1024 * 1024}
SMALL_LIMIT = 150


def filler(length, repeats=5):
    """Text that compresses to a fifth, as JSON does."""
    piece = b64encode(random.Random(1).randbytes(length // repeats)).decode()
    return (piece * repeats)[:length]


@pytest.fixture
def send(apache, topic):
    """Sends values to all partitions in large batches that lz4 compresses, as busy topics have."""
    configure(apache, topic, max_message_bytes=16 << 20)

    def send(values):
        producer = Producer(
            {
                "bootstrap.servers": apache.bootstrap,
                "compression.type": "lz4",
                "linger.ms": 50,
                "message.max.bytes": 16 << 20,
                "enable.idempotence": True,
                "log_level": 0,
            }
        )
        for number, value in enumerate(values):
            while True:
                try:
                    producer.produce(topic, value, partition=number % 4)
                    break
                except BufferError:
                    producer.poll(0.1)
        assert not producer.flush(60)

    return send


@pytest.fixture
def database_away(server):
    """Freezes the database for a while."""

    def away(seconds):
        server.pause()
        time.sleep(seconds)
        server.resume()

    yield away
    server.resume()


def malformed(count, length):
    padding = filler(length)
    return (f"{n} {padding}".encode() for n in range(count))


def padded(count, length):
    """Valid events with a long field the schema does not know."""
    padding = filler(length)
    return (event(n, unknown=padding) for n in range(count))


def long_ids(count, length, repeats=5):
    """Events that are valid but for the length of one string."""
    padding = filler(length, repeats)
    return (event(n, user_id=padding) for n in range(count))


slow = pytest.mark.slow
WHOLE = pytest.param({}, LIMIT, 1, marks=slow, id="whole")
SMALLER = pytest.param(SMALL, SMALL_LIMIT, 8, id="smaller")


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("settings", "limit", "share"), [SMALLER, WHOLE])
def test_large_malformed_values(worker, send, migrated_url, settings, limit, share):
    count = 10_000 // share
    send(malformed(count, 100_000))
    running = worker(BREAKER_SHARE=0, **settings)
    running.wait_stored(migrated_url, count, 300)
    assert running.peak_memory() < limit
    assert count_stored(migrated_url) == count
    assert not rows(migrated_url)


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("settings", "limit", "count", "away"),
    [
        pytest.param(SMALL, SMALL_LIMIT, 5_000, 8, id="smaller"),
        pytest.param({}, LIMIT, 40_000, 20, marks=slow, id="whole"),
    ],
)
def test_large_events_while_the_database_is_away(
    worker, send, migrated_url, database_away, settings, limit, count, away
):
    send(padded(count, 20_000))
    running = worker(**settings).wait_ready()
    database_away(away)
    running.wait_stored(migrated_url, count, 200)
    assert running.peak_memory() < limit
    assert ids(migrated_url) == names(range(count))


@pytest.mark.timeout(200)
@pytest.mark.parametrize(("kind", "stored"), [(padded, 3), (long_ids, 0), (malformed, 0)])
@pytest.mark.slow
def test_three_values_of_four_megabytes(worker, send, migrated_url, kind, stored):
    send(kind(3, 4_000_000))
    running = worker(BREAKER_SHARE=0).wait_ready()
    running.wait_stored(migrated_url, 3, 60)
    assert running.peak_memory() < LIMIT
    assert len(rows(migrated_url)) == stored
    assert all(len(letter["value"]) >= 4_000_000 for letter in dead_letters(migrated_url))


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "count", [pytest.param(100, id="smaller"), pytest.param(500, marks=slow, id="whole")]
)
def test_many_values_of_a_megabyte(worker, send, migrated_url, count):
    valid, letters = padded(count // 2, 1_000_000), malformed(count // 2, 1_000_000)
    send(value for pair in zip(valid, letters, strict=True) for value in pair)
    running = worker(BREAKER_SHARE=0)
    running.wait_stored(migrated_url, count, 200)
    assert running.peak_memory() < LIMIT
    assert len(rows(migrated_url)) == count // 2


@pytest.mark.timeout(200)
@pytest.mark.slow
def test_batches_that_expand_a_hundredfold(worker, send, migrated_url):
    count = 2_000
    send(event(n, unknown="x" * 100_000) for n in range(count))
    running = worker()
    running.wait_stored(migrated_url, count, 120)
    assert running.peak_memory() < LIMIT
    assert ids(migrated_url) == names(range(count))


@pytest.mark.parametrize("codec", [pytest.param("gzip", marks=slow), "zstd"])
def test_decompression_stops_at_the_limit(worker, apache, topic, codec):
    wire.send(apache, topic, {0: wire.batch([bytes(128 << 20)], codec)})
    running = worker()
    seen = [0.0]

    def has_ended():
        if running.exit_code is None:
            # Nothing is told of a process that has just ended.
            with suppress(OSError, IndexError):
                seen.append(running.peak_memory())
        return running.exit_code is not None

    wait_until(has_ended, 40, "its end")
    assert running.exit_code == 1
    assert max(seen) < LIMIT


def metric(running, name):
    return float(running.request("/metrics")[1].partition(f"\n{name} ")[2].split()[0])


def test_what_is_in_memory_is_reported(worker, send, migrated_url, server):
    running = worker(BREAKER_SHARE=0).wait_ready()
    server.pause()
    try:
        send([event(n) for n in range(200)] + list(malformed(20, 10_000)))
        wait_until(lambda: running.get("/batches/")["in_memory"]["events"] == 220, 20)
        # Dead letters as they came, and rows.
        assert running.get("/batches/")["in_memory"]["bytes"] > 20 * 10_000 + 200 * 20
        assert metric(running, "etl_buffered_events") == 220
        # What was just read becomes smaller when it is transformed.
        wait_until(
            lambda: (
                metric(running, "etl_buffered_bytes")
                == running.get("/batches/")["in_memory"]["bytes"]
            ),
            10,
        )
    finally:
        server.resume()
    running.wait_stored(migrated_url, 220)
    empty = {"events": 0, "bytes": 0}
    wait_until(lambda: running.get("/batches/")["in_memory"] == empty, 10)
    assert metric(running, "etl_buffered_bytes") == 0


@pytest.mark.slow
def test_too_large_dead_letter_is_stored_cut(worker, send, migrate_cli, tmp_path):
    with private_server(tmp_path / "small", options=("--max-allowed-packet=1M",)) as small:
        assert small.execute("SELECT @@max_allowed_packet") == [(1024 * 1024,)]
        small.create_database("small")
        make_accounts(small)
        assert migrate_cli(grant(small, OWNER, "small")).returncode == 0
        url = grant(small, WORKER, "small")
        (large,) = malformed(1, 3_000_000)
        (usual,) = malformed(1, 100_000)
        send([event(0), large, usual, event(3), event(4), event(5)])
        running = worker(DATABASE_URL=url, BREAKER_SHARE=0).wait_ready()
        running.wait_stored(url, 6)
        assert ids(url) == names([0, 3, 4, 5])
        letters = {letter["kafka_partition"]: letter for letter in dead_letters(url)}
        assert letters[2]["value"] == usual
        cut = letters[1]["value"]
        assert 1000 < len(cut) < len(large)
        assert large.startswith(cut)
        assert letters[1]["value_bytes"] == len(large)
        assert letters[1]["value_sha256"] == sha256(large).digest()
        running.kill()


@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    ("settings", "limit", "count"),
    [
        pytest.param(SMALL, SMALL_LIMIT, 2_000, id="smaller"),
        pytest.param({}, LIMIT, 20_000, marks=slow, id="whole"),
    ],
)
@each_server_slow
def test_refused_rows_whose_events_are_large(worker, send, migrated_url, settings, limit, count):
    """Rows are small, but what was sent is read again for the dead letters."""
    with dba(engine(migrated_url)).begin() as connection:
        connection.execute(
            text("ALTER TABLE flash_sale_events ADD CONSTRAINT none CHECK (price < 0)")
        )
    padding = filler(20_000)
    send(event(n, unknown=padding) for n in range(count))
    running = worker(BREAKER_SHARE=0, **settings)
    running.wait_stored(migrated_url, count, 150)
    assert running.peak_memory() < limit
    assert not rows(migrated_url)
    assert all(letter["value_bytes"] > 20_000 for letter in dead_letters(migrated_url))
