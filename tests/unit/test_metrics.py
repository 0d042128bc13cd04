"""Metrics: names of the version before work for one more version, with the same values."""

from prometheus_client import generate_latest

from pipeline import metrics


def test_names_of_the_version_before_are_exposed_as_deprecated():
    metrics.EMPTY_FLUSHES.inc()
    metrics.FLUSH_DURATION.observe(0.02)
    metrics.END_TO_END_LATENCY.observe(2)
    metrics.COMMITTED_OFFSET.labels("t", "7").set(42)
    text = generate_latest().decode()
    metrics.COMMITTED_OFFSET.remove("t", "7")
    value = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    for old, new in (
        ("etl_empty_ticks_total", "etl_empty_flushes_total"),
        ("etl_flush_seconds_count", "etl_flush_duration_seconds_count"),
        ('etl_flush_seconds_bucket{le="0.025"}', 'etl_flush_duration_seconds_bucket{le="0.025"}'),
        ("etl_event_to_row_seconds_sum", "etl_end_to_end_latency_seconds_sum"),
        (
            'etl_stored_offset{partition="7",topic="t"}',
            'etl_committed_offset{partition="7",topic="t"}',
        ),
    ):
        assert value[old] == value[new]
    assert "# HELP etl_flush_seconds Deprecated: use `etl_flush_duration_seconds`." in text
    assert "# HELP etl_empty_ticks_total Deprecated: use `etl_empty_flushes_total`." in text
