"""Sales sums: exactly what the rows add up to, whoever stored them, and however often."""

import json
import threading
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import make_url, text

from db.dead_letters import DeadLetters, Filter
from db.engine import connect
from db.offsets import OffsetStore
from db.writer import Writer
from pipeline.chunk import Chunk
from tests.support import rows

#: What an analyst would ask of the rows themselves, and what the views must answer.
TRUTH = {
    "sales_per_minute": """
        SELECT MIN(CAST(DATE_FORMAT(ts, '%Y-%m-%d %H:%i:00') AS DATETIME)) AS minute,
            SUM(event_type <=> 'purchase') AS orders,
            SUM(IF(event_type = 'purchase', quantity, 0)) AS units,
            SUM(IF(event_type = 'purchase', revenue + 0E0, 0)) AS revenue
        FROM flash_sale_events GROUP BY DATE_FORMAT(ts, '%Y-%m-%d %H:%i')
    """,
    "sales_per_product": """
        SELECT COALESCE(BINARY product_id, '') AS product_id, COUNT(*) AS orders,
            SUM(quantity) AS units, SUM(revenue + 0E0) AS revenue
        FROM flash_sale_events WHERE event_type = 'purchase'
        GROUP BY COALESCE(BINARY product_id, '')
    """,
    "sales_per_category": """
        SELECT BINARY category AS category, COUNT(*) AS orders, SUM(quantity) AS units,
            SUM(revenue + 0E0) AS revenue
        FROM flash_sale_events WHERE event_type = 'purchase' GROUP BY BINARY category
    """,
    "funnel_per_minute": """
        SELECT MIN(CAST(DATE_FORMAT(ts, '%Y-%m-%d %H:%i:00') AS DATETIME)) AS minute,
            SUM(event_type <=> 'view') AS views, SUM(event_type <=> 'add_to_cart') AS carts,
            SUM(event_type <=> 'purchase') AS purchases,
            SUM(COALESCE(event_type, '') NOT IN ('view', 'add_to_cart', 'purchase')) AS others
        FROM flash_sale_events GROUP BY DATE_FORMAT(ts, '%Y-%m-%d %H:%i')
    """,
}


def read(engine, query):
    """Rows in an order of their own, every number a float."""
    with engine.connect() as connection:
        found = connection.execute(text(query)).mappings().all()
    return sorted(({name: _plain(v) for name, v in row.items()} for row in found), key=str)


def _plain(value):
    if isinstance(value, bytes):
        return value.decode()
    return float(value) if isinstance(value, int | Decimal) else value


def assert_views_true(engine):
    """To the digits that a FLOAT holds."""
    for view, query in TRUTH.items():
        found, truth = read(engine, f"SELECT * FROM {view}"), read(engine, query)
        assert found == [{k: _near(v) for k, v in row.items()} for row in truth], view


def _near(value):
    return pytest.approx(value, rel=1e-5) if isinstance(value, float) else value


class Record:
    def __init__(self, offset, value):
        self.offset, self.value, self.key, self.timestamp = offset, value, None, 1_795_774_530_000


def chunk(values, partition=0, start=0):
    records = [Record(start + n, value) for n, value in enumerate(values)]
    return Chunk.transform("t", partition, start, start + len(values), records)


def event(number, **fields):
    good = {
        "event_id": f"e{number}",
        "user_id": "u",
        "product_id": f"P{number % 7}",
        "category": f"c{number % 3}",
        "event_type": ("view", "add_to_cart", "purchase", "purchase", "gift", None)[number % 6],
        "price": 1.25 * number,
        "quantity": 1 + number % 3,
        "timestamp": f"2026-11-27T{number % 3:02}:{number % 60:02}:05Z",
    }
    return json.dumps({**good, **fields}).encode()


ODD = (
    event(2, product_id=None),
    event(2, product_id="", category="食品 '\\\""),
    event(2, timestamp=None),
    event(2, timestamp="never", product_id="p2"),
    event(2, price=None, quantity=None),
    event(2, price=3e38, quantity=-1),
    event(2, event_type="Purchases"),
)


def test_the_views_say_what_the_rows_add_up_to(migrated_engine):
    store = OffsetStore(migrated_engine, "g")
    store.begin("t", {0: 0, 1: 0})
    writer = Writer(migrated_engine, "g", "w")
    first = [chunk([event(n) for n in range(400)] + [*ODD, b"bad"]), chunk([event(5)], 1)]
    writer.write(1, datetime.now(UTC), first)
    assert_views_true(migrated_engine)
    writer.write(1, datetime.now(UTC), first)  # the answer to COMMIT was lost
    again = chunk([event(n) for n in range(400)] + [*ODD, b"bad", event(9), event(2)])
    Writer(migrated_engine, "g", "zombie").write(1, datetime.now(UTC), [again])
    assert_views_true(migrated_engine)
    quality = read(migrated_engine, "SELECT * FROM data_quality_per_hour")
    assert sum(hour["events"] for hour in quality) == 411
    assert sum(hour["malformed"] for hour in quality) == 1
    assert sum(hour["filled_quantity"] for hour in quality) == 1
    (funnel,) = read(migrated_engine, "SELECT * FROM funnel")
    assert funnel["carts_per_view"] == round(funnel["carts"] / funnel["views"], 4) > 0


def test_a_replayed_dead_letter_is_a_sale_too(migrated_engine, migrated_url):
    OffsetStore(migrated_engine, "g").begin("t", {0: 0})
    Writer(migrated_engine, "g", "w").write(
        1, datetime.now(UTC), [chunk([event(2, event_id=None), event(3)])]
    )
    with migrated_engine.begin() as connection:
        connection.execute(text("UPDATE dead_letters SET value = :v"), {"v": event(8)})
    assert DeadLetters(migrated_engine, "g").replay(Filter()).stored == 1
    assert len(rows(migrated_url)) == 2
    assert_views_true(migrated_engine)


def test_writers_of_the_same_minute_and_products_do_not_wait_for_each_other(
    migrated_engine, migrated_url
):
    partitions = range(4)
    OffsetStore(migrated_engine, "g").begin("t", dict.fromkeys(partitions, 0))
    values = [event(n) for n in range(60)]
    failures = []

    def work(partition):
        engine = connect(make_url(migrated_url).set(drivername="mysql+pymysql"))
        writer = Writer(engine, "g", f"w{partition}")
        try:
            for number in range(15):
                writer.write(
                    number, datetime.now(UTC), [chunk(values, partition, number * len(values))]
                )
        except Exception as error:
            failures.append(error)
        engine.dispose()

    threads = [threading.Thread(target=work, args=(partition,)) for partition in partitions]
    with migrated_engine.connect() as connection:
        deadlocks = _waits(connection)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failures == []
        assert _waits(connection) == deadlocks
    assert_views_true(migrated_engine)


def _waits(connection):
    found = connection.execute(text("SHOW GLOBAL STATUS")).all()
    return [row for row in found if row[0].lower() in ("innodb_deadlocks", "innodb_row_lock_waits")]


def test_rows_from_before_are_summed(database_url, mariadb, migrate_cli):
    engine = connect(make_url(database_url).set(drivername="mysql+pymysql"))
    with engine.begin() as connection:
        connection.execute(
            text(
                "CREATE TABLE flash_sale_events (id BIGINT AUTO_INCREMENT PRIMARY KEY, "
                "event_id VARCHAR(50), user_id VARCHAR(50), product_id VARCHAR(50), "
                "category VARCHAR(50), event_type VARCHAR(20), price FLOAT, quantity INT, "
                "revenue FLOAT, ts TIMESTAMP NULL)"
            )
        )
        connection.execute(
            text(
                "INSERT INTO flash_sale_events (id, event_id, user_id, product_id, category, "
                "event_type, price, quantity, revenue, ts) VALUES "
                "(1,'a','u','P1','c','purchase',2,3,6,'2026-11-27 10:00:05'),"
                "(2,'b','u','P1','c','purchase',2,1,2,'2026-11-27 10:00:59'),"
                "(1000001,'c','u',NULL,'c','purchase',2,1,2,NULL),"
                "(5000000000,'d','u','P2','c','view',9,9,81,'2026-11-27 10:01:00'),"
                "(5000000001,'e','u','P2','c',NULL,9,9,81,'2026-11-27 10:01:00'),"
                "(5000000002,'f','u','P2','c','add_to_cart',9,NULL,NULL,'2026-11-27 11:01:00'),"
                "(9000000000,'g','u','P1','c','purchase',2,2,4,'2026-11-27 10:00:07')"
            )
        )
    for _ in range(2):
        done = migrate_cli(database_url)
        assert done.returncode == 0, done.stdout + done.stderr
        assert_views_true(engine)
    assert len(rows(database_url)) == 7
    engine.dispose()
