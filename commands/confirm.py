"""A question before something that cannot be taken back."""

import sys

import click


def confirm(question: str, yes: bool) -> None:
    """Ask on the terminal, and return where the answer is yes.

    Args:
        question: what would happen, with numbers, as a question.
        yes: whether `--yes` was given: nothing is asked then.

    Raises:
        click.ClickException: the answer was no, or there is no terminal to ask on.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.ClickException(
            f"{question} Nothing was changed: answer on a terminal, or add --yes."
        )
    try:
        agreed = click.confirm(question)
    except click.Abort:
        agreed = False
    if not agreed:
        raise click.ClickException("Nothing was changed.")
