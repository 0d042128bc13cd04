"""Each command says which servers it asks."""

from commands.servers import SERVERS, asked_servers
from config.load import DATABASE, KAFKA
from dev.docs import list_commands


def test_every_command_of_the_app_has_its_line():
    assert set(SERVERS) == set(list_commands())


def test_what_is_typed_asks_for_what_its_command_needs():
    assert asked_servers(["faust", "-A", "app", "-l", "info", "worker"]) == {KAFKA, DATABASE}
    assert asked_servers(["faust", "-A", "app", "send", "@enrichment"]) == {KAFKA, DATABASE}
    assert asked_servers(["faust", "-A", "app", "migrate"]) == {DATABASE}
    assert asked_servers(["faust", "-A", "app", "worker", "--help"]) == ()
    assert asked_servers(["faust", "-A", "app", "workr"]) == ()
    assert asked_servers(["-c"]) == ()
