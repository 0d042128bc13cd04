"""`faust -A app dead-letters`: found by filter, shown safely, replayed exactly once, purged."""

import threading
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from agents.flash_sales import FLASH_SALES
from db.offsets import OffsetStore
from db.writer import Writer
from pipeline.chunk import Chunk
from pipeline.record import PlainRecord
from tests.integration.test_pipeline import event
from tests.support import dead_letters, rows, stored_offsets

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
        Chunk.transform(FLASH_SALES, topic, number, 0, len(records), records)
        for number, records in enumerate(partitions)
    ]
    OffsetStore(migrated_engine, group).begin(topic, dict.fromkeys(range(3), 0))
    Writer(migrated_engine, group, "worker").write(1, datetime.now(UTC), chunks)


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


def test_they_are_listed_by_reason_topic_and_time(dropped, faust, topic):
    assert "3 in all" in faust("dead-letters", "list", "--reason", "invalid")
    until = ("--topic", topic, "--until", "2999-01-01 00:00:00")
    assert "10 in all" in faust("dead-letters", "list", *until)
    assert "0 in all" in faust("dead-letters", "list", "--topic", "other")
    assert "0 in all" in faust("dead-letters", "list", "--since", "2999-01-01")
    assert f"{topic}/2/" in faust("dead-letters", "list", "--reason", "unstorable")
    assert "'often' is not" in faust("dead-letters", "list", "--reason", "often", status=2)
    assert "0 in all" in faust("dead-letters", "list", CONSUMER_GROUP="another")


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


def test_a_replay_stores_what_the_rules_accept_now_and_says_why_not(
    dropped, faust, migrated_url, migrated_engine
):
    before = stored_offsets(migrated_url)
    corrected(migrated_engine, 0, 1, 2)
    would = faust("dead-letters", "replay", "--dry-run")
    assert "3 would be stored as rows, 7 would be refused again" in would
    assert not rows(migrated_url)
    done = faust("dead-letters", "replay")
    assert "3 stored as rows, 7 refused again" in done
    assert "refused again: event_type has 54 characters, the column holds 20" in done
    assert "refused again: no event_id" in done
    assert sorted(row["event_id"] for row in rows(migrated_url)) == ["e0", "e1", "e2"]
    assert sum(letter["replayed_at"] is not None for letter in dead_letters(migrated_url)) == 3
    assert "0 stored as rows, 7 refused" in faust("dead-letters", "replay"), "not twice"
    assert len(rows(migrated_url)) == 3
    assert stored_offsets(migrated_url) == before
    with migrated_engine.connect() as connection:
        assert connection.scalar(text("SELECT SUM(valid) FROM batches")) == 3


def test_replays_at_the_same_time_store_each_once(dropped, faust, migrated_url, migrated_engine):
    corrected(migrated_engine, *range(5))
    threads = [threading.Thread(target=faust, args=("dead-letters", "replay")) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(row["event_id"] for row in rows(migrated_url)) == [f"e{n}" for n in range(5)]


def test_a_replay_of_what_the_database_refuses_says_so_and_stores_the_rest(
    dropped, faust, migrated_url, migrated_engine
):
    corrected(migrated_engine, *range(5))
    with migrated_engine.begin() as connection:
        connection.execute(
            text("ALTER TABLE flash_sale_events ADD CONSTRAINT no_e3 CHECK (event_id <> 'e3')")
        )
    done = faust("dead-letters", "replay", "--reason", "unstorable")
    assert "4 stored as rows, 1 refused again" in done
    assert "refused again: the database says:" in done
    assert "no_e3" in done
    assert len(rows(migrated_url)) == 4


def test_some_are_replayed_or_purged_by_their_ids(dropped, faust, migrated_url, migrated_engine):
    corrected(migrated_engine, *range(5))
    first, second, *_ = (d["id"] for d in dead_letters(migrated_url) if d["kafka_partition"] == 2)
    assert "1 stored as rows, 0 refused" in faust("dead-letters", "replay", first)
    assert "1 deleted" in faust("dead-letters", "purge", second)
    assert len(dead_letters(migrated_url)) == 9


def test_purge_deletes_what_the_filter_says_and_no_more(dropped, faust, migrated_url):
    assert "3 would be deleted" in faust(
        "dead-letters", "purge", "--reason", "invalid", "--dry-run"
    )
    assert len(dead_letters(migrated_url)) == 10
    assert "3 deleted" in faust("dead-letters", "purge", "--reason", "invalid")
    left = dead_letters(migrated_url)
    assert len(left) == 7
    assert not any(letter["reason"] == "invalid" for letter in left)


def test_without_a_database_it_says_so(faust):
    said = faust("dead-letters", "list", status=1, DATABASE_URL="mysql://u:secret@127.0.0.1:9/db")
    assert "127.0.0.1:9" in said or "Can't connect" in said
    assert "secret" not in said
