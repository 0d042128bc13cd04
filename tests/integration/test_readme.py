"""What the README says to type works as it stands."""

import re
import shlex
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from confluent_kafka import KafkaException

from config.settings import Settings
from dev import ROOT
from dev.audit import count_stored
from dev.servers.broker import Broker
from dev.servers.processes import Process, StartError, free_port
from tests.helpers.compiler import can_compile
from tests.helpers.worker import environment

README = (ROOT / "README.md").read_text()
SERVERS = "Run it on your own servers"


def section(heading: str) -> str:
    """What stands under a heading."""
    return README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def typed(heading: str) -> list[str]:
    """The commands of a section."""
    return re.findall(r"^ {4}(.*)$", section(heading), re.MULTILINE)


def test_it_is_tried_with_two_commands() -> None:
    """The first is what `test_demo.py` runs, the second runs this."""
    assert [line.split("#")[0].strip() for line in typed("Try it")] == ["make demo", "make test"]


@pytest.fixture
def topic(broker: Broker) -> Iterator[str]:
    """The one that a worker reads unless told otherwise; the README's command makes it."""
    name: str = Settings.model_fields["topic"].default
    yield name
    if broker.has_admin:
        # It is missing where the test was skipped before.
        with suppress(KafkaException):
            broker.delete_topic(name)


@pytest.fixture
def programs(broker: Broker, tmp_path: Path) -> Path:
    """A folder with `kafka-topics.sh`, which Apache Kafka's server comes without."""
    folder = tmp_path / "bin"
    folder.mkdir()
    stand_in = folder / "kafka-topics.sh"
    code = ROOT / "tests" / "clients" / "kafka_topics.py"
    # A broker that makes topics on first use has nothing to create them with.
    how = "" if broker.has_admin else "--on-first-use"
    stand_in.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {code} {how} "$@"\n')
    stand_in.chmod(stat.S_IRWXU)
    return folder


@pytest.mark.timeout(400)
@pytest.mark.slow
def test_five_commands_in_a_fresh_clone_run_a_worker(
    broker: Broker, database_url: str, topic: str, produce, programs: Path, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    shutil.copytree(ROOT, clone, ignore=shutil.ignore_patterns(".*", "__pycache__", "*.so", "*.c"))
    lines = typed(SERVERS)
    settings = section(SERVERS).partition("```sh\n")[2].partition("```")[0]
    assert len(lines) == 5
    script = "\n".join(["set -e", *lines[:-1], f"exec {lines[-1]}"])
    # What is another's on every machine; the longer address first.
    for shown, ours in {
        "mysql://user:password@host:3306/shop": database_url,
        "broker-1:9092,broker-2:9092": broker.bootstrap,
        "broker-1:9092": broker.bootstrap,
    }.items():
        assert shown in settings + script
        settings, script = settings.replace(shown, ours), script.replace(shown, ours)
    (clone / ".env").write_text(settings)

    env = environment(PORT=free_port())
    del env["ENV_FILE"]
    env["PATH"] = f"{programs}:{env['PATH']}"
    # Half of the time would go into bytecode.
    env |= {"PIP_NO_COMPILE": "1"}
    process = Process(["sh", "-c", script], tmp_path / "log", env=env, cwd=clone)
    try:
        try:
            process.wait_for(lambda: "installed flash-sale-etl" in process.log_text(), 240, "pip")
        except StartError:
            if "after connection broken by" in process.log_text():
                pytest.skip("pip reaches no package index")
            raise
        process.wait_for(lambda: "A worker would run" in process.log_text(), 60, "the check")
        assert ("by the compiled module" in process.log_text()) == can_compile(sys.executable)
        process.wait_for(lambda: "INFO] Reading " in process.log_text(), 60, "the worker")
        produce([b'{"event_id": "e", "user_id": "u", "category": "c"}', b"{"])
        process.wait_for(lambda: count_stored(database_url) == 2, 60, "the rows")
        assert process.stop() == 0, process.log_text()
    except StartError as error:
        raise AssertionError(process.log_text()) from error
    finally:
        process.kill()
