"""What the Dockerfile runs, without a container engine: its own lines, in folders of their own.

The image's first stage is ours to run; the worker runs as another user where we may change it.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dev import ROOT
from dev.audit import count_stored
from dev.processes import Process, free_port
from tests.helpers.worker import environment, wait_until

LINES = (ROOT / "Dockerfile").read_text().splitlines()
USER = "nobody"


def instruction(name: str) -> str:
    """The last line of this instruction, without its name and options."""
    found = [line for line in LINES if line.startswith(f"{name} ")][-1]
    return re.sub(rf"^{name}( --\S+)*( CMD)? ", "", found)


def interpreter() -> tuple[str, str | None]:
    """A Python, and the other user that can run it; ourselves where there is none."""
    if os.getuid() == 0:
        for python in (getattr(sys, "_base_executable", sys.executable), "/usr/bin/python3"):
            found = Path(python).resolve()
            if found.exists() and all(part.stat().st_mode & 1 for part in (found, *found.parents)):
                return python, USER
    return sys.executable, None


@pytest.mark.timeout(240)
@pytest.mark.slow
def test_each_line_of_the_dockerfile(broker, migrated_url, topic, produce, folder, monkeypatch):
    image = folder / "image"
    image.mkdir()
    python, user = interpreter()
    places = {"/venv": f"{image}/venv", "/requirements.lock": f"{ROOT}/requirements.lock"}

    def here(command: str) -> str:
        return re.sub(r"/venv|/requirements\.lock", lambda found: places[found[0]], command)

    build = here(instruction("RUN")).replace("python -m venv", f"{shlex.quote(python)} -m venv")
    # Downloads of an earlier test or of set-up may serve; their hashes are compared all the same.
    build = build.replace("--no-cache-dir", "--quiet --disable-pip-version-check")
    subprocess.run(build, shell=True, check=True)
    copy_context(image / "app")

    produce([b'{"event_id": "e", "user_id": "u", "category": "c"}', b"bad"])
    temporary = image / "tmp"
    temporary.mkdir()
    temporary.chmod(0o777)
    env = environment(
        KAFKA_URL=broker.url,
        DATABASE_URL=migrated_url,
        TOPIC=topic,
        STARTING_OFFSETS="earliest",
        FLUSH_INTERVAL=1,
        PORT=free_port(),
    ) | {
        "PATH": f"{image}/venv/bin:/usr/bin:/bin",
        "TMPDIR": str(temporary),
        "HOME": "/nonexistent",
        "PYTHONDONTWRITEBYTECODE": "1",
    }

    def run(instruction_name: str) -> Process:
        command = json.loads(instruction(instruction_name))
        program = shutil.which(command[0], path=env["PATH"])
        log = image / f"{instruction_name}.log"
        return Process([program, *command[1:]], log, env=env, cwd=image / "app", user=user)

    worker = run("CMD")
    try:
        wait_until(lambda: count_stored(migrated_url) == 2, 60, "both events are stored")
        probe = run("HEALTHCHECK")
        assert probe.wait(20) == 0, probe.log_text()
        assert worker.stop() == 0, worker.log_text()
    finally:
        worker.kill()
    probe = run("HEALTHCHECK")
    assert probe.wait(20) == 1, "nobody answers"
    assert "/health/ does not answer" in probe.log_text()
    if user:
        written = [path for path in (image / "app").rglob("*") if path.owner() == user]
        assert not written, "the worker writes nothing where its code is"


def copy_context(target: Path) -> None:
    """Copy what `.dockerignore` lets in."""
    patterns = [
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    target.mkdir()
    for pattern in patterns:
        for path in ROOT.glob(pattern):
            if path.is_dir():
                ignore = shutil.ignore_patterns("__pycache__")
                shutil.copytree(path, target / path.name, ignore=ignore)
            else:
                shutil.copy(path, target)
