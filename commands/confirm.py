"""Asks before something that cannot be undone."""

import sys

import click


def confirm(question: str, yes: bool) -> None:
    """Ask on the terminal; return if the answer is yes.

    Args:
        question: what would happen, with numbers, as a question.
        yes: whether `--yes` was given; then do not ask.

    Raises:
        click.ClickException: the answer was no, or there is no terminal.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.ClickException(
            f"{question} Nothing was changed: run this on a terminal, or add --yes."
        )
    try:
        agreed = click.confirm(question)
    except click.Abort:
        agreed = False
    if not agreed:
        raise click.ClickException("Nothing was changed.")
