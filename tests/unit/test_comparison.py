"""The comparison: its events, what its table says, and a set-up that stops nobody."""

import json
import os
import re
import runpy
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from benchmarks.measuring.programs import OURS
from benchmarks.measuring.runs import Run
from benchmarks.peers.peer_list import PROGRAMS
from benchmarks.reports.report import comparison
from benchmarks.traffic.mixes import POOL, Template, shop
from benchmarks.traffic.topics import numbered
from dev import ROOT

PEERS = "benchmarks/peers"
#: All that set-up needs where nothing can be fetched.
COMMANDS = ("cat", "cksum", "dirname", "mkdir", "rm", "sh")


@cache
def sent() -> list[tuple[dict[str, Any], Template]]:
    """A pool of the comparison's events, and what they are made of."""
    pool = islice(numbered(shop), POOL)
    return [(json.loads(value or b""), template) for value, template, _ in pool]


def share(of: Callable[[dict[str, Any]], bool]) -> float:
    return sum(of(event) for event, _ in sent()) / POOL


def test_a_third_of_the_events_buy_of_all_5000_products() -> None:
    found = [event for event, _ in sent()]
    kinds = Counter(event["event_type"] for event in found)
    assert kinds["purchase"] == pytest.approx(POOL / 3, abs=1)
    assert len({event["product_id"] for event in found}) > 4_500


def test_a_shop_has_guests_and_events_without_category() -> None:
    assert share(lambda event: "user_id" not in event) == pytest.approx(0.2, rel=0.05)
    assert share(lambda event: event.get("user_id", "") is None) == pytest.approx(0.2, rel=0.05)
    assert share(lambda event: "category" not in event) == pytest.approx(0.05, rel=0.1)


def test_one_percent_have_a_number_that_every_peer_reads_as_none() -> None:
    prices = share(lambda event: event["price"] == "n/a")
    quantities = share(lambda event: event["quantity"] == "two")
    assert prices + quantities == pytest.approx(0.01, rel=0.05)
    assert prices == pytest.approx(quantities, rel=0.3)


def test_what_is_dropped_is_dropped_by_the_three_rules_alone() -> None:
    """Peers know no others: a value of another kind would make some of them wrong."""
    dropped = [event for event, template in sent() if template.row is None]
    assert len(dropped) == pytest.approx(0.002 * POOL, rel=0.05)
    for event in dropped:
        assert event.get("user_id") is None
        assert event["product_id"] is None
        assert event["event_id"]


def test_no_partition_gets_all_bad_events() -> None:
    bad = Counter(
        place % 4
        for place, (event, template) in enumerate(sent())
        if template.row is None or event["price"] == "n/a"
    )
    assert min(bad.values()) > POOL / 1000


def test_python_peers_make_the_rows_of_this_app(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAFKA", "TOPIC", "CONSUMER_GROUP"):
        monkeypatch.setenv(name, "none")
    rules = runpy.run_path(str(ROOT / PEERS / "python/rules.py"))
    for event, template in sent():
        made = rules["to_row"](event)
        if template.row is None:
            assert made is None, event
            continue
        assert made[0] == event["event_id"]
        *fields, revenue, ts = template.row[1:]
        assert made[1:-1] == (*fields, pytest.approx(revenue)), event
        assert datetime.fromisoformat(made[-1]) == datetime.fromisoformat(ts)


def test_the_table_says_what_each_program_lacks() -> None:
    runs = [Run(program.name, 1, 1, 1, 1, 1, 1, 1, 1, 1) for program in PROGRAMS]
    text = comparison(OURS.name, [runs], {}, {one.name: one.lacks for one in PROGRAMS})
    lines = [line for line in text.splitlines() if line.startswith("- ")]
    named = [name for line in lines for name in line.partition(": ")[2].split("; ")]
    assert sorted(named) == sorted(one.name for one in PROGRAMS if one is not OURS)
    assert len(lines) == len({one.lacks for one in PROGRAMS if one is not OURS})
    for line in lines:
        assert "row" in line or "restart" in line, "what a crash does"


def test_the_readme_describes_every_program() -> None:
    page = (ROOT / "benchmarks/README.md").read_text()
    rows = re.findall(r"^\| ([^|]+) \|", page.partition("## The peers")[2], re.MULTILINE)
    for program in PROGRAMS[1:]:
        kind = program.name.partition(" (")[0]
        assert any(kind.startswith(row) for row in rows), program.name


def test_peer_that_cannot_be_built_is_skipped_and_retried(tmp_path: Path) -> None:
    shutil.copytree(ROOT / PEERS, tmp_path / PEERS)
    bench, commands = tmp_path / ".local/bench", tmp_path / "bin"
    bench.mkdir(parents=True)
    commands.mkdir()
    for name in COMMANDS:
        (commands / name).symlink_to(shutil.which(name) or name)
    with (tmp_path / "benchmarks/peers/requirements.txt").open() as file:
        done = subprocess.run(["cksum"], stdin=file, capture_output=True, check=True)
    (bench / "venv.done").write_bytes(done.stdout)
    tool = "#!/bin/sh\necho no network\nexit 1\n"
    for name in ("go", "mvn"):
        (commands / name).write_text(tool)
        (commands / name).chmod(0o755)

    def set_up() -> list[str]:
        done = subprocess.run(
            [tmp_path / "benchmarks/peers/setup.sh"],
            env={**os.environ, "PATH": str(commands)},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stderr.splitlines()

    said = [f"Making the {name} peer ..." for name in ("go", "spark", "connect", "flink", "java")]
    assert set_up() == said
    assert (bench / "flink.log").read_text() == "no network\n"
    assert not (bench / "go").exists()
    assert set_up() == said, "there may be a network now"
    for name in ("go", "mvn"):
        (commands / name).unlink()
    assert set_up() == []
