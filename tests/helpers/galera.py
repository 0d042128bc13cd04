"""Two nodes of a Galera cluster on this machine."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pymysql
import pytest

from dev import LOCAL
from dev.servers.database import SERVERS, DatabaseServer, private_server
from dev.servers.processes import free_port
from tests.helpers.worker import wait_until

#: Hands over nothing: the nodes begin with the same data, and what came since is sent otherwise.
#: The joiner learns from the donor where that begins.
_NO_TRANSFER = """#!/bin/bash
while [ $# -gt 0 ]; do case $1 in --role) role=$2;; --gtid) gtid=$2;; esac; shift; done
file=$(dirname "$0")/gtid
if [ "$role" = donor ]; then echo "$gtid" >"$file.new" && mv "$file.new" "$file"
    echo "done $gtid"; exit; fi
echo "ready 127.0.0.1:1/copied"
until [ -e "$file" ]; do sleep 0.05; done
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
    library = provider()
    ports = free_port(), free_port()
    first, second = (
        _node(folder / f"node-{number}", library, ports[number], address)
        for number, address in enumerate(("gcomm://", f"gcomm://127.0.0.1:{ports[0]}"))
    )
    with first:
        pass
    # The second begins with the first one's data, and needs no transfer.
    shutil.copytree(first.folder, second.folder, ignore=shutil.ignore_patterns("gvwstate.dat"))
    state = second.folder / "data" / "grastate.dat"
    state.write_text(state.read_text().replace("safe_to_bootstrap: 1", "safe_to_bootstrap: 0"))
    owner = (first.folder / "data").stat().st_uid
    for path in (second.folder / "data", *(second.folder / "data").rglob("*")):
        shutil.chown(path, owner)
    scripts = folder / "scripts"
    scripts.mkdir()
    scripts.chmod(0o777)
    script = scripts / "wsrep_sst_copied"
    script.write_text(_NO_TRANSFER)
    script.chmod(0o755)
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{scripts}:{os.environ['PATH']}")
        stack.enter_context(first)
        stack.enter_context(second)
        wait_until(lambda: _is_ready(second), 30, "the second node is ready")
        yield first, second


def _is_ready(node: DatabaseServer) -> bool:
    with suppress(pymysql.Error):
        return bool(
            node.execute("SHOW STATUS WHERE Variable_name = 'wsrep_ready' AND Value = 'ON'")
        )
    return False


def _node(folder: Path, library: Path, port: int, address: str) -> DatabaseServer:
    return private_server(
        folder,
        "mariadb-10.11" if "mariadb-10.11" in SERVERS else None,
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
