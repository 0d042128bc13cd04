"""`faust -A app dead-letters`: found by filter, shown safely, replayed exactly once, purged."""

import csv
import io
import json
import re
import threading
from base64 import b64encode
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from agents.flash_sales import FLASH_SALES
from db.write.offsets import OffsetStore
from db.write.writer import Writer
from pipeline.chunk import Chunk
from pipeline.partition import Partition
from pipeline.record import PlainRecord
from tests.helpers.accounts import dba
from tests.helpers.databases import each_server, each_server_slow
from tests.helpers.events import event
from tests.helpers.listings import records
from tests.helpers.partitions import of_topic
from tests.helpers.worker import dead_letters, rows, stored_offsets

HOSTILE = b'\x1b[2J\x1b]0;owned\x07{"event_id": "\xff\x00<script>'


@pytest.fixture
def dropped(migrated_engine, topic):
    """Ten letters: a hostile one, a tombstone, three invalid, five unstorable for now."""
    group = f"group-{topic}"
    partitions = (
        [PlainRecord(0, HOSTILE, b"\xffkey"), PlainRecord(1, None)],
        [PlainRecord(n, event(n, event_id=None)) for n in range(3)],
        [PlainRecord(n, event(n, event_type="more than twenty characters" * 2)) for n in range(5)],
    )
    chunks = [
        Chunk.transform(FLASH_SALES, Partition(topic, number), 0, len(records), records)
        for number, records in enumerate(partitions)
    ]
    OffsetStore(migrated_engine, group).begin(of_topic(topic, dict.fromkeys(range(3), 0)))
    Writer(migrated_engine, group, FLASH_SALES, "worker").write(1, datetime.now(UTC), chunks)


REPLAY = ("dead-letters", "replay", "--reason", "unstorable")


def corrected(migrated_engine, *numbers):
    """As if the rules had been corrected: the stored values are ones that are accepted now."""
    with migrated_engine.begin() as connection:
        for number in numbers:
            connection.execute(
                text(
                    "UPDATE dead_letters SET value = :value, value_bytes = LENGTH(value)"
                    " WHERE kafka_partition = 2 AND kafka_offset = :number"
                ),
                {"value": event(number), "number": number},
            )


@pytest.mark.slow
def test_list_by_reason_position_and_time(dropped, faust, topic):
    assert "3 in total" in faust("dead-letters", "list", "--reason", "invalid")
    until = ("--topic", topic, "--until", "2999-01-01 00:00:00")
    assert "10 in total" in faust("dead-letters", "list", *until)
    assert "0 in total" in faust("dead-letters", "list", "--topic", "other")
    future = faust("dead-letters", "list", "--since", "2999-01-01", status=2)
    assert "--since means 2999-01-01 00:00:00 UTC, which is in the future." in future
    assert "10 in total" in faust("dead-letters", "list", "--since", "2h")
    assert f"{topic}/2/" in faust("dead-letters", "list", "--reason", "unstorable")
    assert "'often' is not" in faust("dead-letters", "list", "--reason", "often", status=2)
    assert "0 in total" in faust("dead-letters", "list", CONSUMER_GROUP="another")


@pytest.mark.slow
def test_filter_by_position(dropped, faust_out, faust, topic):
    def found(*options):
        listed = records(faust_out("dead-letters", "list", "--topic", topic, *options, "--json"))
        return [(one["partition"], one["offset"]) for one in listed]

    assert found("--partition", 2, "--offset", 3) == [(2, 3)]
    assert found("--partition", 1, "--partition", 2, "--offset", "2..3") == [(2, 3), (2, 2), (1, 2)]
    assert found("--offset", "3..") == [(2, 4), (2, 3)]
    assert found("--offset", "..0") == [(2, 0), (1, 0), (0, 0)]
    said = faust("dead-letters", "list", "--offset", "first", status=2)
    assert "'first' is not an offset (17) or a range (17..99)." in said


def test_json_is_whole_and_the_table_fits_the_terminal(dropped, faust_out, faust, topic):
    found = records(faust_out("dead-letters", "list", "--json"))
    assert len(found) == 10
    tombstone, hostile = found[-1:-3:-1][::-1]
    assert hostile["value"] == {"base64": b64encode(HOSTILE).decode()}
    assert tombstone["value"] is None
    assert json.loads(found[0]["value"])["event_type"] == "more than twenty characters" * 2
    assert found[0]["why"] == "event_type has 54 characters, the column holds 20"
    lines = csv.DictReader(io.StringIO(faust_out("dead-letters", "list", "--csv", "--limit", 3)))
    assert [line["offset"] for line in lines] == ["4", "3", "2"]
    for action in ("list", "summary"):
        printed = faust("dead-letters", action, COLUMNS=80)
        assert max(map(len, printed.splitlines())) <= 80, printed


@each_server_slow
def test_summary_by_day_reason_and_field(dropped, faust_out, faust, topic):
    found = records(faust_out("dead-letters", "summary", "--json"))
    assert {(one["reason"], one["field"], one["dead_letters"]) for one in found} == {
        ("unstorable", "event_type", 5),
        ("invalid", "event_id", 3),
        ("malformed", None, 2),
    }
    first = found[0]
    assert first["day"] == f"{datetime.now(UTC):%Y-%m-%d}"
    assert first["position"] == f"{topic}/2/4"
    assert first["detail"] == "event_type has 54 characters, the column holds 20"
    assert first["pending"] == 5
    shown = faust("dead-letters", "summary", "--reason", "invalid")
    assert "no event_id" in shown
    assert "unstorable" not in shown


def test_values_are_shown_safely(dropped, faust, migrated_url):
    number = next(d["id"] for d in dead_letters(migrated_url) if d["value"] == HOSTILE)
    listed = faust("dead-letters", "list")
    shown = faust("dead-letters", "show", number)
    for printed in (listed, shown):
        assert "\\x1b[2J" in printed
        assert not set("\x1b\x07\x00") & set(printed), "nothing a terminal would obey"
    assert "\\xff\\x00<script>" in shown
    assert "key       \\xffkey" in shown
    assert "(none)" in listed, "the tombstone"


@each_server
def test_a_replay_says_what_would_be_repaired(
    dropped, faust, faust_out, migrated_engine, migrated_url
):
    corrected(migrated_engine, 0, 1, 2)
    with migrated_engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE dead_letters SET value = :value, value_bytes = LENGTH(value)"
                " WHERE kafka_partition = 2 AND kafka_offset < 2"
            ),
            {"value": event(7, price="19.99")},
        )
    said = faust("dead-letters", "replay", "--dry-run")
    assert "3 would be stored as rows" in said
    repaired = "price was repaired in 2 rows (66.7%): 2 mistyped; stored as price 0 with revenue 0."
    assert f"Of the rows that would be stored, {repaired}" in said
    counts = json.loads(faust_out("dead-letters", "replay", "--dry-run", "--json"))
    assert counts["repaired"] == {"price.mistyped": 2}
    assert counts["filled"] == {"price": 2}
    assert not rows(migrated_url)
    assert "Of the rows stored, price was repaired in 2 rows" in faust("dead-letters", "replay")


@each_server
def test_replay_stores_accepted_events_and_explains_the_others(
    dropped, faust, migrated_url, migrated_engine
):
    before = stored_offsets(migrated_url)
    corrected(migrated_engine, 0, 1, 2)
    would = faust("dead-letters", "replay", "--dry-run")
    assert "3 would be stored as rows, 7 would be refused again" in would
    assert not rows(migrated_url)
    done = faust("dead-letters", "replay")
    assert "3 stored as rows, 7 refused again" in done
    assert re.search(r"unstorable +2 +\d+ +event_type has 54 characters, the column holds", done)
    assert re.search(r"invalid +3 +\d+ +no event_id", done), "a line a reason, with an example"
    assert sorted(row["event_id"] for row in rows(migrated_url)) == ["e0", "e1", "e2"]
    assert sum(letter["replayed_at"] is not None for letter in dead_letters(migrated_url)) == 3
    again = faust("dead-letters", "replay", status=1)
    assert "0 stored as rows, 7 refused" in again, "not twice"
    assert len(rows(migrated_url)) == 3
    assert stored_offsets(migrated_url) == before
    with migrated_engine.connect() as connection:
        assert connection.scalar(text("SELECT SUM(valid) FROM batches")) == 3


@each_server_slow
def test_replays_at_the_same_time_store_each_once(dropped, faust, migrated_url, migrated_engine):
    corrected(migrated_engine, *range(5))
    threads = [threading.Thread(target=faust, args=REPLAY) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(row["event_id"] for row in rows(migrated_url)) == [f"e{n}" for n in range(5)]


@each_server_slow
def test_replay_stores_the_rest_if_the_database_refuses_a_row(
    dropped, faust, migrated_url, migrated_engine
):
    corrected(migrated_engine, *range(5))
    with dba(migrated_engine).begin() as connection:
        connection.execute(
            text("ALTER TABLE flash_sale_events ADD CONSTRAINT no_e3 CHECK (event_id <> 'e3')")
        )
    done = faust("dead-letters", "replay", "--reason", "unstorable")
    assert "4 stored as rows, 1 refused again" in done
    assert re.search(r"unstorable +1 +\d+ +the database says: .*no_e3", done)
    assert len(rows(migrated_url)) == 4


def test_replay_and_purge_by_id(dropped, faust, migrated_url, migrated_engine):
    corrected(migrated_engine, *range(5))
    first, second, *_ = (d["id"] for d in dead_letters(migrated_url) if d["kafka_partition"] == 2)
    assert "1 stored as rows, 0 refused" in faust("dead-letters", "replay", first)
    assert "1 deleted" in faust("dead-letters", "purge", second, "--yes")
    assert len(dead_letters(migrated_url)) == 9


@pytest.mark.slow
def test_unknown_ids_are_reported(dropped, faust, migrated_url, migrated_engine):
    corrected(migrated_engine, 0)
    number = next(d["id"] for d in dead_letters(migrated_url) if d["kafka_partition"] == 2)
    missing = "No dead letter of this consumer group has the id 998, 999."
    said = faust("dead-letters", "replay", 999, number, 998)
    assert missing in said
    assert "1 stored as rows" in said
    for action in ("show", "list", "replay", "purge", "summary"):
        assert missing in faust("dead-letters", action, 998, 999, status=1)
    assert "0 stored as rows" in faust("dead-letters", "replay", number, status=1), "it is replayed"
    assert "No dead letter" in faust("dead-letters", "show", number, CONSUMER_GROUP="o", status=1)


@pytest.mark.slow
def test_limit_and_pending_apply_to_every_action(
    dropped, faust, faust_out, migrated_url, migrated_engine
):
    corrected(migrated_engine, *range(5))
    assert "2 stored as rows" in faust(
        "dead-letters", "replay", "--reason", "unstorable", "--limit", 2
    )
    assert len(rows(migrated_url)) == 2
    assert "10 in total, 8 not replayed." in faust("dead-letters", "list", "--limit", 1)
    waiting = records(faust_out("dead-letters", "list", "--pending", "--json"))
    assert len(waiting) == 8
    assert not any(one["replayed"] for one in waiting)
    assert len(records(faust_out("dead-letters", "summary", "--limit", 2, "--json"))) == 2
    assert faust("dead-letters", "show", "--limit", 2).count("dead letter ") == 2
    assert "3 deleted" in faust("dead-letters", "purge", "--pending", "--limit", 3, "--yes")
    assert len(dead_letters(migrated_url)) == 7
    said = faust("dead-letters", "list", "--dry-run", status=2)
    assert "--dry-run is for `replay` and `purge`." in said


@each_server_slow
def test_purge_deletes_exactly_what_matches(dropped, faust, migrated_url):
    purge = "dead-letters", "purge", "--reason", "invalid"
    assert "deletes 3 dead letters" in faust(*purge, "--dry-run")
    assert len(dead_letters(migrated_url)) == 10
    assert "3 deleted" in faust(*purge, "--yes")
    left = dead_letters(migrated_url)
    assert len(left) == 7
    assert not any(letter["reason"] == "invalid" for letter in left)


def test_purge_asks_with_numbers_whatever_the_filter(dropped, faust, migrated_url, topic):
    def asked(*options):
        said = faust("dead-letters", "purge", *options, status=1)
        assert "Delete them? Nothing was changed: run this on a terminal, or add --yes." in said
        return said

    whose = f"dead letters of consumer group group-{topic}"
    reasons = "5 unstorable, 3 invalid, 2 malformed; 10 not replayed."
    everything = f"This permanently deletes 10 {whose}: {reasons}"
    assert everything in asked()
    since = f"{whose}, written since 2020-01-01 00:00:00 UTC: {reasons}"
    assert f"deletes 10 {since}" in asked("--since", "2020-01-01")
    assert f"deletes 3 {whose}: 3 invalid" in asked("--reason", "invalid")
    assert f"the oldest 4 of 10 {whose}" in asked("--limit", 4)
    assert f"deletes 1 {whose}" in asked(dead_letters(migrated_url)[0]["id"])
    assert "No time is in this range" in faust(
        "dead-letters", "purge", "--since", "1h", "--until", "2h", "--yes", status=2
    )
    assert len(dead_letters(migrated_url)) == 10
    done = faust("dead-letters", "purge", "--yes")
    assert everything in done
    assert "10 deleted" in done
    assert dead_letters(migrated_url) == []


def test_replay_shows_progress_only_on_a_terminal(dropped, run_faust, on_a_terminal):
    assert "Replaying" not in run_faust("dead-letters", "replay", status=1).stderr
    assert "Replaying" in on_a_terminal("dead-letters", "replay")


def test_missing_database_is_one_sentence(faust):
    said = faust(
        "dead-letters",
        "list",
        status=1,
        DATABASE_URL="mysql://u:secret@127.0.0.1:9/db",
        START_TIMEOUT=0,
    )
    assert "127.0.0.1:9" in said or "Can't connect" in said
    assert "secret" not in said
