"""What a worker says of its life: an object a line where that is asked for, and why it ended."""

import json

import pytest

from config.version import VERSION
from models.whole_events import ROWS_BY
from tests.helpers.worker import wait_until


def test_every_line_of_a_workers_life_is_an_object(worker, produce, migrated_url):
    running = worker(LOG_FORMAT="json", FLUSH_INTERVAL=0.5).wait_ready()
    produce([b"bad", '{"event_id":"e\\nü","user_id":"u","category":"c"}'.encode()])
    wait_until(lambda: "Batch 1:" in running.log_text(), 20)
    assert running.terminate() == 0
    lines = [json.loads(line) for line in running.log_text().splitlines()]
    assert all({"timestamp", "level", "logger", "message"} <= line.keys() for line in lines)
    assert lines[0]["version"] == VERSION
    assert lines[0]["message"].startswith(f"flash-sale ETL {VERSION} (")
    assert f", rows by {ROWS_BY}): " in lines[0]["message"]
    (batch,) = [line for line in lines if line["message"].startswith("Batch 1:")]
    assert batch["level"] == "INFO"
    assert batch["logger"] == "app"
    assert (batch["event"], batch["events"], batch["rows"]) == ("batch_stored", 2, 1)
    assert lines[0]["event"] == "worker_started"
    noise = ("aiokafka", "faust", "mode")
    assert not any(line["logger"].startswith(noise) for line in lines), "all that it says is ours"
    secret = migrated_url.split(":")[2].split("@")[0]
    assert secret not in running.log_text()


def test_a_start_says_what_matters_in_ten_lines(worker, topic, migrated_url):
    running = worker().wait_ready()
    lines = running.log_text().splitlines()
    assert len(lines) <= 10, lines
    first, pages, reading = (line.partition("[INFO] ")[2] for line in lines[:3])
    database = migrated_url.rpartition("/")[2]
    for named in (f"ETL {VERSION}", f"topic {topic}", f"group group-{topic}", database):
        assert named in first
    assert pages == (
        f"Pages: http://127.0.0.1:{running.port}/dashboard/ on this machine only (set WEB_TOKEN to "
        "read them from elsewhere); /health/, /ready/ and /metrics to all who reach the port."
    )
    assert reading == f"Reading {', '.join(f'{topic}/{n} from 0' for n in range(4))}."


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_fatal_error_is_logged_last_and_first_in_json(
    worker, produce, migrated_url, server, log_format
):
    running = worker(LOG_FORMAT=log_format, FLUSH_INTERVAL=0.3).wait_ready()
    server.execute(f"DROP TABLE `{migrated_url.rpartition('/')[2]}`.dead_letters")
    produce([b"bad"])
    assert running.wait(40) == 1
    log = running.log_text()
    sentence = "MySQL error 1146: a table is missing: run `faust -A app migrate`."
    for noise in ("Crashed", "crash!", "NoneType", "SystemExit", "Traceback", "\x1b"):
        assert noise not in log
    if log_format == "text":
        assert log.splitlines()[-1] == sentence
        assert log.count(sentence) == 2
        assert f"[CRITICAL] {sentence}\n" in log
    else:
        lines = [json.loads(line) for line in log.splitlines()]
        wrong = [line for line in lines if line["level"] in ("ERROR", "CRITICAL")]
        assert [(line["level"], line["message"]) for line in wrong] == [("CRITICAL", sentence)]


def test_an_error_is_an_object_too(worker):
    running = worker(
        LOG_FORMAT="json", DATABASE_URL="mysql://u:secretword@127.0.0.1:1/d", START_TIMEOUT=0
    )
    assert running.wait(30) == 1
    (line,) = [json.loads(line) for line in running.log_text().splitlines()]
    assert "does not answer" in line["message"]
    assert "secretword" not in running.log_text()
