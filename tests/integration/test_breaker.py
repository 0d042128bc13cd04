"""A broken producer must not drain the topic into dead letters."""

import signal
import time
from itertools import pairwise

import pytest
from sqlalchemy import text

from dev.audit import count_stored, engine
from tests.helpers.accounts import dba
from tests.helpers.databases import each_server_slow
from tests.helpers.events import event
from tests.helpers.worker import dead_letters, rows, stored_offsets, wait_until

WINDOW = 100
SETTINGS = {"BREAKER_WINDOW": WINDOW, "FLUSH_INTERVAL": 0.3}


def test_it_opens_with_a_reason_holds_the_partition_and_closes_on_request(
    worker, produce, migrated_url
):
    running = worker(**SETTINGS).wait_ready()
    produce([(event(n), 0) for n in range(50)])
    wait_until(lambda: len(rows(migrated_url)) == 50, 20)
    for n in range(20):
        # In pieces, so that they come in several fetches.
        produce([(b"<broken %d>" % (n * 100 + m), 0) for m in range(100)])
    wait_until(lambda: not running.is_ready(), 20)
    reason = running.get("/ready/")["reason"]
    assert reason.startswith("the circuit breaker is open:")
    assert "malformed" in reason
    assert "/0/" in reason, "the position of one"
    assert running.request("/health/")[0] == 200
    wait_until(lambda: running.get("/batches/")["buffered"] == 0, 20, "what was read is written")
    held = len(dead_letters(migrated_url))
    assert held < 100, "not even a whole window"
    time.sleep(2)  # several intervals
    assert len(dead_letters(migrated_url)) == held, "nothing is read on"
    assert running.log_text().count("[CRITICAL]") == 1

    produce([(event(n), 1) for n in range(50, 100)])
    deadline = time.monotonic() + 30
    while len(dead_letters(migrated_url)) < 2000 or len(rows(migrated_url)) < 100:
        assert time.monotonic() < deadline
        running.signal(signal.SIGHUP)
        time.sleep(0.2)
    assert sum(stored_offsets(migrated_url).values()) == 2100
    assert len(dead_letters(migrated_url)) == 2000


@pytest.mark.slow
def test_it_closes_by_itself_after_a_pause(worker, produce, migrated_url):
    running = worker(**SETTINGS, BREAKER_PAUSE=0.5).wait_ready()
    for n in range(5):
        produce([(b"<broken %d>" % (n * 100 + m), 0) for m in range(100)])
    wait_until(lambda: len(dead_letters(migrated_url)) == 500, 30)
    wait_until(running.is_ready, 10)


@pytest.mark.slow
def test_breaker_can_be_disabled(worker, produce, migrated_url):
    running = worker(**SETTINGS, BREAKER_SHARE=0).wait_ready()
    produce([(b"<broken>", 0)] * 500)
    wait_until(lambda: len(dead_letters(migrated_url)) == 500, 20)
    assert running.is_ready()


@pytest.mark.slow
def test_a_rebalance_while_it_is_open_loses_nothing(worker, produce, migrated_url):
    first = worker(**SETTINGS).wait_ready()
    for n in range(10):
        produce([b"<broken %d>" % (n * 100 + m) for m in range(100)])
    wait_until(lambda: not first.is_ready(), 20)
    worker(**SETTINGS, BREAKER_SHARE=0).wait_ready()
    first.kill()
    wait_until(lambda: len(dead_letters(migrated_url)) == 1000, 40)


def garbage(count, partition=0, start=0):
    return [(b"<broken %d>" % n, partition) for n in range(start, start + count)]


def letter_offsets(url, partition=0):
    return [
        letter["kafka_offset"]
        for letter in dead_letters(url)
        if letter["kafka_partition"] == partition
    ]


def breaker_rows(url):
    with engine(url).connect() as connection:
        found = connection.execute(
            text("SELECT kafka_partition FROM circuit_breakers WHERE opened_at IS NOT NULL")
        )
        return list(found.scalars())


def test_garbage_in_one_partition_holds_that_one_and_a_command_lets_it_go_on(
    worker, produce, migrated_url, faust, topic
):
    assert "No circuit breaker is open." in faust("breaker", "show")
    assert "No circuit breaker is open." in faust("breaker", "close")
    running = worker(**SETTINGS).wait_ready()
    produce(garbage(300))
    wait_until(lambda: running.get("/batches/")["breakers"], 20)
    produce([(event(n), 0) for n in range(50)])
    produce([(event(n), 1 + n % 3) for n in range(50, 350)])
    wait_until(lambda: len(rows(migrated_url)) == 300, 20, "the others flow")
    assert {row["event_id"] for row in rows(migrated_url)} == {f"e{n}" for n in range(50, 350)}
    (held,) = running.get("/batches/")["breakers"]
    assert (held["topic"], held["partition"]) == (topic, 0)
    assert running.get("/ready/")["reason"].startswith(
        f"the circuit breaker is open: {topic}/0 is held, "
    )
    assert "etl_breaker_open_partitions 1.0" in running.request("/metrics")[1]
    assert "etl_breaker_open_partitions 1.0" in running.request("/metrics")[1]
    wait_until(lambda: breaker_rows(migrated_url) == [0], 10)
    shown = faust("breaker", "show")
    assert f"{topic}/0" in shown
    assert "malformed" in shown

    assert f"{topic}/3 is not paused." in faust("breaker", "close", "--partition", 3)
    assert running.get("/batches/")["breakers"]
    said = faust("breaker", "close", "--partition", 0)
    assert f"{topic}/0: close requested" in said

    def is_stored():
        # Garbage that came in a fetch of its own may open it once more.
        if breaker_rows(migrated_url):
            faust("breaker", "close")
        return count_stored(migrated_url) == 650

    wait_until(is_stored, 40)
    wait_until(running.is_ready, 10)
    wait_until(lambda: not breaker_rows(migrated_url), 10)
    assert letter_offsets(migrated_url) == list(range(300)), "once each, in order"
    last = [row["event_id"] for row in rows(migrated_url)][300:]
    assert last == [f"e{n}" for n in range(50)]
    assert "No circuit breaker is open." in faust("breaker", "show")


def test_a_small_memory_is_left_to_the_partitions_that_flow(worker, produce, migrated_url):
    small = {"FLUSH_MAX_EVENTS": 100, "BUFFER_MAX_EVENTS": 200}
    running = worker(**SETTINGS, **small).wait_ready()
    for partition in (0, 1, 2):
        produce(garbage(1000, partition))
    wait_until(lambda: len(running.get("/batches/")["breakers"]) == 3, 30)
    produce([(event(n), 3) for n in range(1000)])
    wait_until(lambda: len(rows(migrated_url)) == 1000, 30)
    empty = {"events": 0, "bytes": 0}
    wait_until(lambda: running.get("/batches/")["in_memory"] == empty, 10)


@pytest.mark.slow
@each_server_slow
def test_a_constraint_that_refuses_nearly_all_rows_opens_it(worker, produce, migrated_url, faust):
    with dba(engine(migrated_url)).begin() as connection:
        connection.execute(
            text("ALTER TABLE flash_sale_events ADD CONSTRAINT no_free CHECK (price > 0)")
        )
    running = worker(**SETTINGS).wait_ready()
    produce([(event(n, price=0.0), 0) for n in range(150)])
    produce([(event(n), 1) for n in range(150, 200)])
    wait_until(lambda: running.get("/batches/")["breakers"], 30)
    (held,) = running.get("/batches/")["breakers"]
    assert held["partition"] == 0
    assert "rows were rejected" in held["reason"]
    assert "no_free" in held["reason"]
    running.wait_stored(migrated_url, 200)
    assert len(rows(migrated_url)) == 50
    assert len(dead_letters(migrated_url)) == 150
    produce([(event(n, price=0.0), 0) for n in range(200, 300)])
    produce([(event(n), 2) for n in range(300, 350)])
    wait_until(lambda: len(rows(migrated_url)) == 100, 20)
    assert len(dead_letters(migrated_url)) == 150, "held"

    with dba(engine(migrated_url)).begin() as connection:
        connection.execute(text("ALTER TABLE flash_sale_events DROP CONSTRAINT no_free"))
    wait_until(lambda: breaker_rows(migrated_url) == [0], 10)
    faust("breaker", "close")
    running.wait_stored(migrated_url, 350)
    assert len(dead_letters(migrated_url)) == 150


@pytest.mark.parametrize(
    ("settings", "cost"),
    [
        # None where a fetch fills the window, as Apache Kafka's do here.
        pytest.param({}, range(WINDOW), id="large fetches"),
        pytest.param(
            {"FLUSH_MAX_EVENTS": 30, "BUFFER_MAX_EVENTS": 60},
            range(1, WINDOW),
            id="small fetches",
        ),
    ],
)
@pytest.mark.slow
def test_a_restart_opens_it_again_within_a_window(worker, produce, migrated_url, settings, cost):
    """``cost``: how many more dead letters there may be after each start."""
    for start in range(0, 1000, 40):
        produce(garbage(40, start=start))
    stored = []
    for _ in range(3):
        running = worker(**SETTINGS, **settings)
        wait_until(lambda: breaker_rows(migrated_url) == [0], 30)
        assert running.terminate() == 0, "what it read before is written"
        assert not breaker_rows(migrated_url), "nobody holds it now"
        stored.append(len(dead_letters(migrated_url)))
    running = worker(**SETTINGS, **settings)
    assert all(after - before in cost for before, after in pairwise([0, *stored])), stored
    assert letter_offsets(migrated_url) == list(range(stored[-1]))
    wait_until(lambda: breaker_rows(migrated_url) == [0], 30)
    running.kill()
    assert breaker_rows(migrated_url) == [0], "a worker that was killed leaves its entry"
    running = worker(**SETTINGS, **settings, BREAKER_SHARE=0).wait_ready()
    running.wait_stored(migrated_url, 1000)
    wait_until(lambda: not breaker_rows(migrated_url), 10, "until another gets the partition")
    assert letter_offsets(migrated_url) == list(range(1000))
