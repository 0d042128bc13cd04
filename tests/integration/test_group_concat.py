"""Lists of any length, whatever the server's `group_concat_max_len` is: its least, here."""

import json
import re

import pytest
from sqlalchemy import event, make_url, text

from db.connection.engine import connect
from db.schema.changes import relations
from db.schema.upgrade import make_index
from db.write.offsets import OffsetStore
from dev import ROOT
from pipeline.errors import FatalError
from pipeline.partition import Partition
from tests.helpers.partitions import of_topic

LEAST = 4


@pytest.fixture
def engine(migrated_url, database_url):
    """The engine of who migrates, on a server that joins four bytes at most."""
    made = connect(make_url(database_url).set(drivername="mysql+pymysql"))

    @event.listens_for(made, "connect")
    def limit(connection, _record):
        with connection.cursor() as cursor:
            cursor.execute(f"SET SESSION group_concat_max_len = {LEAST}")

    yield made
    made.dispose()


def test_the_way_back_names_all_of_300_partitions(engine):
    offsets = {number: 10**12 + number for number in range(300)}
    store = OffsetStore(engine, "flash-sale-etl")
    store.begin(of_topic("flash_sale_events", offsets))
    store.begin({Partition("other", 0): 7})
    OffsetStore(engine, "another").begin({Partition("flash_sale_events", 0): 3})
    page = (ROOT / "docs" / "switch-over.md").read_text()
    [statement] = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    with engine.connect() as connection:
        found = connection.execute(text(statement)).scalars().all()
    expected = {str(number): offset for number, offset in offsets.items()}
    merged = {topic: where for line in found for topic, where in json.loads(line).items()}
    assert len(found) == 2
    assert merged == {"flash_sale_events": expected, "other": {"0": 7}}


def test_duplicate_rows_are_listed_in_full(engine):
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE flash_sale_events AUTO_INCREMENT = 1000000"))
        for one in ["a"] * 7 + ["b", "b ", "b"]:
            connection.execute(
                text("INSERT INTO flash_sale_events (event_id) VALUES (:i)"), {"i": one}
            )
        first = connection.scalar(text("SELECT MIN(id) FROM flash_sale_events"))
    with pytest.raises(FatalError) as refusal:
        make_index(engine)
    ids = ", ".join(str(first + n) for n in range(5))
    assert f"'a': 7 rows, id {ids}, …" in str(refusal.value)
    assert f"'b': 2 rows, id {first + 7}, {first + 9}" in str(refusal.value)
    assert "2 event ids in flash_sale_events are not unique, with 7 surplus rows" in str(
        refusal.value
    )


def test_a_column_added_to_an_index_is_a_change(engine):
    def shape():
        with engine.connect() as connection:
            return dict(relations(connection))

    before = shape()
    with engine.begin() as connection:
        connection.execute(text("CREATE INDEX ix ON flash_sale_events (event_id)"))
    one = shape()
    assert one["flash_sale_events"] != before["flash_sale_events"]
    with engine.begin() as connection:
        connection.execute(text("DROP INDEX ix ON flash_sale_events"))
        connection.execute(text("CREATE INDEX ix ON flash_sale_events (event_id, user_id)"))
    assert shape()["flash_sale_events"] != one["flash_sale_events"]
