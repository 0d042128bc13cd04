"""Which servers a command asks: it needs no address of the others."""

from collections.abc import Collection, Sequence

from faust.cli.faust import cli

from config.load import DATABASE, KAFKA

#: Of each command of the app; all others are Faust's.
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


def asked_servers(arguments: Sequence[str]) -> Collection[str]:
    """The settings that must be there for this call; none where it only asks for help."""
    if not {"--help", "--version"}.isdisjoint(arguments):
        return ()
    for word in arguments[1:]:
        if word in SERVERS:
            return SERVERS[word]
        if word in _FAUSTS:
            return {KAFKA, DATABASE}
    return ()
