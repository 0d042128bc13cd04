"""Commands of the app, forked from a process that has imported what `app` imports.

Imports are nearly all that a short command takes: a second of processor time, of which a run of all
tests has hundreds. `app` itself, which reads the settings, is imported by each command, and
importing any other module has no effect (`tests/unit/test_imports.py`).
"""

import ast
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from dev import ROOT
from tests.helpers.worker import FAUST, MEASURED

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


def run(
    arguments: Sequence[object], environment: dict[str, str], cwd: Path = ROOT
) -> "subprocess.CompletedProcess[str]":
    """Run ``faust -A app`` with these arguments."""
    words = [*map(str, arguments)]
    if MEASURED:
        command = [*FAUST, *words]
        return subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = _context.Process(target=_command, args=(words, environment, cwd, out, err))
        process.start()
        process.join()
        status = process.exitcode
        assert status is not None
        return subprocess.CompletedProcess(words, status, out.read_text(), err.read_text())


def _command(
    words: Sequence[str], environment: dict[str, str], cwd: Path, out: Path, err: Path
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(cwd)
    for path, stream in ((out, sys.stdout), (err, sys.stderr)):
        stream.flush()
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), stream.fileno())
    from faust.cli import base
    from faust.cli.faust import cli

    sys.argv = ["faust", "-A", "app", *words]
    # Faust looks for -A in the list that was there when it was imported.
    base._Group._maybe_import_app.__defaults__ = (sys.argv,)
    cli()
