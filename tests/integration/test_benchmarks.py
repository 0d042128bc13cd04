"""The benchmark's own judgement: a small run that is right, and tables that are not."""

import json
import subprocess
import sys
from contextlib import closing
from itertools import islice
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, TopicPartition
from sqlalchemy import Engine, insert

from benchmarks.measuring.table import check, connect
from benchmarks.traffic.mixes import sale
from benchmarks.traffic.topics import CODEC, expected, fill, numbered
from db.schema.sales_tables import ROW_COLUMNS, flash_sale_events
from dev import ROOT
from dev.servers.apache_kafka import ApacheKafka
from dev.servers.broker import Broker
from dev.servers.chosen_broker import choose
from dev.servers.database import DatabaseServer
from models.rules import Rejection, transform
from tests.helpers import wire
from tests.helpers.worker import environment

BENCH = (sys.executable, "-m", "benchmarks")
#: 2004 of the short comparison's 600,000 events.
SMALL = ("quick", "--only", "flash-sale", "--scale", "0.00334")
EVENTS = 200
DAMAGES = {
    "DELETE FROM flash_sale_events": f"{EVENTS - 1} rows instead of {EVENTS}",
    "UPDATE flash_sale_events SET user_id = 'x'": "the rows' checksum differs",
    "UPDATE flash_sale_events SET ts = NULL": "the rows' checksum differs",
    "UPDATE flash_sale_events SET price = price + 1": "the prices add up to",
    "UPDATE flash_sale_events SET revenue = -1": "the revenues add up to",
}


def benchmark(results: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the benchmarks from the command line, with results in this folder."""
    return subprocess.run(
        [*BENCH, *arguments, "--results", str(results)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_small_run_is_right_and_saved(tmp_path: Path):
    done = benchmark(tmp_path, *SMALL, "--rounds", "1")
    if choose()[0] is not ApacheKafka:
        assert done.returncode == 1
        assert done.stderr.startswith("A benchmark needs Apache Kafka")
        assert len(done.stderr.splitlines()) == 1
        return
    assert done.returncode == 0, done.stderr
    assert "\n| flash-sale ETL | " in done.stdout
    result = json.loads((tmp_path / "quick.json").read_text())
    [[run]] = result["results"]
    assert (run["events"], run["wrong"]) == (2004, "")
    assert run["first_row"] > 0
    assert run["peak_memory"] > 10_000_000
    assert "innodb_flush_log_at_trx_commit=1" in result["machine"]["database"]
    assert "compression.type=lz4" in result["machine"]["broker"]
    assert "| flash-sale ETL | " in (tmp_path / "quick.md").read_text()


@pytest.mark.slow
@pytest.mark.skipif(choose()[0] is not ApacheKafka, reason="a benchmark needs Apache Kafka")
def test_events_compressed_in_any_way_become_the_same_rows(tmp_path: Path):
    done = benchmark(tmp_path, "codecs", "--scale", "0.004", "--rounds", "1")
    assert done.returncode == 0, done.stderr
    [runs] = json.loads((tmp_path / "codecs.json").read_text())["results"]
    assert [(run["program"], run["events"], run["wrong"]) for run in runs] == [
        (name, 2000, "") for name in ("lz4", "uncompressed", "snappy", "gzip", "zstd")
    ]


#: Small enough for a test, and the rows that have to be looked at and right in each.
CURVE = {"partitions": 5, "workers": 4, "rows": 4, "servers": 5, "latency": 4}
CURVE |= {"outage": 1, "restarts": 2}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenario", CURVE)
@pytest.mark.skipif(choose()[0] is not ApacheKafka, reason="a benchmark needs Apache Kafka")
def test_the_curve_is_right_at_every_point(tmp_path: Path, scenario: str):
    done = benchmark(tmp_path, scenario, "--scale", "0.01", "--rounds", "1")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / f"{scenario}.json").read_text())["results"]
    points = (
        [found]
        if scenario == "outage"
        else found
        if scenario in ("latency", "restarts")
        else found[0]
    )
    assert [point["wrong"] for point in points] == [""] * CURVE[scenario]
    if scenario == "rows":
        assert [point["program"] for point in points] == [
            "0 rows",
            "100,000 rows",
            "1,000,000 rows",
            "1,000,000 rows, an index on ts",
        ]


@pytest.mark.parametrize(("codec", "number"), [(CODEC, wire.CODECS["lz4"][0]), ("none", 0)])
def test_topics_are_filled_with_lz4_unless_told_otherwise(broker: Broker, codec: str, number: int):
    topic = fill(broker, f"bench_{uuid4().hex[:8]}", 4 * EVENTS, codec=codec)
    assert wire.codec_of_the_first_batch(broker, topic.name) == number


def test_a_topic_gets_as_many_partitions_as_asked(broker: Broker):
    if not broker.has_admin:
        pytest.skip("this broker cannot make them")
    topic = fill(broker, f"bench_{uuid4().hex[:8]}", EVENTS, partitions=7)
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "none"})
    ends = [
        consumer.get_watermark_offsets(TopicPartition(topic.name, number), timeout=10)[1]
        for number in range(7)
    ]
    consumer.close()
    assert sum(ends) == EVENTS
    assert max(ends) - min(ends) == 1
    assert topic.expected == expected(sale, EVENTS)


def test_wrong_rows_are_reported(broker: Broker, server: DatabaseServer, migrated_engine: Engine):
    topic = fill(broker, f"bench_{uuid4().hex[:8]}", EVENTS)
    transformed = [transform(value) for value, _, _ in islice(numbered(sale), EVENTS)]
    rows = [
        dict(zip(ROW_COLUMNS, one[0], strict=True))
        for one in transformed
        if not isinstance(one, Rejection)
    ]
    with migrated_engine.begin() as connection:
        connection.execute(insert(flash_sale_events), rows)
    url = server.url(migrated_engine.url.database or "")
    with closing(connect(url)) as database, database.cursor() as table:
        assert check(table, topic.expected) == ""
        for damage, told in DAMAGES.items():
            table.execute("BEGIN")
            table.execute(f"{damage} WHERE id = 7")
            assert check(table, topic.expected).startswith(told), damage
            table.execute("ROLLBACK")
