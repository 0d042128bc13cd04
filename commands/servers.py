"""Which servers a command uses: it needs no address of others."""

from collections.abc import Collection, Sequence

from faust.cli.faust import cli

from config.load import DATABASE, KAFKA

#: By the app's commands; all other commands are Faust's.
SERVERS: dict[str, Collection[str]] = {
    "batches": {DATABASE},
    "breaker": {DATABASE},
    "check": {KAFKA, DATABASE},
    "completion": (),
    "dead-letters": {DATABASE},
    "migrate": {DATABASE},
    "offsets": {KAFKA, DATABASE},
    "rollup": {DATABASE},
    "simulate": {KAFKA},
    "status": {KAFKA, DATABASE},
}
_FAUSTS = frozenset(cli.commands)


def needed_servers(arguments: Sequence[str]) -> Collection[str]:
    """The settings that this call needs; none if it only shows help."""
    if not {"--help", "--version"}.isdisjoint(arguments):
        return ()
    for word in arguments[1:]:
        if word in SERVERS:
            return SERVERS[word]
        if word in _FAUSTS:
            return {KAFKA, DATABASE}
    return ()
