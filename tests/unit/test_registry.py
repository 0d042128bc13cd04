"""Each command is found, and says which servers it asks."""

from commands.registry import find_commands, needed_servers
from config.load import DATABASE, KAFKA
from dev.docs.pages import list_commands


def test_every_command_is_found():
    assert set(find_commands()) == set(list_commands())


def test_what_is_typed_asks_for_what_its_command_needs():
    assert needed_servers(["faust", "-A", "app", "-l", "info", "worker"]) == {KAFKA, DATABASE}
    assert needed_servers(["faust", "-A", "app", "send", "@enrichment"]) == ()
    assert needed_servers(["faust", "-A", "app", "migrate"]) == {DATABASE}
    assert needed_servers(["faust", "-A", "app", "worker", "--help"]) == ()
    assert needed_servers(["faust", "-A", "app", "workr"]) == ()
    assert needed_servers(["-c"]) == ()
