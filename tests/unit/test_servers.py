"""Each command says which servers it asks."""

from commands.servers import SERVERS, needed_servers
from config.load import DATABASE, KAFKA
from dev.docs.pages import list_commands


def test_every_command_has_its_servers():
    assert set(SERVERS) == set(list_commands())


def test_servers_needed_by_a_command_line():
    assert needed_servers(["faust", "-A", "app", "-l", "info", "worker"]) == {KAFKA, DATABASE}
    assert needed_servers(["faust", "-A", "app", "send", "@enrichment"]) == {KAFKA, DATABASE}
    assert needed_servers(["faust", "-A", "app", "migrate"]) == {DATABASE}
    assert needed_servers(["faust", "-A", "app", "worker", "--help"]) == ()
    assert needed_servers(["faust", "-A", "app", "workr"]) == ()
    assert needed_servers(["-c"]) == ()
