"""`offsets adopt` goes on where a Structured Streaming job stopped, or changes nothing."""

import json
import re

import pytest

from db.schema.sales_tables import flash_sale_events
from dev import ROOT
from tests.helpers.events import delete_before, event, ids, names, offsets_of
from tests.helpers.worker import wait_until
from tests.unit.test_spark_checkpoint import commit, of, offsets


@pytest.fixture
def checkpoint(tmp_path, topic):
    """Of a job that stopped behind 5 events of partition 0 and 4 of partition 1."""
    path = tmp_path / "checkpoint"
    offsets(path, 7, of(5, 4, topic=topic))
    commit(path, 7)
    return path


def adopt(path, *options):
    return "offsets", "adopt", "--spark-checkpoint", path, *options


def test_worker_continues_where_the_job_stopped(
    checkpoint, produce, faust, worker, migrated_url, topic
):
    produce([(event(n), n % 2) for n in range(20)])
    said = faust(*adopt(checkpoint, "--dry-run"))
    assert f"{topic}/0: none → 5" in said
    assert "batch 7 is the last one committed" in said
    assert "planned" not in said
    assert offsets_of(migrated_url) == {}
    said = faust(*adopt(checkpoint))
    assert f"{topic}/2: none → 0 (not in the checkpoint" in said
    assert offsets_of(migrated_url) == {0: 5, 1: 4, 2: 0, 3: 0}
    worker(STARTING_OFFSETS="latest").wait_ready().wait_stored(migrated_url, 11)
    assert ids(migrated_url) == names([n for n in range(20) if n // 2 >= (5, 4)[n % 2]])


@pytest.mark.slow
def test_a_group_that_has_offsets_is_asked_about(checkpoint, produce, faust, migrated_url):
    produce([(event(n), n % 2) for n in range(20)])
    faust("offsets", "reset", "--to", "end", "--yes")
    asked = faust(*adopt(checkpoint), status=1)
    assert "11 events are read again" in asked
    assert "Nothing was changed: run this on a terminal, or add --yes." in asked
    assert offsets_of(migrated_url)[0] == 10
    faust(*adopt(checkpoint, "--yes"))
    assert offsets_of(migrated_url) == {0: 5, 1: 4, 2: 0, 3: 0}
    assert "Nothing to change" in faust(*adopt(checkpoint))


@pytest.mark.slow
def test_a_planned_batch_is_explained(checkpoint, produce, faust, topic):
    produce([(event(n), n % 2) for n in range(20)])
    offsets(checkpoint, 8, of(9, 4, 0, topic=topic))
    said = faust(*adopt(checkpoint, "--dry-run"))
    assert "Batch 8 was planned but not committed: all, some or none" in said
    assert f"({topic}/0 from 5 to 8, " not in said, "partition 2 was begun and has no event"
    assert f"({topic}/0 from 5 to 8)" in said
    assert "set DEDUPLICATE=true and run `faust -A app migrate`" in said
    assert "already stored are skipped" in faust(
        *adopt(checkpoint, "--dry-run"), DEDUPLICATE="true"
    )


@pytest.mark.parametrize(
    "damage",
    [
        "missing",
        "elsewhere",
        *(pytest.param(one, marks=pytest.mark.slow) for one in ("damaged", "foreign", "beyond")),
    ],
)
def test_failed_adoption_is_one_sentence_and_changes_nothing(
    checkpoint, produce, faust, migrated_url, topic, damage
):
    produce([(event(n), n % 2) for n in range(20)])
    newest = checkpoint / "offsets" / "7"
    match damage:
        case "missing":
            newest.unlink()
        case "damaged":
            newest.write_bytes(newest.read_bytes()[:-9])
        case "foreign":
            offsets(checkpoint, 7, of(5, 4, topic="orders"))
        case "elsewhere":
            offsets(checkpoint, 7, of(5, 4, 0, 0, 0, 0, 0, 3, topic=topic))
        case "beyond":
            offsets(checkpoint, 7, of(5, 11, topic=topic))
    expected = {
        "missing": "offsets/7: it is missing",
        "damaged": "offsets/7: a line is not JSON",
        "foreign": "did not read the topic",
        "elsewhere": f"The checkpoint has {topic}/4, but Kafka does not",
        "beyond": f"The job stopped at 11 in {topic}/1, but the log ends at 10",
    }
    [sentence] = faust(*adopt(checkpoint, "--yes"), status=1).splitlines()
    assert expected[damage] in sentence
    assert offsets_of(migrated_url) == {}


@pytest.mark.slow
def test_events_removed_by_retention_are_reported(checkpoint, produce, faust, apache, topic):
    produce([(event(n), n % 2) for n in range(20)])
    delete_before(apache, topic, 0, 8)
    wait_until(lambda: "3 events were removed" in faust(*adopt(checkpoint, "--dry-run")), 20)


# --- without a checkpoint


FROM_TABLE = "offsets", "adopt", "--from-table"


def store(engine, numbers):
    """Rows as the job stores them."""
    with engine.begin() as connection:
        rows = [{"event_id": f"e{n}"} for n in numbers]
        connection.execute(flash_sale_events.insert(), rows)


@pytest.mark.slow
def test_the_table_tells_where_the_job_stopped(
    produce, faust, worker, migrated_url, migrated_engine, topic
):
    produce([(event(n), n % 3) for n in range(60)] + [(b"bad", 0)])
    store(migrated_engine, [n for n in range(36) if n != 30])
    asked = faust(*FROM_TABLE, status=1)
    assert "Searching the topic for the table's newest 35 event ids" in asked
    assert f"{topic}/0: none → 12 (not sure: event 11 is the last one stored, but 1 of" in asked
    assert f"{topic}/1: none → 12 (sure: event 11 is the last one stored, and so are 11" in asked
    assert f"{topic}/3: none → 0 (sure: its log is empty)" in asked
    assert "Nothing was changed: run this on a terminal, or add --yes." in asked
    assert offsets_of(migrated_url) == {}
    faust(*FROM_TABLE, "--yes")
    assert offsets_of(migrated_url) == {0: 12, 1: 12, 2: 12, 3: 0}
    worker(STARTING_OFFSETS="latest").wait_ready().wait_stored(migrated_url, 60)
    assert ids(migrated_url) == names([n for n in range(60) if n != 30])


@pytest.mark.slow
def test_table_without_ids_is_one_sentence(produce, faust, migrated_url, migrated_engine):
    produce([(event(n), n % 2) for n in range(4)])
    [sentence] = faust(*FROM_TABLE, "--yes", status=1).splitlines()
    assert "The table has no event ids" in sentence
    store(migrated_engine, [77])
    assert "not sure: none of its 2 events" in faust(*FROM_TABLE, "--dry-run")
    assert offsets_of(migrated_url) == {}


def test_adopt_needs_a_source(faust, checkpoint):
    assert "--spark-checkpoint DIR or --from-table" in faust("offsets", "adopt", status=2)
    assert "--spark-checkpoint DIR or" in faust(*adopt(checkpoint, "--from-table"), status=2)


def test_the_way_back_begins_where_the_workers_stopped(produce, faust, migrated_engine, topic):
    produce([(event(n), n % 2) for n in range(20)])
    faust("offsets", "reset", "--to", "end", "--yes", CONSUMER_GROUP="flash-sale-etl")
    page = (ROOT / "docs" / "switch-over.md").read_text()
    [statement] = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    with migrated_engine.connect() as connection:
        [(text,)] = connection.exec_driver_sql(statement.replace("%", "%%")).all()
    assert json.loads(text) == {topic: {"0": 10, "1": 10, "2": 0, "3": 0}}
