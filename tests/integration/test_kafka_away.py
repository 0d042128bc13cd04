"""Kafka that is away is seen soon, costs few lines, and is read again soon after it is back."""

import re

import pytest

from tests.helpers.events import event
from tests.helpers.relayed import TroubledKafka
from tests.helpers.wire import batch, send
from tests.helpers.worker import rows, wait_until

#: Seconds within which it is seen: 15, and a poll.
SEEN = 22
#: Seconds within which the first row is stored.
BACK = 10

pytestmark = [pytest.mark.usefixtures("apache"), pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def kafka(topic, tmp_path):
    with TroubledKafka(tmp_path / "broker") as found:
        found.create_topic(topic)
        yield found


def sent(kafka, topic, numbers):
    send(kafka, topic, {0: batch(map(event, numbers))})


def metric(running, name):
    found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", running.request("/metrics")[1], re.MULTILINE)
    return [float(one) for one in found]


def seen_away(running):
    """Wait until it is seen, and verify what is shown."""
    wait_until(lambda: not running.is_ready(), SEEN, "not ready")
    assert re.match(r"Kafka has not answered for 1\d s: ", running.get("/ready/")["reason"])
    wait_until(lambda: metric(running, "etl_lag_events") == [], 10, "the lag is not known")
    assert metric(running, "etl_kafka_answer_age_seconds")[0] >= 15
    assert {one["lag"] for one in running.get("/batches/")["partitions"]} == {None}
    assert running.request("/health/")[0] == 200
    warning = "[WARNING] Kafka has not answered for"
    wait_until(lambda: warning in running.log_text(), 10)


def library_lines(log):
    """Lines that are not the worker's own, by their text without numbers."""
    found: dict[str, int] = {}
    for line in log.splitlines():
        text = re.sub(r"\d+", "N", line.partition("] [")[2].partition("] [")[2])
        found[text] = found.get(text, 0) + 1
    return found


@pytest.mark.parametrize(
    ("seconds", "take", "give_back"),
    [(30, "kill", "start"), (30, "pause", "resume"), (60, "drop", "pass on")],
)
def test_kafka_away(worker, kafka, topic, migrated_url, seconds, take, give_back):
    running = worker(KAFKA_URL=kafka.url, SESSION_TIMEOUT=10).wait_ready()
    sent(kafka, topic, range(10))
    running.wait_stored(migrated_url, 10)
    wait_until(lambda: metric(running, "etl_lag_events"), 10, "the lag is known")
    before = running.log_text()
    if take == "drop":
        kafka.trouble.dropping = True
    else:
        getattr(kafka, take)()
    seen_away(running)
    wait_until(lambda: metric(running, "etl_kafka_answer_age_seconds")[0] > seconds, seconds)
    if take == "drop":
        kafka.trouble.dropping = False
    else:
        getattr(kafka, give_back)()
    log = running.log_text().removeprefix(before)
    sent(kafka, topic, range(10, 20))
    took = wait_until(lambda: len(rows(migrated_url)) == 20, 60, "the first row")
    print(f"{take}: first row {took:.1f} s after Kafka was back, {log.count(chr(10))} lines")
    assert took < BACK
    assert log.count("\n") < 60, log
    assert max(library_lines(log).values()) <= 2, log
    assert running.log_text().count("[WARNING] Kafka has not answered for") == 1
    wait_until(running.is_ready, 30)
    wait_until(lambda: metric(running, "etl_lag_events"), 10)
    assert "Kafka answers again after" in running.log_text()
    assert running.exit_code is None
