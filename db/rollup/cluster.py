"""What the roll-up cannot see on a Galera cluster: writes under way on other nodes.

Locks are per node, and each node gives out ids of its own. So a row may appear below the watermark
as long as the longest write on another node takes. The roll-up waits for ``WAIT`` seconds there
before it sums up to a mark, and compares: the ledger has the seconds that each write took.
"""

from sqlalchemy import Connection, text

#: Seconds from a mark to summing up to it, where several nodes may write.
WAIT = 60.0

_NODES = text("SHOW GLOBAL STATUS LIKE 'wsrep_cluster_size'")
#: The ledger has no index on times: its newest lines are those of the last hours.
_LONGEST = text("SELECT MAX(seconds) FROM batches WHERE id > (SELECT MAX(id) FROM batches) - 10000")


def nodes(connection: Connection) -> int:
    """The number of nodes that may take writes; 1 for a server that is in no Galera cluster."""
    found = connection.execute(_NODES).first()
    # A library that is loaded and not connected has 0.
    return max(1, int(found[1])) if found else 1


def limits(number: int) -> str:
    """What the sums rest on in a cluster of so many nodes."""
    return (
        f"{number} Galera nodes: the sums are {WAIT:.0f} s late, and exact only while no write on "
        f"another node takes longer"
    )


def warning(connection: Connection) -> str | None:
    """What to know of the sums here, as a sentence; None where locks show every write."""
    number = nodes(connection)
    if number == 1:
        return None
    longest = connection.scalar(_LONGEST) or 0.0
    if longest > WAIT:
        return (
            f"{number} Galera nodes, and a write took {longest:.1f} s, but the sums wait for "
            f"{WAIT:.0f} s: they may lack its rows. Let all workers write to one node, and "
            "run `faust -A app rollup rebuild`."
        )
    return f"{limits(number)}: let all workers write to one node."
