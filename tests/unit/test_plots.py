"""The plots of made-up results: each can be drawn, and is the same file each time."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.patches import Rectangle

from benchmarks import plots

NAMES = ("flash-sale ETL", "plain Faust")


def _run(program, rate, **more):
    about = {"program": program, "rate": rate, "micros": 4.8, "peak_memory": 105_000_000}
    return {**about, "steady": 1000, "wrong": "", **more}


def _rounds(*names):
    return [[_run(name, 1000.0 * (place + 1) + turn) for place, name in enumerate(names)]
            for turn in range(3)]  # fmt: skip


LATENCY = {"median": 2.5, "p99": 5.0, "p999": 5.1, "longest": 5.2}
RESULTS = {
    "full": _rounds(*NAMES),
    "partitions": _rounds("1 partition", "300 partitions"),
    "workers": _rounds("1 worker", "2 workers"),
    "rows": _rounds("0 rows", "10,000,000 rows"),
    "latency": [{"sent": rate, **LATENCY} for rate in (1000.0, 10_000.0)],
    "backlog": {
        "events": 10_000_000,
        "growth": [(at / 2, 50_000 * at) for at in range(60)],
        "memory": [(at, 100_000_000) for at in range(30)],
    },
}


@pytest.fixture
def results(tmp_path):
    for name, found in RESULTS.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"results": found}))
    return tmp_path


def _draw(results: Path, to: Path) -> dict[str, bytes]:
    assert plots.main(["--results", str(results), "--to", str(to)]) == 0
    return {path.name: path.read_bytes() for path in to.iterdir()}


def test_the_same_results_give_the_same_files(results, tmp_path):
    first = _draw(results, tmp_path / "first")
    assert first.keys() == {f"{name}.svg" for name in plots.PLOTS}
    assert first == _draw(results, tmp_path / "second")
    for content in first.values():
        assert ElementTree.fromstring(content).tag.endswith("svg")
        assert b"dc:date" not in content


def test_a_plot_without_results_is_left_out_and_said(results, tmp_path, capsys):
    (results / "latency.json").unlink()
    drawn = _draw(results, tmp_path / "plots")
    assert drawn.keys() == {f"{name}.svg" for name in plots.PLOTS if name != "latency"}
    assert "latency is left out" in capsys.readouterr().err


def test_a_wrong_run_is_not_drawn():
    right = _rounds(*NAMES)
    wrong = [*right, [_run(name, 9e9, wrong="1 row too many") for name in NAMES]]
    for found in (right, wrong):
        bars = plots.programs(found).axes[0].patches
        assert [bar.get_width() for bar in bars if isinstance(bar, Rectangle)] == [1001.0, 2001.0]
