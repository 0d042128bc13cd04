"""`make demo`: everything runs, every event is accounted for, and nothing is left behind."""

import json
import os
import re
import signal
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dev import ROOT
from dev.servers.processes import Process
from tests.helpers.worker import children, environment, is_alive, wait_until

SERVERS = 3
SHOWN = (ROOT / "docs" / "demo.md").read_text()
README = (ROOT / "README.md").read_text()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Process]:
    """A running demo, all of its processes started."""
    command = [sys.executable, "-m", "dev.demo"]
    process = Process(command, tmp_path / "log", env=environment(FLUSH_INTERVAL=1), cwd=ROOT)
    process.wait_for(lambda: "worker's pages" in process.log_text(), 60, "the demo")
    yield process
    process.kill()


def test_it_ends_by_itself_with_every_event_accounted_for(tmp_path: Path) -> None:
    demo = Process(["make", "demo", "SECONDS=10"], tmp_path / "log", env=environment(), cwd=ROOT)
    demo.wait_for(lambda: len(_batches(demo.log_text())) >= 2, 60, "two batches")
    answer = _ask(re.findall(r"http://\S+/batches/", demo.log_text())[0])
    assert demo.wait(90) == 0, demo.log_text()
    text = demo.log_text()
    assert _names(answer) == _names(json.loads(_shown("json")))
    assert _kinds(_shown("text")) <= _kinds(text)
    assert _kinds(README.partition("```text\n")[2].partition("```")[0]) <= _kinds(text)
    sent, rows, dropped = map(
        int,
        re.findall(r"(\d+) events sent, (\d+) rows stored, (\d+) dropped", text)[0],
    )
    assert sent == rows + dropped >= 4000
    assert dropped > 0
    assert "0 duplicates, 0 missing, 0 wrong" in text
    assert "password" not in text


def _batches(log: str) -> list[str]:
    return re.findall(r"Batch \d+: \d+ valid rows written", log)


def _ask(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=5) as answer:
        return json.load(answer)


def _shown(language: str) -> str:
    """The block of this language that docs/demo.md shows."""
    return SHOWN.partition(f"```{language}\n")[2].partition("```")[0]


def _kinds(text: str) -> set[str]:
    """The lines of a run, whatever the numbers and the servers."""
    lines = re.sub(r"Starting: .*, worker", "Starting: all", text).splitlines()
    return {re.sub(r"\d+(?:\.\d+)?", "0", line.rstrip()) for line in lines}


def _names(answer: Any) -> Any:
    """The names in an answer; which values were filled or repaired depends on the traffic."""
    if isinstance(answer, list):
        return [_names(one) for one in answer[:1]]
    if isinstance(answer, dict):
        open_ended = ("filled", "repaired")
        return {name: name in open_ended or _names(value) for name, value in answer.items()}
    return None


def test_ctrl_c_ends_it_in_order(demo: Process) -> None:
    started = children(demo.pid)
    assert len(started) == SERVERS
    demo.signal(signal.SIGINT)
    assert demo.wait(40) == 0, demo.log_text()
    assert "Every event is accounted for exactly once." in demo.log_text()
    assert not any(map(is_alive, started))


def test_killed_it_leaves_no_process(demo: Process) -> None:
    started = children(demo.pid)
    assert len(started) == SERVERS
    os.kill(demo.pid, signal.SIGKILL)
    demo.wait(10)
    wait_until(lambda: not any(map(is_alive, started)), 10, "its processes end")


@pytest.mark.slow
def test_killed_make_ends_it(tmp_path: Path) -> None:
    make = Process(["make", "demo"], tmp_path / "log", env=environment(FLUSH_INTERVAL=1), cwd=ROOT)
    make.wait_for(lambda: "worker's pages" in make.log_text(), 60, "the demo")
    (demo,) = children(make.pid)
    started = children(demo)
    assert len(started) == SERVERS
    os.kill(make.pid, signal.SIGKILL)
    make.wait(10)
    wait_until(lambda: not any(map(is_alive, [demo, *started])), 40, "its processes end")


@pytest.mark.slow
def test_a_second_signal_ends_it_at_once(demo: Process) -> None:
    started = children(demo.pid)
    demo.signal(signal.SIGTERM)
    wait_until(lambda: "Ending the traffic" in demo.log_text(), 10)
    demo.signal(signal.SIGTERM)
    assert demo.wait(30) == 128 + signal.SIGTERM
    assert not any(map(is_alive, started))
