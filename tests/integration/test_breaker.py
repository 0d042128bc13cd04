"""A broken producer must not drain the topic into dead letters."""

import signal
import time
from datetime import datetime
from functools import partial

import pytest
from sqlalchemy import text

from dev.audit import count_stored, engine
from tests.helpers.accounts import dba
from tests.helpers.databases import each_server, each_server_slow
from tests.helpers.events import event
from tests.helpers.worker import dead_letters, rows, stored_offsets, wait_until
from tests.integration.test_quiet import MOST, count
from tests.integration.test_quiet import WINDOW as QUIET_WINDOW

WINDOW = 100
SETTINGS = {"BREAKER_WINDOW": WINDOW, "FLUSH_INTERVAL": 0.3}


def test_opens_with_a_reason_until_a_person_closes_it(worker, produce, migrated_url):
    running = worker(**SETTINGS, BREAKER_PAUSE=0).wait_ready()
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
    assert "it waits for a person; `faust -A app breaker close --partition 0`" in reason
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


def test_good_events_behind_a_flood_flow_without_a_person(worker, produce, migrated_url):
    running = worker(**SETTINGS, BREAKER_PAUSE=1).wait_ready()
    produce(garbage(5 * WINDOW))
    wait_until(lambda: not running.is_ready(), 20)
    assert "next attempt at" in running.get("/ready/")["reason"]
    produce(garbage(5 * WINDOW, start=5 * WINDOW))
    produce([(event(n), 0) for n in range(200)])
    begun = time.monotonic()
    wait_until(lambda: len(rows(migrated_url)) == 200, 30, "good events flow")
    assert time.monotonic() - begun < 15
    assert letter_offsets(migrated_url) == list(range(10 * WINDOW)), "once each, in order"
    wait_until(running.is_ready, 10)
    wait_until(lambda: not breaker_rows(migrated_url), 10)


def test_while_all_is_bad_one_window_passes_each_pause(worker, produce, migrated_url):
    running = worker(**SETTINGS, BREAKER_PAUSE=1).wait_ready()
    produce(garbage(20 * WINDOW))
    wait_until(lambda: not running.is_ready(), 20)
    first = len(dead_letters(migrated_url))
    assert first < WINDOW
    counts = set()
    begun = time.monotonic()
    while time.monotonic() - begun < 8.5:
        counts.add(len(dead_letters(migrated_url)))
        time.sleep(0.1)
    # Attempts after 1, 3 and 7 seconds.
    assert counts <= {first + n * WINDOW for n in range(4)}, counts
    assert len(counts) >= 3
    assert running.log_text().count("[CRITICAL]") == 1


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("spread", [1, 4], ids=["one partition", "all partitions"])
def test_with_the_defaults_a_flood_of_a_minute_is_over_within_two(
    worker, produce, migrated_url, spread
):
    worker().wait_ready()
    sent = 0
    begun = time.monotonic()
    while sent < 10_000:
        produce([(b"<broken %d>" % n, n % spread) for n in range(sent, sent + 500)])
        sent += 500
        time.sleep(max(0.0, begun + 60 * sent / 10_000 - time.monotonic()))
    assert 0 < len(dead_letters(migrated_url)) < 10_000, "it is bounded meanwhile"
    ended = time.monotonic()
    while len(rows(migrated_url)) < 400:
        produce([(event(n), n % spread) for n in range(100)])
        time.sleep(1)
        assert time.monotonic() - ended < 120, "good events flow"
    wait_until(lambda: len(dead_letters(migrated_url)) >= 10_000, 120)
    assert len(dead_letters(migrated_url)) == 10_000
    print(f"good events flowed {time.monotonic() - ended:.0f} s after the flood")


@pytest.mark.slow
@each_server
def test_an_open_breaker_sends_few_statements(worker, produce, server, migrated_url):
    running = worker(
        BREAKER_WINDOW=WINDOW, FLUSH_INTERVAL=5, SESSION_TIMEOUT=30, BREAKER_PAUSE=300
    ).wait_ready()
    produce(garbage(2 * WINDOW))
    wait_until(lambda: breaker_rows(migrated_url) == [0], 20)
    wait_until(lambda: running.get("/batches/")["buffered"] == 0, 20)
    time.sleep(8)
    assert count(server) <= MOST * QUIET_WINDOW / 3600
    assert not running.is_ready()


@pytest.mark.slow
@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_the_pause_outlasts_a_restart(worker, produce, migrated_url, end):
    running = worker(**SETTINGS, BREAKER_PAUSE=300).wait_ready()
    produce(garbage(5 * WINDOW))
    wait_until(lambda: breaker_rows(migrated_url) == [0], 20)
    due = next_attempt(migrated_url)
    wait_until(lambda: running.get("/batches/")["buffered"] == 0, 20)
    stored = len(dead_letters(migrated_url))
    getattr(running, end)()
    second = worker(**SETTINGS, BREAKER_PAUSE=300)
    wait_until(lambda: "circuit breaker is open" in second.log_text(), 30)
    wait_until(lambda: second.get("/batches/")["breakers"], 20)
    [held] = second.get("/batches/")["breakers"]
    shown = datetime.fromisoformat(held["next_attempt"]).replace(tzinfo=None)
    assert abs((shown - due).total_seconds()) < 3
    assert next_attempt(migrated_url) == due
    assert len(dead_letters(migrated_url)) == stored, "a restart costs no dead letter"


@pytest.mark.slow
def test_a_pause_doubles_across_a_takeover(worker, produce, migrated_url):
    first = worker(**SETTINGS, BREAKER_PAUSE=3).wait_ready()
    produce(garbage(20 * WINDOW))
    wait_until(lambda: breaker_rows(migrated_url) == [0], 20)
    before = next_attempt(migrated_url)
    wait_until(lambda: next_attempt(migrated_url) != before, 20, "the first attempt failed")
    second = next_attempt(migrated_url)
    assert 5 < (second - before).total_seconds() < 11, "6 s, and what fetch and write take"
    first.kill()
    worker(**SETTINGS, BREAKER_PAUSE=3)
    wait_until(lambda: next_attempt(migrated_url) != second, 40)
    assert 11 < (next_attempt(migrated_url) - second).total_seconds() < 40


@pytest.mark.slow
def test_a_database_away_while_half_open_loses_nothing(worker, produce, migrated_url, server):
    running = worker(**SETTINGS, BREAKER_PAUSE=2).wait_ready()
    produce(garbage(5 * WINDOW))
    wait_until(lambda: breaker_rows(migrated_url) == [0], 20)
    server.kill()
    try:
        produce([(event(n), 0) for n in range(200)])
        wait_until(lambda: "half open" in running.log_text(), 20)
        time.sleep(5)
        assert running.log_text().count("half open") == 1, "it waits for the write"
    finally:
        server.start()
    wait_until(lambda: len(rows(migrated_url)) == 200, 60)
    assert letter_offsets(migrated_url) == list(range(5 * WINDOW))


@pytest.mark.slow
def test_a_person_pauses_a_partition_until_a_person_resumes_it(
    worker, produce, migrated_url, faust, topic
):
    running = worker(**SETTINGS, BREAKER_PAUSE=1).wait_ready()
    assert "name the partitions to pause" in faust("breaker", "open", status=2)
    assert f"{topic}/2: pause requested" in faust("breaker", "open", "--partition", 2)
    assert "is paused already" in faust("breaker", "open", "--partition", 2)
    wait_until(lambda: running.get("/batches/")["breakers"], 15)
    produce([(event(n), 2) for n in range(50)])
    time.sleep(3)
    assert not rows(migrated_url)
    assert "it waits for a person" in running.get("/ready/")["reason"]
    assert "it waits for a person" in " ".join(faust("status").split())
    assert "close requested" in faust("breaker", "close", "--partition", 2)
    wait_until(lambda: len(rows(migrated_url)) == 50, 20)
    wait_until(lambda: not breaker_rows(migrated_url), 20)


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


def holds(running):
    try:
        return bool(running.get("/batches/")["breakers"])
    except OSError:
        # Its pages are not up yet.
        return False


def next_attempt(url):
    with engine(url).connect() as connection:
        return connection.scalar(
            text("SELECT next_attempt_at FROM circuit_breakers WHERE opened_at IS NOT NULL")
        )


def test_garbage_pauses_one_partition_until_a_command_resumes_it(
    worker, produce, migrated_url, faust, topic
):
    assert "No circuit breaker is open." in faust("breaker", "show")
    assert "No circuit breaker is open." in faust("breaker", "close")
    running = worker(**SETTINGS, BREAKER_PAUSE=600).wait_ready()
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
    wait_until(lambda: breaker_rows(migrated_url) == [0], 10)
    shown = faust("breaker", "show")
    assert f"{topic}/0" in shown
    assert "malformed" in shown

    assert f"{topic}/3 is not paused." in faust("breaker", "close", "--partition", 3)
    assert running.get("/batches/")["breakers"]
    said = faust("breaker", "close", "--partition", 0)
    assert f"{topic}/0: close requested" in said

    wait_until(lambda: count_stored(migrated_url) == 650, 20, "one request is enough")
    wait_until(running.is_ready, 10)
    wait_until(lambda: not breaker_rows(migrated_url), 10)
    assert letter_offsets(migrated_url) == list(range(300)), "once each, in order"
    last = [row["event_id"] for row in rows(migrated_url)][300:]
    assert last == [f"e{n}" for n in range(50)]
    assert "No circuit breaker is open." in faust("breaker", "show")


def test_a_small_memory_is_left_to_the_partitions_that_flow(worker, produce, migrated_url):
    small = {"FLUSH_MAX_EVENTS": 100, "BUFFER_MAX_EVENTS": 200}
    running = worker(**SETTINGS, **small, BREAKER_PAUSE=600).wait_ready()
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
    running = worker(**SETTINGS, BREAKER_PAUSE=600).wait_ready()
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


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="large fetches"),
        pytest.param({"FLUSH_MAX_EVENTS": 30, "BUFFER_MAX_EVENTS": 60}, id="small fetches"),
    ],
)
def test_restarts_cost_no_dead_letters(worker, produce, migrated_url, settings):
    for start in range(0, 1000, 40):
        produce(garbage(40, start=start))
    stored = []
    for number in range(3):
        running = worker(**SETTINGS, **settings, BREAKER_PAUSE=600)
        wait_until(lambda: breaker_rows(migrated_url) == [0], 30)
        wait_until(partial(holds, running), 30)
        if number < 2:
            assert running.terminate() == 0, "what it read before is written"
        else:
            running.kill()
        assert breaker_rows(migrated_url) == [0], "the next worker goes by it"
        stored.append(len(dead_letters(migrated_url)))
    assert stored[0] < WINDOW
    assert len(set(stored)) == 1, stored
    running = worker(**SETTINGS, **settings, BREAKER_SHARE=0).wait_ready()
    running.wait_stored(migrated_url, 1000)
    wait_until(lambda: not breaker_rows(migrated_url), 10, "until another gets the partition")
    assert letter_offsets(migrated_url) == list(range(1000))
