"""What Kafka's own Java client writes: its compression, its headers, its transactions."""

import shutil
import subprocess

import pytest

from dev.servers.apache_kafka import JARS
from tests.helpers.events import ids
from tests.helpers.worker import stored_offsets, wait_until

PRODUCER = "tests/clients/JavaProducer.java"
EVENTS = 600
CODECS = 5


def test_java_clients_events_are_stored_once_in_any_codec(worker, apache, topic, migrated_url):
    if not shutil.which("javac"):
        pytest.skip("there is no Java compiler")
    sent = subprocess.run(
        ["java", "-cp", f"{JARS}/*", PRODUCER, apache.bootstrap, topic, str(EVENTS)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert sent.returncode == 0, sent.stderr
    running = worker().wait_ready()
    running.wait_stored(migrated_url, EVENTS * (CODECS + 1))
    wait_until(lambda: all(p["lag"] == 0 for p in running.get("/batches/")["partitions"]), 20)
    assert ids(migrated_url) == sorted(f"e{n}" for n in range(EVENTS * (CODECS + 1)))
    # An aborted transaction and two markers lie behind the last event of each partition.
    each = EVENTS // 4 * (CODECS + 2) + 2
    assert list(stored_offsets(migrated_url).values()) == [each] * 4
