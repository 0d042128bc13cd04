"""LOG_FORMAT=json: from the first line to the last, an object a line."""

import json

from tests.support import wait_until


def test_every_line_of_a_workers_life_is_an_object(worker, produce, migrated_url):
    running = worker(LOG_FORMAT="json", FLUSH_INTERVAL=0.5).wait_ready()
    produce([b"bad", '{"event_id":"e\\nü","user_id":"u","category":"c"}'.encode()])
    wait_until(lambda: "Batch 1:" in running.log_text(), 20)
    assert running.terminate() == 0
    lines = [json.loads(line) for line in running.log_text().splitlines()]
    assert all({"timestamp", "level", "logger", "message"} <= line.keys() for line in lines)
    (batch,) = [line for line in lines if line["message"].startswith("Batch 1:")]
    assert batch["level"] == "INFO"
    assert batch["logger"] == "pipeline.flusher"
    assert any(line["logger"].startswith(("faust", "mode")) for line in lines[1:]), "Faust's own"
    secret = migrated_url.split(":")[2].split("@")[0]
    assert secret not in running.log_text()


def test_an_error_is_an_object_too(worker):
    running = worker(LOG_FORMAT="json", DATABASE_URL="mysql://u:secretword@127.0.0.1:1/d")
    assert running.wait(30) == 1
    lines = [json.loads(line) for line in running.log_text().splitlines()]
    assert any("does not answer" in line["message"] for line in lines)
    assert "secretword" not in running.log_text()
