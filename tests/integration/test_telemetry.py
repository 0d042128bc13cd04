"""Errors reach Sentry, and spans OpenTelemetry; what is absent costs nothing and is named."""

import gzip
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from config.version import VERSION
from tests.helpers.worker import FAUST, environment, wait_until

KEY = "0123456789abcdef0123456789abcdef"


@contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """A server that keeps what is posted to it; its address."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            packed = self.headers.get("Content-Encoding") == "gzip"
            bodies.append(gzip.decompress(body) if packed else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}", bodies
        server.shutdown()


def errors(bodies):
    """Sentry's events among the envelopes."""
    items = [json.loads(line) for body in list(bodies) for line in body.splitlines() if line]
    return [one for one in items if "logentry" in one]


def test_what_ends_a_worker_is_an_error_in_sentry(worker, produce, migrated_url, server):
    with collector() as (address, bodies):
        running = worker(SENTRY_DSN=f"http://{KEY}@{address}/1", FLUSH_INTERVAL=0.3).wait_ready()
        server.execute(f"DROP TABLE `{migrated_url.rpartition('/')[2]}`.dead_letters")
        produce([b"bad"])
        assert running.wait(40) == 1
        (error,) = errors(bodies)
    sentence = "MySQL error 1146: a table is missing: run `faust -A app migrate`."
    assert sentence in (error["logentry"].get("formatted") or str(error["logentry"]))
    assert error["level"] == "fatal"
    assert error["release"] == VERSION
    before = [crumb["message"] for crumb in error["breadcrumbs"]["values"]]
    assert any(line.startswith("flash-sale ETL") for line in before)
    assert any("[^--Flusher]" in line for line in before)
    secret = migrated_url.split(":")[2].split("@")[0]
    assert secret not in json.dumps(error)
    assert KEY not in running.log_text()


def test_each_write_is_a_span(worker, produce):
    with collector() as (address, bodies):
        running = worker(
            str(Path(sys.executable).with_name("opentelemetry-instrument")),
            OTEL_TRACES_EXPORTER="otlp",
            OTEL_METRICS_EXPORTER="none",
            OTEL_LOGS_EXPORTER="none",
            OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{address}",
            FLUSH_INTERVAL=0.3,
        ).wait_ready()
        produce([b"bad", b'{"event_id":"e","user_id":"u","category":"c"}'])
        wait_until(lambda: "Batch 1:" in running.log_text(), 20)
        assert running.terminate() == 0
    spans = [
        span
        for body in bodies
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    found: Counter[str] = Counter()
    for span in spans:
        assert span.name == "write"
        assert span.end_time_unix_nano > span.start_time_unix_nano
        found.update({one.key: one.value.int_value for one in span.attributes})
    assert found["batch.events"] == 2
    assert found["batch.rows"] == 1
    assert found["batch.dropped.malformed"] == 1


@pytest.mark.parametrize(
    ("dsn", "sentence"),
    [
        ("nonsense", "SENTRY_DSN is wrong: it is https://KEY@HOST/PROJECT."),
        (f"http://{KEY}@127.0.0.1/1", "SENTRY_DSN is set and sentry-sdk is missing"),
    ],
)
def test_a_sentry_that_cannot_be_used_is_named(tmp_path, its_settings, dsn, sentence):
    settings = {**its_settings, "SENTRY_DSN": dsn}
    if "missing" in sentence:
        # As where it is not installed.
        (tmp_path / "sentry_sdk.py").write_text("raise ImportError")
        settings["PYTHONPATH"] = tmp_path
    called = subprocess.run(
        [*FAUST, "worker", "--without-web"],
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert called.returncode == 1
    assert sentence in called.stderr.splitlines()[-1]
    assert KEY not in called.stderr


def test_a_worker_without_them_imports_neither():
    code = "import sys, app; print({'sentry_sdk', 'opentelemetry'} & sys.modules.keys())"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment(KAFKA_URL="x:1", DATABASE_URL="mysql://u:p@x/y"), "HOME": os.devnull},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "set()\n"
