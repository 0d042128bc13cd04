"""Private names of Faust, mode, aiokafka and PyMySQL that this app touches, all of them.

An upgrade may change such names without notice: then a test here fails. Signatures are read from
the libraries' files, as some of these names are replaced in this process.
"""

import ast
import asyncio
import inspect
import re
import sys
from typing import Any

import faust
import faust.cli.base
import faust.models.base
import mode
import pymysql
import pytest
from aiokafka import AIOKafkaConsumer, client, conn
from aiokafka.conn import AIOKafkaConnection, OAuthAuthenticator
from aiokafka.consumer.fetcher import Fetcher, FetchResult
from aiokafka.consumer.group_coordinator import GroupCoordinator
from faust.sensors import Monitor
from faust.tables import TableManager
from faust.transport.drivers import aiokafka as driver
from faust.web.drivers import aiohttp as web
from pymysql import _auth, connections, cursors

from tests.unit.test_architecture import LAYERS, files

#: How a name is there that is no function.
ATTRIBUTE = "attribute"
FAUST: dict[Any, dict[str, str]] = {
    driver.Consumer: {
        "_getmany": "async self, active_partitions, timeout",
        "_new_consumer_thread": "self",
        "_read_offset": ATTRIBUTE,
        "_thread": ATTRIBUTE,
        "_to_message": "self, tp, record",
    },
    driver.AIOKafkaConsumerThread: {
        "_consumer": ATTRIBUTE,
        "_create_worker_consumer": "self, transport",
        "_ensure_consumer": "self",
        "_fetch_records": "async self, consumer, active_partitions, timeout=None, max_records=None",
        "_keepalive2": "async self",
        "_stopped": ATTRIBUTE,
        "_stopped_set": "self",
        "_thread_keepalive": "async self",
    },
    faust.App: {"_new_web": "self"},
    TableManager: {"_update_channels": "async self"},
    web.Web: {"_runner": ATTRIBUTE},
    Monitor: {"_sampler": "async self"},
    mode.Worker: {
        "_crash": "self, reason",
        "_setup_logging": "self",
        "_shutdown_loop": "self",
    },
    faust.cli.base.Command: {"_click": ATTRIBUTE},
    faust.models.base.Model: {"_options": ATTRIBUTE},
}
AIOKAFKA: dict[Any, dict[str, str]] = {
    AIOKafkaConnection: {
        "_handle_frame": "self, resp",
        "_reader": ATTRIBUTE,
        "_requests": ATTRIBUTE,
        "_request_timeout": ATTRIBUTE,
        "_writer": ATTRIBUTE,
    },
    asyncio.StreamReader: {"_buffer": ATTRIBUTE},
    OAuthAuthenticator: {"_sasl_oauth_token_provider": ATTRIBUTE},
    AIOKafkaConsumer: dict.fromkeys(
        (
            "_closed",
            "_consumer_timeout",
            "_coordinator",
            "_fetch_max_bytes",
            "_fetcher",
            "_isolation_level",
            "_subscription",
        ),
        ATTRIBUTE,
    ),
    Fetcher: {
        "_closed": ATTRIBUTE,
        "_create_fetch_waiter": "self",
        "_notify": "self, future",
        "_records": ATTRIBUTE,
        "_subscriptions": ATTRIBUTE,
        "_wait_consume_future": ATTRIBUTE,
    },
    FetchResult: {"_partition_records": ATTRIBUTE, "_update_position": "self"},
    GroupCoordinator: {
        "_coordination_task": ATTRIBUTE,
        "_do_commit_offsets": "async self, assignment, offsets",
        "_do_rejoin_group": "async self, subscription",
        "_get_metadata_snapshot": "self",
        "_group_instance_id": ATTRIBUTE,
        "_group_subscription": ATTRIBUTE,
        "_metadata_snapshot": ATTRIBUTE,
        "_on_join_complete": "async self, generation, member_id, protocol, member_assignment_bytes",
        "_pending_exception": ATTRIBUTE,
        "_rejoin_needed_fut": ATTRIBUTE,
    },
}
#: Some have no underscore, and are not documented either.
PYMYSQL: dict[Any, dict[str, str]] = {
    pymysql: {"_auth": ATTRIBUTE},
    _auth: {"_have_cryptography": ATTRIBUTE, "sha2_rsa_encrypt": "password, salt, public_key"},
    connections: {"_send_local_file": "filename, conn"},
    connections.Connection: {
        "_create_ssl_ctx": "self, sslp",
        "_read_timeout": ATTRIBUTE,
        "ping": "self, reconnect=False",
        "server_status": ATTRIBUTE,
        "write_packet": "self, payload",
    },
    cursors.Cursor: {"warning_count": ATTRIBUTE},
}
NAMES = [
    pytest.param(owner, name, signature, id=f"{owner.__name__}.{name}")
    for owners in (FAUST, AIOKAFKA, PYMYSQL)
    for owner, names in owners.items()
    for name, signature in names.items()
]
#: What the standard library has under such names.
OF_NAMEDTUPLES = {"_asdict", "_fields", "_replace"}


def definitions(owner):
    """The parts of files in which a module or class is defined, its base classes included."""
    if inspect.ismodule(owner):
        yield ast.parse(inspect.getsource(owner))
        return
    for parent in owner.__mro__[:-1]:
        for node in ast.walk(ast.parse(inspect.getsource(sys.modules[parent.__module__]))):
            if isinstance(node, ast.ClassDef) and node.name == parent.__name__:
                yield node


def is_assigned(node):
    """Whether a name or an attribute gets a value here."""
    return isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store)


def found(owner, name):
    """How a module or class has a name: its arguments, or as an attribute; None if it has none."""
    if inspect.ismodule(getattr(owner, name, None)):
        return ATTRIBUTE
    for definition in definitions(owner):
        for node in definition.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
                for one in ast.walk(node.args):
                    if isinstance(one, ast.arg):
                        one.annotation = None
                kind = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
                return kind + ast.unparse(node.args)
        for node in ast.walk(definition):
            if is_assigned(node) and ast.unparse(node) in {name, f"self.{name}"}:
                return ATTRIBUTE
    return None


@pytest.mark.parametrize(("owner", "name", "signature"), NAMES)
def test_private_name_is_what_it_was(owner, name, signature):
    assert found(owner, name) == signature


def test_a_name_that_is_gone_is_noticed():
    assert found(connections, "_send_no_file") is None
    assert found(connections.Connection, "_send_local_file") is None


def test_no_other_private_name_is_touched():
    trees = [ast.parse(path.read_text()) for package in LAYERS for path in files(package)]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    attributes = [node for node in nodes if isinstance(node, ast.Attribute)]
    ours = {ast.unparse(node).removeprefix("self.") for node in nodes if is_assigned(node)}
    ours |= {
        node.name
        for node in nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    touched = {one.attr for one in attributes if re.match("_[^_]", one.attr)} - OF_NAMEDTUPLES
    assert touched - ours <= {str(one.values[1]) for one in NAMES}


def test_aiokafka_still_calls_what_is_replaced():
    link, clients = inspect.getsource(conn), inspect.getsource(client)
    for used in ("return OAuthAuthenticator(", "res = await authenticator.step(auth_bytes)"):
        assert link.count(used) == 1, used
    assert (
        link.count("self._requests.append(\n            (correlation_id, request_struct, fut),")
        == 1
    )
    assert clients.count("await create_conn(") == 2
    assert clients.count("if not conn.connected():\n                del self._conns[conn_id]") == 1
    assert clients.count("ssl_context=self._ssl_context") == 2
    assert clients.count("sasl_plain_password=self._sasl_plain_password") == 2


def test_pymysql_still_calls_what_is_replaced():
    auth, connection = inspect.getsource(_auth), inspect.getsource(connections)
    assert auth.count("data = sha2_rsa_encrypt(conn.password, ") == 2
    for used in (
        "_send_local_file(load_packet.filename, conn)",
        "self.ctx = self._create_ssl_ctx(ssl)",
        "self.ctx = self._create_ssl_ctx({})",
        # A password in bytes is sent as it is.
        "if isinstance(self.password, str):",
    ):
        assert connection.count(used) == 1, used
    assert "\ntry:\n    from cryptography.hazmat.backends import" in auth
