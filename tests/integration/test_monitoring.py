"""What is deployed to watch the worker asks for what the worker really tells."""

import json
import re
import shutil
import subprocess

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from config.version import VERSION
from dev import LOCAL, ROOT
from dev.docs.metric_table import catalogue, deprecated_names, exposed_name
from models.whole_events import whole_rows
from tests.helpers.worker import rows, wait_until

PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = [
    rule
    for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
RECORDED = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboards/flash-sale-etl.json").read_text())
#: What Prometheus adds to every series.
ADDED = {"job", "instance", "le"}
#: What a worker of a test need not have met.
UNMET = {
    "etl_retries_total",
    "etl_rollup_errors_total",
    "etl_purge_errors_total",
    "etl_purged_rows_total",
}


def queries():
    found = [
        re.sub(r"\betl:[\w:]+", lambda name: f"({RECORDED[name[0]]})", rule["expr"])
        for rule in RULES
    ]
    found += [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return found


def test_every_query_names_metrics_and_labels_of_a_real_worker(worker, produce, migrated_url):
    running = worker(FLUSH_INTERVAL=0.3).wait_ready()
    odd = b'{"event_id":"e","user_id":null,"product_id":"p","category":"c","price":"1"}'
    produce([odd] * 40 + [b"bad"] * 4)
    wait_until(lambda: len(rows(migrated_url)) == 40, 20)

    def all_is_told():
        text = running.request("/metrics")[1]
        wanted = ('etl_events_total{outcome="malformed"} 4.0', 'etl_log_end_offset{partition="0"')
        return all(one in text for one in (*wanted, "etl_buffered_events 0.0"))

    wait_until(all_is_told, 30)
    told: dict[str, set[str]] = {}
    text = running.request("/metrics")[1]
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            told.setdefault(sample.name, set()).update(sample.labels)

    for query in queries():
        names = set(re.findall(r"\betl_\w+", query))
        assert names or query.startswith("up{"), query
        assert names - UNMET <= told.keys(), query
        labels = set(re.findall(r"(\w+)\s*(?:=|!=|=~|!~)\"", query))
        for group in re.findall(r"by \(([^)]*)\)", query):
            labels |= set(group.replace(" ", "").split(","))
        known = set.union(*(told.get(name, {"error"}) for name in names), ADDED)
        assert labels <= known, query

    # The catalogue is true: nothing of ours is missing in it, and nothing in it is missing here.
    series = [name for name in told if name.startswith("etl_") and not name.endswith("_created")]
    ours = {re.sub(r"_(bucket|sum|count)$", "", name) for name in series}
    assert ours | UNMET == {*map(exposed_name, catalogue()), *deprecated_names()}
    value = dict(re.findall(r"^(etl_\w+) (\S+)$", text, re.MULTILINE))
    assert value["etl_ready"] == "1.0"
    assert float(value["etl_rebalances_total"]) >= 1
    assert float(value["etl_database_connections_opened_total"]) >= 1
    assert value["etl_buffered_bytes"] == value["etl_oldest_buffered_event_age_seconds"] == "0.0"
    assert "etl_settings_info{" in text
    assert re.search(rf'^etl_build_info{{.*\bversion="{re.escape(VERSION)}"', text, re.MULTILINE)
    rows_by = "compiled" if whole_rows else "python"
    assert re.search(rf'^etl_build_info{{.*\brows="{rows_by}"', text, re.MULTILINE)
    secret = migrated_url.split(":")[2].split("@")[0]
    assert secret not in text
    assert "mysql" not in text


def test_retries_are_counted_by_error_and_what_waits_is_seen(worker, produce, server):
    running = worker(FLUSH_INTERVAL=0.3).wait_ready()
    # Nothing is read of a partition before its circuit breaker is, from the database.
    produce([b'{"event_id":"e","user_id":"u","category":"c"}'] * 40)
    wait_until(lambda: running.get("/batches/")["valid"] == 40, 20, "all are stored")
    server.kill()
    try:
        produce([b'{"event_id":"e","user_id":"u","category":"c"}'] * 20)

        def told():
            return running.request("/metrics")[1]

        wait_until(lambda: 'etl_retries_total{error="connection"}' in told(), 30)
        wait_until(lambda: "\netl_buffered_events 20.0" in told(), 20, "all are read")
        text = told()
        assert "\netl_ready 0.0" in text
        assert float(re.findall(r"^etl_buffered_bytes (\S+)", text, re.MULTILINE)[0]) > 20
        age = re.findall(r"^etl_oldest_buffered_event_age_seconds (\S+)", text, re.MULTILINE)
        assert 0 < float(age[0]) < 120
    finally:
        server.start()


def test_every_alert_says_what_to_do():
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    sections = set(re.findall(r"^## (\w+)$", runbook, re.MULTILINE))
    assert sections == {rule["alert"] for rule in ALERTS}
    # The command to run comes before anything to read.
    first = re.findall(r"^## (\w+)\n\nFirst: `faust -A app [\w -]+`$", runbook, re.MULTILINE)
    assert {*first} == sections
    for rule in ALERTS:
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"


def promtool(*arguments):
    """Run it; skip where it is not here."""
    program = shutil.which("promtool") or shutil.which("promtool", path=str(LOCAL / "promtool"))
    if program is None:
        pytest.skip("promtool is not installed (Debian's package prometheus has it)")
    done = subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_alerts_ring_when_they_should_and_only_then(tmp_path):
    # promtool looks for the token's file, which is in the container alone.
    config = (PROMETHEUS / "prometheus.yml").read_text()
    (tmp_path / "web-token").write_text("a-token")
    (tmp_path / "alerts.yml").write_text((PROMETHEUS / "alerts.yml").read_text())
    here = tmp_path / "prometheus.yml"
    here.write_text(config.replace("/run/secrets/", f"{tmp_path}/"))
    promtool("check", "config", here)
    promtool("test", "rules", ROOT / "tests" / "integration" / "alerts_test.yml")


def test_the_dashboard_shows_shares_of_the_stored_rows(tmp_path):
    """Of 1,000 rows 50 had no price, and 20 a mistyped one; the other job's do not count."""
    counted = {
        'etl_events_total{job="J", instance="a", outcome="stored"}': 600,
        'etl_events_total{job="J", instance="b", outcome="stored"}': 400,
        'etl_events_total{job="J", instance="b", outcome="invalid"}': 300,
        'etl_events_total{job="other", instance="c", outcome="stored"}': 900,
        'etl_filled_values_total{job="J", instance="a", field="price"}': 50,
        'etl_filled_values_total{job="other", instance="c", field="price"}': 90,
        'etl_repaired_values_total{job="J", instance="b", field="price", kind="mistyped"}': 20,
    }
    shares = {
        "Rows with a filled column": {"labels": '{field="price"}', "value": 0.05},
        "Rows with a repaired column": {
            "labels": '{field="price", kind="mistyped"}',
            "value": 0.02,
        },
    }
    tests = {
        "interval": "15s",
        "input_series": [
            {"series": series, "values": f"0+{number}x20"} for series, number in counted.items()
        ],
        "promql_expr_test": [
            {
                "expr": f"round({target['expr']}, 0.001)".replace("$job", "J").replace(
                    "$__rate_interval", "1m"
                ),
                "eval_time": "4m",
                "exp_samples": [shares[panel["title"]]],
            }
            for panel in DASHBOARD["panels"]
            if panel["title"] in shares
            for target in panel["targets"]
        ],
    }
    assert len(tests["promql_expr_test"]) == len(shares)
    (tmp_path / "shares.yml").write_text(yaml.safe_dump({"tests": [tests]}))
    promtool("test", "rules", tmp_path / "shares.yml")
