"""What this app changes of Faust's commands: those that do not apply, and a closed pipe."""

import os
import signal
from typing import Any

import click
from faust.cli.base import AppCommand
from faust.cli.faust import cli

#: What to use instead, of Faust's commands that people may look for.
_INSTEAD = {
    "reset": "`faust -A app offsets reset` moves stored offsets",
    "send": "`faust -A app simulate` sends events",
    "agents": "`faust -A app status` shows the group",
}


class OurCommand(AppCommand):
    """A command that ends quietly when what reads its output has ended, as in ``… | head``."""

    abstract = True

    async def execute(self, *arguments: Any, **options: Any) -> Any:
        """Run it."""
        try:
            return await super().execute(*arguments, **options)
        except BrokenPipeError:
            # As other programs end: without the last flush, which would fail too.
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGPIPE)


def refuse_faust_commands() -> None:
    """Hide Faust's commands except `worker`; call it before this app registers its own."""
    for name in cli.commands.keys() - {"worker"}:
        cli.commands[name] = _refused(name)


def _refused(name: str) -> click.Command:
    instead = _INSTEAD.get(name, "`faust -A app --help` lists what there is")

    def refuse(**_: Any) -> None:
        click.echo(f"`{name}` is Faust's and has no use here: {instead}.", err=True)
        raise SystemExit(2)

    anything = click.Argument(["words"], nargs=-1, type=click.UNPROCESSED)
    return click.Command(
        name,
        callback=refuse,
        params=[anything],
        hidden=True,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True},
    )
