"""Nodes of a Galera cluster on this machine."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pymysql
import pytest

from dev import LOCAL
from dev.servers.database import DEFAULT, SERVERS, DatabaseServer, private_server
from dev.servers.processes import StartError, free_port
from tests.helpers.worker import wait_until

#: Hands over nothing: the nodes begin with the same data, and what came since is sent otherwise.
#: The joiner learns from the donor where that begins.
_NO_TRANSFER = """#!/bin/bash
while [ $# -gt 0 ]; do case $1 in --role) role=$2;; --gtid) gtid=$2;; esac; shift; done
file=$(dirname "$0")/gtid
if [ "$role" = donor ]; then echo "$gtid" >"$file.new" && mv "$file.new" "$file"
    echo "done $gtid"; exit; fi
rm -f "$file"
echo "ready 127.0.0.1:1/copied"
# Not for ever: a server that ends meanwhile leaves this behind.
for _ in {1..1200}; do [ -e "$file" ] && break; sleep 0.05; done
cat "$file"
"""
_HOME = "usr/lib/galera/libgalera_smm.so"


def provider() -> Path:
    """Galera's library: the package galera-4, installed or unpacked into ``.local/galera``."""
    for folder in (LOCAL / "galera", Path("/")):
        if (folder / _HOME).exists():
            return folder / _HOME
    pytest.skip(f"the package galera-4 is neither installed nor unpacked into {LOCAL / 'galera'}")


@contextmanager
def two_nodes(folder: Path) -> Iterator[tuple[DatabaseServer, DatabaseServer]]:
    """Two nodes with the same data; both take writes."""
    with cluster(folder, 2) as (first, second):
        yield first, second


@contextmanager
def cluster(folder: Path, count: int) -> Iterator[list[DatabaseServer]]:
    """So many nodes with the same data: two that run, and others that ``join`` starts."""
    library = provider()
    ports = [free_port() for _ in range(count)]
    members = ",".join(f"127.0.0.1:{port}" for port in ports)
    nodes = [
        _node(folder / f"node-{number}", library, port, f"gcomm://{members if number else ''}")
        for number, port in enumerate(ports)
    ]
    first, *others = nodes
    with first:
        pass
    for node in others:
        _copy(first, node)
    scripts = folder / "scripts"
    scripts.mkdir()
    scripts.chmod(0o777)
    script = scripts / "wsrep_sst_copied"
    script.write_text(_NO_TRANSFER)
    script.chmod(0o755)
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{scripts}:{os.environ['PATH']}")
        for node in nodes:
            stack.callback(node.stop)
        first.start()
        join(nodes[1])
        yield nodes


def join(node: DatabaseServer) -> None:
    """Start a node, and wait until it has what it missed, and takes writes."""
    node.start()
    wait_until(lambda: is_ready(node), 60, "the node is ready")


def is_ready(node: DatabaseServer) -> bool:
    """Whether a node is part of the cluster and takes statements."""
    with suppress(pymysql.Error):
        return bool(
            node.execute("SHOW STATUS WHERE Variable_name = 'wsrep_ready' AND Value = 'ON'")
        )
    return False


def _copy(first: DatabaseServer, other: DatabaseServer) -> None:
    """Let a node begin with the data of the first, so that it needs no transfer of all of it."""
    shutil.copytree(first.folder, other.folder, ignore=shutil.ignore_patterns("gvwstate.dat"))
    state = other.folder / "data" / "grastate.dat"
    state.write_text(state.read_text().replace("safe_to_bootstrap: 1", "safe_to_bootstrap: 0"))
    owner = (first.folder / "data").stat().st_uid
    for path in (other.folder / "data", *(other.folder / "data").rglob("*")):
        shutil.chown(path, owner)


def _mariadb() -> str:
    """The server: MariaDB 10.11 where it was fetched, else the installed one."""
    with suppress(StartError):
        SERVERS["mariadb-10.11"]()
        return "mariadb-10.11"
    return DEFAULT


def _node(folder: Path, library: Path, port: int, address: str) -> DatabaseServer:
    return private_server(
        folder,
        _mariadb(),
        options=(
            "--wsrep-on=ON",
            f"--wsrep-provider={library}",
            f"--wsrep-cluster-address={address}",
            f"--wsrep-node-address=127.0.0.1:{port}",
            f"--wsrep-node-name={folder.name}",
            f"--wsrep-provider-options=base_port={port};gcache.size=16M;"
            f"gmcast.listen_addr=tcp://127.0.0.1:{port};ist.recv_addr=127.0.0.1:{free_port()}",
            "--wsrep-sst-method=copied",
            "--binlog-format=ROW",
            "--innodb-autoinc-lock-mode=2",
        ),
    )
