"""Each command says which servers it asks."""

from commands.servers import SERVERS, needed_servers
from config.load import DATABASE, KAFKA
from dev.docs import list_commands


def test_every_command_of_the_app_has_its_line():
    assert set(SERVERS) == set(list_commands())


def test_what_is_typed_asks_for_what_its_command_needs():
    assert needed_servers(["faust", "-A", "app", "-l", "info", "worker"]) == {KAFKA, DATABASE}
    assert needed_servers(["faust", "-A", "app", "send", "@enrichment"]) == {KAFKA, DATABASE}
    assert needed_servers(["faust", "-A", "app", "migrate"]) == {DATABASE}
    assert needed_servers(["faust", "-A", "app", "worker", "--help"]) == ()
    assert needed_servers(["faust", "-A", "app", "workr"]) == ()
    assert needed_servers(["-c"]) == ()
