"""`faust -A app completion` prints a script for a shell's completion."""

import os
import re
import shlex
from pathlib import Path
from typing import Any

import faust
from click.shell_completion import get_completion_class
from faust.cli.faust import cli

from commands.outcome import or_exit
from commands.registry import Tools, needs
from pipeline.errors import FatalError

#: Where `app.py` is.
ROOT = Path(__file__).parent.parent


@needs()
def completion(app: faust.App, _tools: Tools) -> None:
    """Register the command, in place of Faust's."""

    @app.command(name="completion")
    async def completion(self: Any) -> None:
        """Print a script that completes these commands: eval "$(faust -A app completion)"."""
        shell = Path(os.environ.get("SHELL", "")).name
        with or_exit():
            self.say(_script(shell))


def _script(shell: str) -> str:
    kind = get_completion_class(shell)
    if kind is None:
        raise FatalError(
            f"There is no completion for {shell!r}: run this in bash, zsh or fish, or set SHELL."
        )
    script = kind(cli, {}, "faust", "_FAUST_COMPLETE").source()
    # The call for completions must name the app, or it lists only Faust's commands, and its folder,
    # as the shell may be in another one.
    app = f"-W {shlex.quote(str(ROOT))} -A app"
    return re.sub(
        r"(_complete\b.*) (\$1|faust)\)", lambda found: f"{found[1]} {found[2]} {app})", script
    )
