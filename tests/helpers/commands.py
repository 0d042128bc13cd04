"""Commands of the app, run to their end."""

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dev import ROOT
from tests.helpers.forks import Fork
from tests.helpers.worker import FAUST, MEASURED


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
        status = Fork(words, out, err, environment, cwd).wait()
        return subprocess.CompletedProcess(words, status, out.read_text(), err.read_text())
