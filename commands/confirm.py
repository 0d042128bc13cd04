"""Says what cannot be undone, and asks before it is done."""

import sys

import click


def confirm(effect: str, question: str, yes: bool) -> None:
    """Say what would happen and ask on the terminal; return if the answer is yes.

    Args:
        effect: what would happen to what, with numbers and warnings, in sentences.
        question: whether to do it.
        yes: whether `--yes` was given; then the effect is said, and nothing asked.

    Raises:
        click.ClickException: the answer was no, or there is no terminal.
    """
    if yes:
        click.echo(effect)
        return
    if not sys.stdin.isatty():
        raise click.ClickException(
            f"{effect} {question} Nothing was changed: run this on a terminal, or add --yes."
        )
    try:
        agreed = click.confirm(f"{effect} {question}")
    except click.Abort:
        agreed = False
    if not agreed:
        raise click.ClickException("Nothing was changed.")
