"""What a result depends on and has to name: machine, versions, settings, commit."""

import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

from benchmarks.measuring.stage import Stage
from benchmarks.traffic.topics import PRODUCER
from dev import ROOT
from dev.servers.broker import DEFAULT_PARTITIONS
from dev.servers.chosen_broker import choose
from dev.servers.database import DEFAULT, SERVERS, chosen

_OURS = (
    "faust-streaming",
    "mode-streaming",
    "aiokafka",
    "cramjam",
    "msgspec",
    "SQLAlchemy",
    "PyMySQL",
)


def describe(stage: Stage) -> dict[str, str]:
    """Every fact a reader needs, by name, but for the peers' versions."""
    settings = ", ".join(f"{name}={value}" for name, value in stage.database_settings().items())
    producer = ", ".join(f"{name}={value}" for name, value in PRODUCER.items())
    return {
        "machine": f"{_cpu()}, {os.cpu_count()} cores, {_memory()}, everything on it at once",
        "kernel": platform.release(),
        "broker": f"{choose()[1].removeprefix('Broker: ').split(',')[0]}, one node, "
        "heap and JVM options of its own start script, "
        f"{DEFAULT_PARTITIONS} partitions ({producer})",
        "database": f"{SERVERS[chosen() or DEFAULT]().version}, {settings}",
        "java": _java(),
        "this app": f"Python {platform.python_version()}, {packages(Path(sys.executable), _OURS)}",
        "commit": _commit(),
        "load before": f"{_load} (1 min)",
    }


#: Read when the benchmark is loaded, before it makes load of its own.
_load = f"{os.getloadavg()[0]:.2f}"


def _cpu() -> str:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def _memory() -> str:
    found = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    return f"{int(found[1]) / 2**20:.0f} GiB" if found else "memory unknown"


def _java() -> str:
    output = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False)
    return output.stderr.splitlines()[0] if output.stderr else "none"


def packages(python: Path, names: tuple[str, ...]) -> str:
    """Those of these that an interpreter has, with their versions."""
    if not python.exists():
        return "none installed"
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format=json", "--disable-pip-version-check"],
        capture_output=True,
        text=True,
        check=False,
    )
    versions = {one["name"].lower(): one["version"] for one in json.loads(listed.stdout or "[]")}
    found = [f"{name} {versions[name.lower()]}" for name in names if name.lower() in versions]
    return ", ".join(found)


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no")
    return f"{git('rev-parse', '--short', 'HEAD')}{' with changes' if changed else ''}"
