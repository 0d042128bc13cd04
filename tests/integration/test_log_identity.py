"""Another log under the same name is noticed; the same log, with parts removed, is read on."""

import time

import pytest

from dev.audit import engine
from tests.helpers.events import delete_before, event, ids, names, offsets_of
from tests.helpers.transactions import abort, commit, is_on_disk, log_ends, wait_read
from tests.helpers.worker import configure, wait_until


@pytest.fixture
def read_before(worker, produce, migrated_url):
    """Partition 0 has events 0 to 9, a worker has stored them, and none runs."""
    produce([(event(n), 0, b"%d" % (n % 5)) for n in range(10)])
    first = worker().wait_ready()
    first.wait_stored(migrated_url, 10)
    wait_until(lambda: offsets_of(migrated_url)[0] == 10, 10)
    assert first.terminate() == 0


def recreate(broker, topic, produce, numbers):
    """The topic once more, with other events; returns when they are there."""
    broker.delete_topic(topic)

    def created():
        try:
            broker.create_topic(topic)
        except Exception:
            return False
        return True

    wait_until(created, 20, "the topic gone, and made once more")
    produce([(event(n), 0) for n in numbers])


@pytest.mark.usefixtures("read_before")
@pytest.mark.parametrize(
    "count",
    [pytest.param(10, id="as_far_as", marks=pytest.mark.slow), pytest.param(30, id="past")],
)
def test_recreated_log_beyond_the_stored_offset_is_noticed(
    worker, apache, topic, migrated_url, produce, faust, count
):
    new = range(100, 100 + count)
    recreate(apache, topic, produce, new)
    for _ in "first", "again":
        stopped = worker()
        assert stopped.wait(40) == 1, stopped.log_text()[-2000:]
        assert f"{topic}/0" in stopped.log_text()
        assert "faust -A app offsets reset" in stopped.log_text()
        assert "Traceback" not in stopped.log_text()
        assert ids(migrated_url) == names(range(10)), "nothing of it before someone decides"
    faust("offsets", "reset", "--to", "beginning", "--yes")
    worker().wait_ready().wait_stored(migrated_url, 10 + count)
    assert ids(migrated_url) == names(range(10), new)


def goes_on(worker, produce, topic, url, numbers):
    """A worker stores these, loses none and doubles none."""
    before = ids(url)
    produce([(event(n), 0, b"%d" % (n % 5)) for n in numbers])
    running = worker().wait_ready()
    running.wait_stored(url, len(before) + len(numbers))
    assert ids(url) == sorted(before + names(numbers))
    assert "etl_lost_to_retention_events_total 0.0" in running.request("/metrics")[1]
    return running


@pytest.mark.usefixtures("read_before")
def test_an_unchanged_log_goes_on(worker, topic, migrated_url, produce):
    goes_on(worker, produce, topic, migrated_url, range(10, 20)).terminate()
    goes_on(worker, produce, topic, migrated_url, range(20, 30))


@pytest.mark.usefixtures("read_before")
def test_a_log_whose_last_event_retention_removed_goes_on(
    worker, apache, topic, migrated_url, produce
):
    delete_before(apache, topic, 0, 10)
    goes_on(worker, produce, topic, migrated_url, range(10, 20))


@pytest.mark.usefixtures("read_before")
def test_a_log_whose_last_event_compaction_removed_goes_on(
    worker, apache, topic, migrated_url, produce
):
    configure(
        apache, topic, cleanup_policy="compact", segment_ms=100, min_cleanable_dirty_ratio=0.001
    )
    for start in (10, 20):
        time.sleep(0.15)  # older than a segment may get
        produce([(event(n), 0, b"%d" % (n % 5)) for n in range(start, start + 10)])
    wait_until(lambda: not is_on_disk(apache, topic, 9), 40, "event 9 compacted")
    running = goes_on(worker, produce, topic, migrated_url, range(0))
    running.wait_stored(migrated_url, 15)
    wait_until(lambda: offsets_of(migrated_url)[0] == 30, 10)
    assert set(names(range(25, 30))) <= set(ids(migrated_url))
    running.terminate()
    goes_on(worker, produce, topic, migrated_url, range(30, 40))


@pytest.mark.usefixtures("read_before")
def test_offsets_stored_before_the_log_was_identified_go_on(worker, topic, migrated_url, produce):
    with engine(migrated_url).begin() as connection:
        connection.exec_driver_sql("UPDATE stream_offsets SET last_offset = NULL")
    goes_on(worker, produce, topic, migrated_url, range(10, 20))


@pytest.mark.usefixtures("read_before")
@pytest.mark.parametrize(
    "end",
    [commit, abort],
    ids=lambda end: end.__name__,
)
@pytest.mark.slow
def test_a_log_that_ends_in_markers_goes_on(
    worker, apache, topic, migrated_url, produce, transactional, end
):
    end(transactional(), topic, range(10, 20))
    first = worker().wait_ready()
    wait_read(first, apache, topic, migrated_url)
    assert first.terminate() == 0
    assert log_ends(apache, topic)[0] == 21
    goes_on(worker, produce, topic, migrated_url, range(20, 30))
