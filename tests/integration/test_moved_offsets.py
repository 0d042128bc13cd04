"""Stored offsets that move forward under a running worker: followed, and nothing stored twice."""

import threading

import pytest
from sqlalchemy import make_url, update
from sqlalchemy.event import listen

from agents.flash_sales import FLASH_SALES
from db.connection.engine import connect
from db.schema.tables import stream_offsets
from db.write.writer import Writer
from pipeline.chunk import Chunk
from pipeline.partition import Partition
from tests.helpers.databases import each_server
from tests.helpers.events import event, ids
from tests.helpers.sink import NOW, record
from tests.helpers.worker import wait_until


@pytest.fixture
def buffering(worker):
    """A worker that has begun and writes only when it ends, or when much is waiting."""
    return worker(FLUSH_INTERVAL=3600).wait_ready().wait_first_flush()


def committed(running):
    return {
        one["partition"]: one["committed_offset"] for one in running.get("/batches/")["partitions"]
    }


def has_read(running, number):
    return running.get("/batches/")["buffered"] == number


class LateCommit:
    """A write whose COMMIT is held back until ``release``."""

    def __init__(self, url, topic, numbers):
        self._gate, self.is_waiting = threading.Event(), threading.Event()
        self._engine = connect(make_url(url).set(drivername="mysql+pymysql"))
        listen(self._engine, "commit", self._hold)
        records = [record(n, event(n)) for n in numbers]
        chunk = Chunk.transform(FLASH_SALES, Partition(topic, 0), 0, len(records), records)
        writer = Writer(self._engine, f"group-{topic}", FLASH_SALES, "killed")
        self._thread = threading.Thread(target=writer.write, args=(1, NOW, [chunk]))
        self._thread.start()

    def _hold(self, _connection):
        self.is_waiting.set()
        self._gate.wait(60)

    def release(self):
        self._gate.set()
        self._thread.join(30)
        self._engine.dispose()


@each_server
def test_a_late_commit_of_a_killed_worker_is_followed(buffering, produce, migrated_url, topic):
    produce([(event(n), 0) for n in range(20)])
    late = LateCommit(migrated_url, topic, range(20))
    assert late.is_waiting.wait(20)
    wait_until(lambda: has_read(buffering, 20), 20)
    assert committed(buffering)[0] == 0
    late.release()
    wait_until(lambda: committed(buffering)[0] == 20, 12, "it follows")
    produce([(event(n), 0) for n in range(20, 30)])
    wait_until(lambda: has_read(buffering, 30), 20)
    assert buffering.terminate() == 0
    assert ids(migrated_url) == sorted(f"e{n}" for n in range(30))


def test_write_after_a_late_commit_adds_only_new_rows(worker, produce, migrated_url, topic):
    running = worker(FLUSH_INTERVAL=0.3).wait_ready().wait_first_flush()
    late = LateCommit(migrated_url, topic, range(20))
    assert late.is_waiting.wait(20)
    produce([*((event(n), 0) for n in range(30)), *((event(n), 1) for n in range(30, 35))])
    wait_until(lambda: running.get("/batches/")["buffered"] == 35, 20)
    late.release()
    running.wait_stored(migrated_url, 35)
    wait_until(lambda: committed(running) == {0: 30, 1: 5, 2: 0, 3: 0}, 12)
    assert ids(migrated_url) == sorted(f"e{n}" for n in range(35))
    assert running.terminate() == 0


def test_a_reset_forward_is_followed_and_leaves_events_out(buffering, produce, migrated_url, faust):
    produce([(event(n), 0) for n in range(10)])
    wait_until(lambda: has_read(buffering, 10), 20)
    said = faust("offsets", "reset", "--to", "6", "--partition", 0, "--yes", "--force")
    assert "A running worker notices within 10 s" in said
    wait_until(lambda: committed(buffering)[0] == 6, 12, "it follows")
    assert buffering.terminate() == 0
    assert ids(migrated_url) == [f"e{n}" for n in range(6, 10)]


@pytest.mark.slow
def test_an_offset_beyond_the_logs_end_ends_the_worker(buffering, produce, migrated_engine, topic):
    produce([(event(n), 0) for n in range(10)])
    with migrated_engine.begin() as connection:
        of_first = stream_offsets.c.kafka_partition == 0
        connection.execute(update(stream_offsets).where(of_first).values(next_offset=1000))
    assert buffering.wait(40) == 1
    sentence = f"The stored offset of {topic}/0 is 1000, but the log ends at 10: the topic was"
    assert sentence in buffering.log_text()
