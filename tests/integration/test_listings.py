"""Every listing as table, JSON and CSV, on a group that has everything to list."""

import csv
import io
import json
from datetime import UTC, datetime

import pytest

from agents.flash_sales import FLASH_SALES
from db.breakers import BreakerStore
from db.write.offsets import OffsetStore
from db.write.writer import Writer
from pipeline.chunk import Chunk
from pipeline.partition import Partition
from pipeline.record import PlainRecord
from tests.helpers.events import event
from tests.helpers.listings import records
from tests.helpers.partitions import of_topic

WHY = "more than half of 200 events were dropped, most often because of: no event_id, such as "
#: Those that are tables, and those of sentences, which may wrap.
TABLES = [["batches"], ["breaker", "show"], ["offsets", "show"]]
SENTENCES = [["check"], ["rollup", "show"]]


@pytest.fixture
def past(migrated_engine, topic, produce):
    """What two workers stored and dropped, and a breaker that is open."""
    group = f"group-{topic}"
    OffsetStore(migrated_engine, group).begin(of_topic(topic, dict.fromkeys(range(4), 0)))
    produce([(event(n), 0) for n in range(10)])
    for number in range(2):
        first = 5 * number
        values = [event(n, event_id=None if n == 3 else f"e{n}") for n in range(5)]
        records = [PlainRecord(first + n, value) for n, value in enumerate(values)]
        chunk = Chunk.transform(FLASH_SALES, Partition(topic, 0), first, first + 5, records)
        name = f"a-host-with-a-rather-long-name-4711-0000000{number}"
        Writer(migrated_engine, group, FLASH_SALES, name).write(1, datetime.now(UTC), [chunk])
    BreakerStore(migrated_engine, group).open(Partition(topic, 1), WHY + "x" * 100)


def as_lines(printed):
    """The lines of a listing in JSON; some print a single object, over many lines."""
    if not printed.startswith("{\n"):
        return records(printed)
    found = json.loads(printed)
    return found.get("results", [found])


@pytest.mark.parametrize(
    "call",
    [
        *TABLES[:2],
        *SENTENCES[:1],
        *(pytest.param(call, marks=pytest.mark.slow) for call in TABLES[2:] + SENTENCES[1:]),
    ],
    ids="-".join,
)
def test_json_is_whole_and_csv_has_the_same(call, past, faust_out):
    found = as_lines(faust_out(*call, "--json"))
    lines = list(csv.DictReader(io.StringIO(faust_out(*call, "--csv"))))
    assert found
    assert len(lines) == len(found)
    assert {*lines[0]} == {*found[0]}


@pytest.mark.slow
@pytest.mark.parametrize("call", TABLES, ids="-".join)
def test_a_table_fits_the_terminal(call, past, faust):
    printed = faust(*call, COLUMNS=80)
    assert len(printed.splitlines()) > 2
    assert max(map(len, printed.splitlines())) <= 80, printed


def test_values_have_their_types(past, faust_out, topic):
    newest, oldest = records(faust_out("batches", "--json"))
    assert (newest["events"], newest["rows"], newest["batch"]) == (5, 4, 1)
    assert newest["dropped"] == {"malformed": 0, "invalid": 1, "unstorable": 0}
    assert oldest["worker"].endswith("0")
    assert newest["written"].endswith("Z")
    [held] = records(faust_out("breaker", "show", "--json"))
    assert held["reason"] == WHY + "x" * 100, "whole"
    assert (held["topic"], held["partition"], held["close_requested"]) == (topic, 1, None)
    sums = json.loads(faust_out("rollup", "show", "--json"))
    # Loaded rows leave gaps between their ids.
    assert sums["behind"] == sums["newest"] - sums["summed_to"] >= 8
    assert records(faust_out("offsets", "show", "--json"))[0] == {
        "partition": 0,
        "stored": 10,
        "log_begins": 0,
        "log_ends": 10,
        "to_read": 0,
        "remark": "",
    }


def test_listing_options_are_refused_elsewhere(past, faust):
    for call in (["breaker", "close"], ["rollup", "rebuild", "--yes"]):
        assert "--json and --csv are for `show`." in faust(*call, "--json", status=2)
    assert "--csv does not work with --sample" in faust("check", "--sample", 5, "--csv", status=2)


@pytest.mark.slow
def test_times_in_any_form(past, faust):
    for text in ("2h", "08:41", "2026-11-27T08:41:00Z", "2026-11-27T08:41:00+01:00"):
        assert "Deleted: sums" in faust("rollup", "purge", "--before", text, "--yes")
    said = faust("rollup", "purge", "--before", "last week", "--yes", status=2)
    assert "'last week' is not a time: write 2h (ago), 08:41" in said
