"""A broken producer must not drain the topic into dead letters."""

import signal
import time

from tests.integration.test_pipeline import event
from tests.support import dead_letters, rows, stored_offsets, wait_until

SETTINGS = {"BREAKER_WINDOW": 100, "FLUSH_INTERVAL": 0.3}


def test_it_opens_says_why_holds_and_closes_when_told(worker, produce, migrated_url):
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
    time.sleep(2)
    held = len(dead_letters(migrated_url))
    assert held < 2000, "not the whole topic"
    time.sleep(2)
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


def test_it_closes_by_itself_after_a_pause(worker, produce, migrated_url):
    running = worker(**SETTINGS, BREAKER_PAUSE=0.5).wait_ready()
    for n in range(5):
        produce([(b"<broken %d>" % (n * 100 + m), 0) for m in range(100)])
    wait_until(lambda: len(dead_letters(migrated_url)) == 500, 30)
    wait_until(running.is_ready, 10)


def test_it_can_be_turned_off(worker, produce, migrated_url):
    running = worker(**SETTINGS, BREAKER_SHARE=0).wait_ready()
    produce([(b"<broken>", 0)] * 500)
    wait_until(lambda: len(dead_letters(migrated_url)) == 500, 20)
    assert running.is_ready()


def test_a_rebalance_while_it_is_open_loses_nothing(worker, produce, migrated_url):
    first = worker(**SETTINGS).wait_ready()
    for n in range(10):
        produce([b"<broken %d>" % (n * 100 + m) for m in range(100)])
    wait_until(lambda: not first.is_ready(), 20)
    worker(**SETTINGS, BREAKER_SHARE=0).wait_ready()
    first.kill()
    wait_until(lambda: len(dead_letters(migrated_url)) == 1000, 40)
