"""The comparison: its events, what its table says, and a set-up that stops nobody."""

import json
import os
import re
import shutil
import subprocess
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from benchmarks.measuring.programs import OURS
from benchmarks.measuring.runs import Run
from benchmarks.peers.peer_list import PROGRAMS
from benchmarks.reports.report import comparison
from benchmarks.traffic.mixes import POOL, shopping
from benchmarks.traffic.topics import numbered
from dev import ROOT
from models.fields import EVENT_FIELDS

PEERS = "benchmarks/peers"
#: All that set-up needs where nothing can be fetched.
COMMANDS = ("cat", "cksum", "dirname", "mkdir", "rm", "sh")


def events() -> list[dict[str, Any]]:
    return [json.loads(value or b"") for value, _, _ in islice(numbered(shopping), POOL)]


def test_a_third_of_the_events_buy_of_all_5000_products() -> None:
    found = events()
    kinds = Counter(event["event_type"] for event in found)
    assert kinds["purchase"] == pytest.approx(POOL / 3, abs=1)
    assert len({event["product_id"] for event in found}) > 4_500


def test_every_value_that_a_rule_fills_is_missing_in_some_event() -> None:
    missing = Counter(name for event in events() for name, value in event.items() if value is None)
    assert missing.keys() == {field.name for field in EVENT_FIELDS if field.filled}
    assert missing.total() == POOL / 20


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
