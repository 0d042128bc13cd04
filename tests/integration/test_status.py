"""`faust -A app status`: the whole group at a glance."""

import csv
import io
import json
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from config.version import VERSION
from db.breakers import BreakerStore
from dev.servers.processes import free_port
from pipeline.partition import Partition
from tests.helpers.accounts import WORKER, dba
from tests.helpers.databases import each_server_slow
from tests.helpers.events import event
from tests.helpers.worker import wait_until

ACCOUNT = f"'{WORKER}'@'127.0.0.1'"


@each_server_slow
def test_status_of_a_working_group(worker, produce, faust, faust_out, on_a_terminal, broker, topic):
    running = worker(FLUSH_INTERVAL=0.3, ROLLUP_INTERVAL=0.5).wait_ready()
    produce([(event(n), n % 4) for n in range(100)] + [(b"bad", 2)] * 3)
    wait_until(lambda: running.get("/batches/")["events"] == 103, 20)
    wait_until(lambda: (running.get("/batches/")["rollup"] or {}).get("behind") == 0, 20)

    found = json.loads(faust_out("status", "--json"))
    assert (found["group"], found["topic"], found["errors"]) == (f"group-{topic}", topic, [])
    assert found["state"] == ("Stable" if broker.answers_all else None)
    assigned = [one["partitions"] for one in found["members"] or ()]
    assert assigned == ([[0, 1, 2, 3]] if broker.answers_all else [])
    [one] = found["workers"]
    assert (one["state"], one["version"], one["unready"]) == ("running", VERSION, None)
    assert (one["partitions"], one["lag"], one["rate"]) == ([0, 1, 2, 3], 0, round(103 / 60, 2))
    assert abs(datetime.now(UTC) - datetime.fromisoformat(one["last_batch"])).seconds < 60
    assert [one["stored"] for one in found["partitions"]] == [25, 25, 28, 25]
    assert {one["lag"] for one in found["partitions"]} == {0}
    assert found["partitions"][2]["incoming"] == (28 / 60 if broker.answers_all else 0)
    assert sum(batch["rows"] for batch in found["batches"]) <= 100
    [letters] = found["dead_letters"]
    assert (letters["reason"], letters["dead_letters"], letters["pending"]) == ("malformed", 3, 3)
    assert found["breakers"] == []
    assert found["rollup"]["behind"] == 0
    assert found["schema"]["version"] == found["schema"]["needed"]
    [need] = found["needs"]
    assert need["what"] == "3 dead letters are not replayed."
    assert "dead-letters summary --pending" in need["hint"]

    lines = csv.DictReader(io.StringIO(faust_out("status", "--csv")))
    assert [line["stored"] for line in lines] == ["25", "25", "28", "25"]

    members = "1 in Kafka's group (Stable)" if broker.answers_all else "unknown to Kafka"
    printed = faust("status", COLUMNS=80)
    assert max(map(len, printed.splitlines())) <= 80, printed
    for part in (
        "! 3 dead letters are not replayed.",
        f"Workers: {members}; 1 stored events in the last 10 min",
        "Partitions: 0 events waiting",
        "Last batches",
        "Circuit breaker: closed",
        "Sales sums: complete",
    ):
        assert part in printed

    assert "WARNING: 3 dead letters are not" in faust("status", "--check", status=1)
    assert faust("status", "--check", "--dead-letters", 3).startswith("OK: ")

    watched = on_a_terminal("status", "--watch", until="stored/s")
    assert "Workers: " in watched
    assert "Traceback" not in watched
    assert "\x1b" not in printed


def test_status_lists_what_needs_attention_with_a_fix(
    worker, produce, faust_out, faust, migrated_engine, broker, topic
):
    if not broker.answers_all:
        pytest.skip(f"the {broker.kind} broker does not tell who is in a group")
    running = worker(FLUSH_INTERVAL=0.3).wait_ready()
    produce([(event(n), 0) for n in range(10)])
    wait_until(lambda: running.get("/batches/")["events"] == 10, 20)
    assert running.terminate() == 0
    produce([(event(n), 0) for n in range(7)])
    BreakerStore(migrated_engine, f"group-{topic}").open(
        Partition(topic, 3), "too much was dropped"
    )

    found = json.loads(faust_out("status", "--json"))
    said = {need["what"]: need["hint"] for need in found["needs"]}
    assert "faust -A app worker" in said["No worker is in the group, and 7 events are waiting."]
    held = said[f"The circuit breaker pauses {topic}/3: too much was dropped"]
    assert "faust -A app breaker close" in held
    [probed] = faust("status", "--check", status=2).splitlines()
    assert probed.startswith("CRITICAL: No worker is in the group, and 7 events are waiting. To f")
    assert "waiting=7;; late=" in probed
    assert found["members"] == []
    assert found["partitions"][0]["behind"] > 0
    assert "--watch does not work with" in faust("status", "--watch", "--json", status=2)


def test_a_worker_that_was_killed_is_silent(
    worker, produce, faust, faust_out, migrated_engine, migrated_url
):
    running = worker(FLUSH_INTERVAL=0.3).wait_ready()
    produce([event(1)])
    running.wait_stored(migrated_url, 1)
    wait_until(lambda: json.loads(faust_out("status", "--json"))["workers"], 20)
    running.kill()
    with dba(migrated_engine).begin() as connection:
        connection.execute(
            text("UPDATE worker_heartbeats SET seen_at = seen_at - INTERVAL 200 SECOND")
        )
    found = json.loads(faust_out("status", "--json"))
    [silent] = found["workers"]
    assert (silent["state"], silent["partitions"]) == ("silent", [])
    said = f"The worker {silent['worker']} has sent no heartbeat for 20"
    [need] = [one for one in found["needs"] if one["what"].startswith(said)]
    assert "its log" in need["hint"]
    assert "silent" in faust("status")


def test_heartbeats_that_cannot_be_read_break_nothing_else(faust, produce, server, migrated_url):
    database = migrated_url.rpartition("/")[2]
    produce([event(1)])
    server.execute(f"REVOKE SELECT ON `{database}`.worker_heartbeats FROM {ACCOUNT}")
    printed = faust("status")
    assert "! Workers' heartbeats cannot be read: " in printed
    assert "worker_heartbeats" in printed
    assert "unknown stored events in the last 10 min" in printed


def test_unreachable_server_is_reported_and_the_rest_shown(produce, faust, run_faust, topic):
    produce([(event(n), 0) for n in range(5)])
    nowhere = free_port()
    without_kafka = faust(
        "status", KAFKA_URL=f"kafka://127.0.0.1:{nowhere}", START_TIMEOUT=0, status=1
    )
    assert f"! Kafka at 127.0.0.1:{nowhere} does not answer" in without_kafka
    assert "Dead letters: none" in without_kafka
    url = f"mysql://u:secret@127.0.0.1:{nowhere}/db"
    done = run_faust("status", "--json", DATABASE_URL=url, START_TIMEOUT=0, status=1)
    found = json.loads(done.stdout)
    assert "Can't connect" in found["errors"][0]
    assert "secret" not in done.stdout
    assert found["partitions"][0]["end"] == 5
    assert found["partitions"][0]["lag"] is None
    assert found["dead_letters"] is None
    nobody = {"DATABASE_URL": url, "START_TIMEOUT": 0}
    [probed] = faust("status", "--check", **nobody, status=2).splitlines()
    assert probed.startswith("CRITICAL: ")
    assert "waiting=U;; late=U;60;600" in probed
    shown = faust("status", **nobody, status=1)
    assert "and an unknown number of events are waiting." in shown or "unknown to Kafka" in shown
    assert "Dead letters: unknown" in shown
