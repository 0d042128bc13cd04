"""A question is answered on a terminal, or by `--yes`; anything else changes nothing."""

import sys

import click
import pytest

from commands.confirm import confirm
from commands.outcome import or_exit

EFFECT = "5 dead letters are deleted."


def refused(capsys):
    with pytest.raises(SystemExit) as exit_, or_exit():
        confirm(EFFECT, "Delete them?", yes=False)
    assert exit_.value.code == 1
    return capsys.readouterr().err


@pytest.fixture
def answer(monkeypatch):
    """What a person types on a terminal; None for Ctrl-C."""

    def prompt(given):
        def typed(_question):
            if given is None:
                raise click.Abort
            return given

        monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
        monkeypatch.setattr(click, "confirm", typed)

    return prompt


def test_yes_says_what_happens_and_asks_nothing(capsys):
    confirm(EFFECT, "Delete them?", yes=True)
    assert capsys.readouterr() == (f"{EFFECT}\n", "")


def test_without_a_terminal_the_error_has_numbers_and_the_option(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    [sentence] = refused(capsys).splitlines()
    assert sentence.startswith(f"{EFFECT} Delete them? ")
    assert "Nothing was changed: run this on a terminal, or add --yes." in sentence


@pytest.mark.parametrize("given", [False, None], ids=["no", "interrupted"])
def test_any_other_answer_changes_nothing(answer, capsys, given):
    answer(given)
    assert "Nothing was changed." in refused(capsys)


def test_yes_on_the_terminal_continues(answer):
    answer(True)
    confirm(EFFECT, "Delete them?", yes=False)
