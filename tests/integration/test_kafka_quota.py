"""Kafka answers slower than a client asks, by a quota: the worker is slower and nothing else."""

import socket
import struct
import time

import pytest

from dev.audit import count_stored
from tests.helpers.traffic import Traffic, audit
from tests.helpers.worker import wait_until

#: Bytes a second that a client may read.
QUOTA = 200_000

pytestmark = [pytest.mark.usefixtures("apache"), pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def quota(apache):
    """Sets the quota of all clients; None for none."""

    def change(rate):
        # AlterClientQuotas, of the default of all clients; no Python client has it.
        entity = struct.pack(">i", 1) + text("client-id") + struct.pack(">h", -1)
        value = struct.pack(">d?", rate or 0, rate is None)
        change = struct.pack(">i", 1) + text("consumer_byte_rate") + value
        body = struct.pack(">i", 1) + entity + change + b"\0"
        request = struct.pack(">hhi", 49, 0, 1) + text("tests") + body
        host, _, port = apache.bootstrap.partition(":")
        with socket.create_connection((host, int(port)), 20) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = connection.recv(4096)
        # Behind length, number, throttling and the number of entities.
        assert struct.unpack_from(">h", answer, 16) == (0,), answer

    yield change
    change(None)


def text(word):
    return struct.pack(">h", len(word)) + word.encode()


def test_a_throttled_worker_is_ready_and_calm(worker, apache, topic, migrated_url, quota):
    quota(QUOTA)
    running = worker(SESSION_TIMEOUT=10).wait_ready()
    flow = Traffic(apache, topic, rate=20_000, count=50_000, compression="none")
    flow.finish()
    begun = time.monotonic()
    while time.monotonic() - begun < 30:
        assert running.is_ready(), running.get("/ready/")
        time.sleep(0.5)
    stored = count_stored(migrated_url)
    print(f"{stored} stored in 30 s")
    assert 1000 < stored < 40_000, "it is throttled, and does not stand still"
    assert "[WARNING]" not in running.log_text()
    assert "[ERROR]" not in running.log_text()
    quota(None)
    wait_until(lambda: count_stored(migrated_url) == 50_000, 60, "the rest is stored")
    audit(migrated_url, flow.sent)
    assert running.exit_code is None
