"""What the README says to type works as it stands."""

import re
from pathlib import Path

from dev import ROOT
from dev.audit import count_stored
from dev.broker import Broker
from dev.processes import Process, free_port
from tests.support import environment

README = (ROOT / "README.md").read_text()


def typed(heading: str) -> list[str]:
    """The commands of a section."""
    section = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^ {4}(.*)$", section, re.MULTILINE)


def test_it_is_tried_with_two_commands() -> None:
    """The first is what `test_demo.py` runs, the second runs this."""
    assert [line.split("#")[0].strip() for line in typed("Try it")] == ["make demo", "make test"]


def test_the_commands_for_servers_of_ones_own_end_in_a_worker_that_stores(
    broker: Broker, database_url: str, topic: str, produce, tmp_path: Path
) -> None:
    produce([b'{"event_id": "e", "user_id": "u", "category": "c"}', b"{"])
    servers = {"KAFKA_URL": broker.url, "DATABASE_URL": database_url}
    *before, worker = typed("Run it on your own servers")
    lines = [
        f"export {named[1]}='{servers[named[1]]}'"
        if (named := re.match(r"export (\w+)=", line))
        else line
        for line in before
    ]
    assert all(url in "".join(lines) for url in servers.values())
    env = environment(TOPIC=topic, STARTING_OFFSETS="earliest", PORT=free_port())
    script = "\n".join(["set -e", *lines, f"exec {worker}"])
    process = Process(["sh", "-c", script], tmp_path / "log", env=env, cwd=ROOT)
    try:
        process.wait_for(lambda: "A worker would run" in process.log_text(), 60, "the check")
        process.wait_for(lambda: count_stored(database_url) == 2, 60, "the worker")
        assert process.stop() == 0, process.log_text()
    finally:
        process.kill()
