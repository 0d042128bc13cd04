"""Topics that transactional producers write to, and offsets without events."""

import time

import pytest

from dev.audit import engine
from tests.helpers.events import delete_before, event, ids, names, offsets_of
from tests.helpers.transactions import abort, commit, is_on_disk, send, wait_read
from tests.helpers.worker import configure, rows, wait_until


def ledger(url):
    """Batches, and events in them."""
    with engine(url).connect() as connection:
        return connection.exec_driver_sql("SELECT COUNT(*), SUM(events) FROM batches").one()


@pytest.fixture
def log_of_transactions(transactional, topic, produce):
    """A log of committed, aborted and plain events; partition 1 has nothing but aborted ones."""
    one, other = transactional(), transactional()
    produce([(event(n), 0) for n in range(10)])
    commit(one, topic, range(10, 20))
    abort(one, topic, range(20, 30))
    abort(one, topic, range(100, 110), 1)
    # Two transactions at once, their events in turn.
    one.begin_transaction()
    other.begin_transaction()
    for number in range(30, 50, 2):
        send(one, topic, [number])
        send(other, topic, [number + 1])
    other.abort_transaction(20)
    one.commit_transaction(20)
    abort(other, topic, range(50, 60))


COMMITTED = names(range(20), range(30, 50, 2))
ALL = names(range(60), range(100, 110))


@pytest.mark.parametrize(
    ("settings", "stored"),
    [
        ({}, COMMITTED),
        ({"ISOLATION_LEVEL": "read_uncommitted"}, ALL),
    ],
    ids=["by_default", "read_uncommitted"],
)
@pytest.mark.usefixtures("log_of_transactions")
def test_aborted_events_are_stored_only_where_that_is_asked_for(
    worker, apache, topic, migrated_url, settings, stored
):
    running = worker(**settings).wait_ready()
    running.wait_stored(migrated_url, len(stored))
    wait_read(running, apache, topic, migrated_url)
    assert ids(migrated_url) == stored


@pytest.mark.usefixtures("log_of_transactions")
@pytest.mark.slow
def test_offsets_without_events_are_not_counted_again(worker, apache, topic, migrated_url):
    first = worker().wait_ready()
    wait_read(first, apache, topic, migrated_url)
    counted = ledger(migrated_url)
    assert counted[1] == len(COMMITTED)
    second = worker().wait_ready()
    wait_until(lambda: len(first.get("/batches/")["partitions"]) == 2, 30, "partitions shared")
    wait_until(lambda: len(second.get("/batches/")["partitions"]) == 2, 30, "partitions shared")
    assert second.terminate() == 0
    wait_read(first, apache, topic, migrated_url)
    assert first.terminate() == 0
    third = worker().wait_ready()
    wait_read(third, apache, topic, migrated_url)
    assert ledger(migrated_url) == counted
    assert ids(migrated_url) == COMMITTED


@pytest.mark.usefixtures("log_of_transactions")
@pytest.mark.slow
def test_reading_may_begin_within_an_aborted_transaction(
    worker, apache, topic, migrated_url, faust
):
    # Events 20 to 29 have offsets 21 to 30: ten plain ones, ten and their marker before them.
    faust("offsets", "reset", "--to", "25", "--partition", "0", "--yes")
    faust("offsets", "reset", "--to", "4", "--partition", "1", "--yes")
    running = worker().wait_ready()
    running.wait_stored(migrated_url, 10)
    wait_read(running, apache, topic, migrated_url)
    assert ids(migrated_url) == names(range(30, 50, 2))


@pytest.mark.slow
def test_aborted_transaction_larger_than_a_fetch_is_skipped(
    worker, transactional, apache, topic, migrated_url, produce
):
    producer = transactional()
    abort(producer, topic, range(400), unknown="x" * 10_000)
    produce([(event(n), 0) for n in range(400, 410)])
    abort(producer, topic, range(410, 810), unknown="x" * 10_000)
    running = worker().wait_ready()
    running.wait_stored(migrated_url, 10)
    wait_read(running, apache, topic, migrated_url)
    assert ids(migrated_url) == names(range(400, 410))


def test_markers_are_read_as_they_come(worker, transactional, apache, topic, migrated_url):
    running = worker().wait_ready()
    producer = transactional()
    commit(producer, topic, range(10))
    wait_read(running, apache, topic, migrated_url)
    abort(producer, topic, range(10, 20))
    wait_read(running, apache, topic, migrated_url)
    commit(producer, topic, range(20, 30), 1)
    wait_read(running, apache, topic, migrated_url)
    assert ids(migrated_url) == names(range(10), range(20, 30))


# --- offsets that are removed


def not_lost(running):
    assert "removed" not in running.log_text()
    assert "etl_lost_to_retention_events_total 0.0" in running.request("/metrics")[1]


@pytest.mark.slow
def test_retention_of_offsets_without_events_loses_nothing(
    worker, transactional, apache, topic, migrated_url, produce
):
    producer = transactional()
    produce([(event(n), 0) for n in range(10)])
    first = worker().wait_ready()
    first.wait_stored(migrated_url, 10)
    abort(producer, topic, range(10, 20))
    wait_read(first, apache, topic, migrated_url)
    first.terminate()
    delete_before(apache, topic, 0, 21)
    produce([(event(n), 0) for n in range(20, 30)])
    running = worker().wait_ready()
    running.wait_stored(migrated_url, 20)
    wait_read(running, apache, topic, migrated_url)
    assert ids(migrated_url) == names(range(10), range(20, 30))
    not_lost(running)


@pytest.mark.slow
def test_a_compacted_log_is_read_to_its_end(
    worker, transactional, apache, topic, migrated_url, produce
):
    configure(
        apache,
        topic,
        cleanup_policy="compact",
        segment_ms=100,
        min_cleanable_dirty_ratio=0.001,
        delete_retention_ms=0,
    )
    producer = transactional()
    # Five keys: of the first hundred events five are left, and of those none that is replaced.
    for start in range(0, 100, 20):
        commit(producer, topic, range(start, start + 20))
        time.sleep(0.15)  # the next begins a segment
    abort(producer, topic, range(100, 120))
    time.sleep(0.15)  # here too
    abort(producer, topic, range(120, 140))

    wait_until(lambda: not is_on_disk(apache, topic, 94), 40, "compacted")
    running = worker().wait_ready()
    running.wait_stored(migrated_url, 5)
    wait_read(running, apache, topic, migrated_url)
    assert ids(migrated_url) == names(range(95, 100))
    not_lost(running)


# --- transactions that do not end


def partition_0(running):
    return next(p for p in running.get("/batches/")["partitions"] if p["partition"] == 0)


def metric(running, topic):
    _, text = running.request("/metrics")
    name = f'etl_open_transaction_events{{partition="0",topic="{topic}"}} '
    return float(text.partition(name)[2].split()[0])


def remark(faust):
    lines = faust("offsets", "show").splitlines()
    return next(line for line in lines if line.strip(" |│").startswith("0"))


@pytest.mark.parametrize("end", ["commit", "abort"])
@pytest.mark.slow
def test_open_transaction_stops_reading_and_is_named(
    worker, transactional, topic, migrated_url, produce, faust, apache, end
):
    produce([(event(n), 0) for n in range(3)])
    producer = transactional()
    producer.begin_transaction()
    send(producer, topic, range(3, 8))
    produce([(event(n), 0) for n in range(8, 18)])
    produce([(event(n), 1) for n in range(18, 28)])

    running = worker(FLUSH_INTERVAL=0.3).wait_ready()
    running.wait_stored(migrated_url, 13)
    wait_until(
        lambda: partition_0(running)["open_transaction"] == {"offset": 3, "events": 15},
        20,
        "the open transaction",
    )
    assert ids(migrated_url) == names(range(3), range(18, 28)), "nothing behind its start"
    assert offsets_of(migrated_url)[0] == 3
    assert metric(running, topic) == 15
    assert "open transaction" in remark(faust)
    assert running.is_ready()

    if end == "commit":
        producer.commit_transaction(20)
        expected = names(range(28))
    else:
        producer.abort_transaction(20)
        expected = names(range(3), range(8, 28))
    running.wait_stored(migrated_url, len(expected))
    wait_read(running, apache, topic, migrated_url)
    assert ids(migrated_url) == expected
    assert partition_0(running)["open_transaction"] is None
    assert metric(running, topic) == 0
    assert "open transaction" not in remark(faust)


def test_read_uncommitted_waits_for_no_transaction(
    worker, transactional, topic, migrated_url, produce
):
    producer = transactional()
    producer.begin_transaction()
    send(producer, topic, range(5))
    produce([(event(n), 0) for n in range(5, 10)])
    running = worker(ISOLATION_LEVEL="read_uncommitted").wait_ready()
    running.wait_stored(migrated_url, 10)
    assert partition_0(running)["open_transaction"] is None
    producer.abort_transaction(20)
    wait_until(lambda: partition_0(running)["lag"] == 0, 20, "no lag")
    assert len(rows(migrated_url)) == 10


def test_a_sample_is_of_what_a_worker_would_read(transactional, topic, produce, faust):
    produce([(event(n), 0) for n in range(3)])
    aborted = transactional()
    aborted.begin_transaction()
    send(aborted, topic, range(3, 8))
    aborted.abort_transaction(20)
    still_open = transactional()
    still_open.begin_transaction()
    send(still_open, topic, range(8, 10))
    assert "3 events read" in faust("check", "--sample", 100)
    said = faust("check", "--sample", 100, ISOLATION_LEVEL="read_uncommitted")
    assert "10 events read" in said
    still_open.abort_transaction(20)
