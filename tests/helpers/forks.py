"""``faust -A app`` forked from a process that has imported what `app` imports.

Imports are nearly all that a short command takes, and what a worker takes until it is ready: a
second of processor time, of which a run of all tests has a thousand. `app` itself, which reads the
settings, is imported by each fork, and importing any other module has no effect
(`tests/unit/test_imports.py`).
"""

import ast
import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from dev import ROOT
from dev.servers.parent_death_signal import die_with_parent

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    [
        "faust.cli.faust",
        *(
            node.module
            for node in ast.walk(ast.parse((ROOT / "app.py").read_text()))
            if isinstance(node, ast.ImportFrom) and node.module
        ),
    ]
)


class Fork:
    """A running ``faust -A app``, with the part of `subprocess.Popen` that is used here.

    Args:
        words: what follows ``faust -A app``.
        out: the file to which stdout is appended.
        err: the file to which stderr is appended.
        environment: all of it.
        cwd: working directory.
    """

    def __init__(
        self, words: Sequence[str], out: Path, err: Path, environment: dict[str, str], cwd: Path
    ) -> None:
        arguments = (words, out, err, environment, cwd)
        self._process = _context.Process(target=_command, args=arguments)
        self._process.start()
        pid = self._process.pid
        assert pid is not None
        self.pid = pid

    def poll(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it ends and return its exit status.

        Raises:
            subprocess.TimeoutExpired: it still runs after ``timeout`` seconds.
        """
        self._process.join(timeout)
        status = self._process.exitcode
        if status is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired("faust -A app", timeout)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal; do nothing if it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _command(
    words: Sequence[str], out: Path, err: Path, environment: dict[str, str], cwd: Path
) -> None:
    os.setsid()
    die_with_parent(os.getppid(), signal.SIGKILL)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(cwd)
    for path, stream in ((out, sys.stdout), (err, sys.stderr)):
        stream.flush()
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream.fileno())
    if environment.get("PYTHONUNBUFFERED"):
        sys.stdout = open(sys.stdout.fileno(), "w", buffering=1, closefd=False)  # noqa: SIM115
    from faust.cli import base
    from faust.cli.faust import cli

    sys.argv = ["faust", "-A", "app", *words]
    # Faust looks for -A in the list that was there when it was imported.
    base._Group._maybe_import_app.__defaults__ = (sys.argv,)
    cli()
