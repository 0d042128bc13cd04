"""`offsets reset` is a way out: also where dead letters are, on another log, and to a time."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from sqlalchemy import text

from tests.helpers.accounts import dba
from tests.helpers.events import event, ids, offsets_of, stored
from tests.helpers.listings import records
from tests.helpers.worker import dead_letters, wait_until


def bad(number):
    return b"bad %d" % number


def mixed(numbers):
    """Every other event is a dead letter."""
    return [(event(n) if n % 2 else bad(n), 0) for n in numbers]


def positions(url):
    return [letter["kafka_offset"] for letter in dead_letters(url)]


@pytest.mark.parametrize(
    ("to", "begins"), [("beginning", 0), pytest.param("5", 5, marks=pytest.mark.slow)]
)
def test_events_read_again_are_no_second_letters(
    worker, produce, migrated_url, faust, topic, to, begins
):
    running = worker(FLUSH_INTERVAL=0.3).wait_ready()
    produce(mixed(range(10)))
    wait_until(lambda: stored(migrated_url) == 10, 20)
    before = dead_letters(migrated_url)
    said = faust("offsets", "reset", "--to", to, "--partition", 0, "--yes", "--force")
    assert f"{topic}/0: 10 → {begins}" in said
    produce(mixed(range(10, 20)))
    assert running.wait(30) == 1, "its offsets were changed"

    running = worker().wait_ready()
    wait_until(lambda: offsets_of(migrated_url)[0] == 20, 20)
    assert dead_letters(migrated_url)[:5] == before
    assert positions(migrated_url) == list(range(0, 20, 2))
    twice = [n for n in range(begins, 10) if n % 2]
    assert ids(migrated_url) == sorted(f"e{n}" for n in [*range(1, 20, 2), *twice])
    assert running.terminate() == 0


@pytest.mark.slow
def test_to_the_end_leaves_out_letters_and_rows_alike(worker, produce, migrated_url, faust, topic):
    running = worker().wait_ready()
    produce(mixed(range(10)))
    wait_until(lambda: stored(migrated_url) == 10, 20)
    running.terminate()
    produce(mixed(range(10, 20)))
    assert f"{topic}/0: 10 → 20" in faust(
        "offsets", "reset", "--to", "end", "--partition", 0, "--yes"
    )
    produce(mixed(range(20, 30)))
    worker().wait_ready()
    wait_until(lambda: offsets_of(migrated_url)[0] == 30, 20)
    read = [*range(10), *range(20, 30)]
    assert positions(migrated_url) == [n for n in read if n % 2 == 0]
    assert ids(migrated_url) == sorted(f"e{n}" for n in read if n % 2)


@pytest.mark.slow
def test_letters_of_a_topic_made_again_are_letters_of_their_own(
    worker,
    produce,
    migrated_url,
    faust,
    topic,
    apache,
):
    produce(mixed(range(10)))
    running = worker().wait_ready()
    wait_until(lambda: stored(migrated_url) == 10, 20)
    running.terminate()
    made_again(apache, topic)
    # Kafka's timestamp alone tells the third from the value that stood there before.
    produce([(b"other 0", 0), (event(11), 0), (bad(2), 0), (None, 0), (b"other 4", 0)])
    assert worker().wait(30) == 1
    faust("offsets", "reset", "--to", "beginning", "--partition", 0, "--yes")
    produce([(b"other 5", 0)])
    running = worker().wait_ready()
    wait_until(lambda: offsets_of(migrated_url)[0] == 6, 20)
    found = [(letter["kafka_offset"], letter["value"]) for letter in dead_letters(migrated_url)]
    assert found == [
        *((n, bad(n)) for n in range(0, 10, 2)),
        *((0, b"other 0"), (2, bad(2)), (3, None), (4, b"other 4"), (5, b"other 5")),
    ]
    assert ids(migrated_url) == sorted(f"e{n}" for n in (1, 3, 5, 7, 9, 11))
    assert running.terminate() == 0


def made_again(broker, topic):
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    broker.delete_topic(topic)
    wait_until(lambda: topic not in admin.list_topics(timeout=10).topics, 20)
    broker.create_topic(topic)


# --- it says what it would do, and asks


@pytest.mark.slow
def test_reset_asks_and_changes_nothing_without_an_answer(worker, produce, migrated_url, faust):
    produce([(event(n), 0) for n in range(10)])
    running = worker().wait_ready()
    running.wait_stored(migrated_url, 10)
    wait_until(lambda: offsets_of(migrated_url)[0] == 10, 10)
    assert running.terminate() == 0
    produce([(event(n), 0) for n in range(10, 14)])

    back = "offsets", "reset", "--to", "3", "--partition", 0
    asked = faust(*back, status=1)
    assert "7 events are read again (their rows are stored twice, as DEDUPLICATE is fa" in asked
    assert "Nothing was changed: run this on a terminal, or add --yes." in asked
    assert "DEDUPLICATE skips those" in faust(*back, status=1, DEDUPLICATE="true")
    assert "7 events are read again" in faust(*back, "--dry-run")
    forward = "offsets", "reset", "--to", "end"
    assert "4 events are skipped, never read by this group; counted" in faust(*forward, status=1)
    assert "Missing option '--to'" in faust("offsets", "reset", status=2)
    assert offsets_of(migrated_url)[0] == 10

    done = faust(*forward, "--yes")
    assert "4 events are skipped" in done, "what it did, as a dry run says it"
    assert "Stored." in done
    assert offsets_of(migrated_url)[0] == 14
    assert "Nothing to change" in faust(*forward)


@pytest.mark.slow
def test_on_a_topic_made_again_all_that_it_holds_is_unread(
    worker, produce, migrated_url, faust, faust_out, apache, topic
):
    produce([(event(n), n % 2) for n in range(20)])
    running = worker().wait_ready()
    running.wait_stored(migrated_url, 20)
    wait_until(lambda: offsets_of(migrated_url) == {0: 10, 1: 10, 2: 0, 3: 0}, 10)
    assert running.terminate() == 0
    made_again(apache, topic)
    # Shorter than the old log in one partition, longer in the other.
    produce([(event(n), 0) for n in range(100, 104)] + [(event(n), 1) for n in range(200, 230)])

    def shown(*options):
        lines = records(faust_out("offsets", "show", *options, "--json"))
        return {one["partition"]: (one["to_read"], one["remark"]) for one in lines}

    found = shown()
    assert found[0][0] == 4
    assert "beyond the log's end" in found[0][1]
    assert found[1][0] == 30
    assert "another log" in found[1][1]
    assert shown("--partition", 1) == {1: found[1]}
    assert "no partition 9" in faust("offsets", "show", "--partition", 9, status=2)

    stopped = worker()
    assert stopped.wait(30) == 1
    assert "`faust -A app offsets reset --to beginning` loses nothing" in stopped.log_text()
    reset = "offsets", "reset", "--to", "beginning"
    assert "No event is read again or skipped." in faust(*reset, status=1)
    assert "34 events are skipped" in faust("offsets", "reset", "--to", "end", status=1)
    faust(*reset, "--yes")
    worker().wait_ready().wait_stored(migrated_url, 54)
    new = [*range(20), *range(100, 104), *range(200, 230)]
    assert ids(migrated_url) == sorted(f"e{n}" for n in new)


def test_offsets_stay_while_workers_are_in_the_group(
    worker, produce, migrated_url, migrated_engine, faust, broker, topic
):
    if not broker.answers_all:
        pytest.skip(f"the {broker.kind} broker does not tell who is in a group")
    produce([(event(n), 0) for n in range(10)])
    running = [worker().wait_ready() for _ in range(2)]
    wait_until(lambda: len(offsets_of(migrated_url)) == 4, 20)
    wait_until(lambda: stored(migrated_url) == 10, 20)
    before = offsets_of(migrated_url)
    reset = "offsets", "reset", "--to", "beginning"
    for option, status in ("--yes", 1), ("--partition=0", 1), ("--dry-run", 0):
        said = faust(*reset, option, status=status)
        assert "10 events are read again (their rows are stored twice" in said
        assert "2 workers are in the group (at 127.0.0.1 with partition " in said
        assert "they exit with status 1 within 10 s" in said
        assert "Stop the workers (a killed one leaves after SESSION_TIMEOUT), or" in said
        assert "Nothing was changed" in said
    with dba(migrated_engine).begin() as connection:
        connection.execute(text("DELETE FROM flash_sale_events WHERE event_id > 'e4'"))
    adopted = faust("offsets", "adopt", "--from-table", "--yes", status=1)
    assert f"{topic}/0: 10 → 5" in adopted
    assert "2 workers are in the group" in adopted
    assert offsets_of(migrated_url) == before
    assert [one.exit_code for one in running] == [None, None]

    said = faust(*reset, "--yes", "--force")
    assert "10 events are read again" in said
    assert "2 workers are in the group" in said
    # The other one takes over what the first to end has read.
    wait_until(lambda: 1 in [one.exit_code for one in running], 30)


# --- to a time


#: Within the topic's retention, and not in the future, which a broker refuses.
BASE = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


@pytest.fixture
def timed(apache, topic):
    """Five events a minute apart in partition 0, one ten minutes after ``BASE`` in partition 1."""
    producer = Producer({"bootstrap.servers": apache.bootstrap, "log_level": 0})
    for minutes, partition in [*((n, 0) for n in range(5)), (10, 1)]:
        at = int((BASE + timedelta(minutes=minutes)).timestamp() * 1000)
        producer.produce(topic, event(minutes), partition=partition, timestamp=at)
    assert producer.flush(30) == 0


@pytest.mark.slow
def test_reading_goes_on_at_a_time(timed, faust, worker, migrated_url, topic):
    def reset(moment, *options):
        said = faust("offsets", "reset", "--to", moment, "--yes", *options)
        return [line.rpartition("→ ")[2] for line in said.splitlines() if "→" in line]

    utc = "%Y-%m-%dT%H:%M:%S"
    none = "(no event since then)"
    between = BASE + timedelta(seconds=90)
    expected = ["2", "0", f"0 {none}", f"0 {none}"]
    assert reset(f"{between:{utc}}Z", "--dry-run") == expected
    assert reset(f"{between:{utc}}", "--dry-run") == expected
    elsewhere = between.astimezone(timezone(timedelta(hours=1)))
    assert reset(f"{elsewhere:{utc}}+01:00", "--dry-run") == expected
    assert reset(f"{between:%H:%M:%S}", "--dry-run") == expected, "the last time it was that late"
    assert reset("2h", "--dry-run") == ["0", "0", f"0 {none}", f"0 {none}"]
    assert offsets_of(migrated_url) == {}

    assert reset(f"{BASE + timedelta(minutes=3):{utc}}Z")[:2] == ["3", "0"], "at or after"
    later = f"{BASE + timedelta(minutes=3):{utc}}.0001Z"
    assert reset(later, "--partition", 0) == ["4"]
    after_all = f"{BASE + timedelta(minutes=30):{utc}}Z"
    assert reset(after_all, "--partition", 1) == [f"1 {none}"]
    assert reset("0001-01-01", "--partition", 2) == [f"0 {none}"]
    assert offsets_of(migrated_url) == {0: 4, 1: 1, 2: 0, 3: 0}
    worker().wait_ready()
    wait_until(lambda: ids(migrated_url) == ["e4"], 20)


@pytest.mark.parametrize(
    "wrong",
    ["2026-11-31T10:00:00Z"]
    + [
        pytest.param(one, marks=pytest.mark.slow) for one in ("10:61", "2026-11-27T25:00", "-1", "")
    ],
)
def test_invalid_time_is_one_sentence(faust, wrong):
    [sentence] = faust("offsets", "reset", f"--to={wrong}", status=2).splitlines()
    assert "--to must be beginning, end or an offset from 0 to 0, or a time: 2h (ago)" in sentence
