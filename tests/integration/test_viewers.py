"""What open dashboards cost the database: a few short questions, however many viewers there are."""

import threading
import time

import pytest
from sqlalchemy import text

from db import reports
from db.connection.engine import connect_for_queries
from db.reports import Reports
from pipeline.errors import TransientError
from tests.helpers.databases import each_server


@each_server
def test_viewers_share_the_questions(worker, server):
    running = worker(FLUSH_INTERVAL=0.5).wait_ready()
    server.execute("SET GLOBAL log_output = 'TABLE'")
    server.execute("TRUNCATE mysql.general_log")
    server.execute("SET GLOBAL general_log = ON")
    begun = time.monotonic()
    try:

        def view() -> None:
            while time.monotonic() - begun < 6:
                assert running.request("/dashboard/data/")[0] == 200
                assert running.request("/dashboard/dead-letters/")[0] == 200
                time.sleep(0.1)

        viewers = [threading.Thread(target=view) for _ in range(8)]
        for one in viewers:
            one.start()
        for one in viewers:
            one.join(30)
    finally:
        server.execute("SET GLOBAL general_log = OFF")
    waited = time.monotonic() - begun
    for table in ("sum(rollup_products", "max(dead_letters"):
        asked = server.execute(
            "SELECT COUNT(*) FROM mysql.general_log WHERE command_type = 'Query' "
            f"AND LOWER(CONVERT(argument USING utf8mb4)) LIKE '%{table}%' "
            "AND argument NOT LIKE '%general_log%'"
        )
        assert asked[0][0], table
        assert int(str(asked[0][0])) <= waited / 2 + 1, table


def test_a_question_ends_when_its_time_is_over(migrated_engine, monkeypatch):
    with migrated_engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO rollup_products (generation, hour, product_id, category, orders,"
                " units, revenue) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
                " WHERE i < 200) SELECT 1, UTC_DATE(), CONCAT('p', a.i), CONCAT('c', b.i), 1, 1, 1"
                " FROM n AS a JOIN n AS b"
            )
        )
    url = migrated_engine.url
    with pytest.raises(TransientError, match=r"max\w+time|maximum statement"):
        Reports(connect_for_queries(url, time_limit=0.001)).sales()
    assert len(Reports(connect_for_queries(url)).sales()["products"]) == reports.PRODUCTS
