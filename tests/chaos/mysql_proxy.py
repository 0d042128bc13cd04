"""A proxy that knows MySQL's protocol and does with single statements what bad proxies do."""

import contextlib
import socket
import struct
import threading
from typing import Any, BinaryIO, Self

import pymysql
from sqlalchemy import make_url

from db.connection.driver import install, send_lines
from tests.chaos.proxy import without_tls

_QUERY = 3


class MySQLProxy:
    """Forwards 127.0.0.1:``port`` to a server on 127.0.0.1, in plain text.

    ``elsewhere``: statements that begin so run on another connection to the server, which commits
    each by itself, and their answers are passed on.
    ``swallowed``: statements that begin so are answered with OK and go nowhere.
    ``refused``: statements that begin so are answered with ``error`` and go nowhere.
    ``seen``: how many statements were treated in one of these ways.

    Args:
        url: of the server's database.
    """

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._server_port = self._url.port or 3306
        self._sockets: list[socket.socket] = []
        self.elsewhere: tuple[str, ...] = ()
        self.swallowed: tuple[str, ...] = ()
        self.refused: tuple[str, ...] = ()
        #: A code and what the server says.
        self.error = (1105, "unknown")
        self.seen = 0

    def __enter__(self) -> Self:
        install()
        self._other = pymysql.connect(
            host="127.0.0.1",
            port=self._server_port,
            user=self._url.username,
            password=self._url.password or "",
            database=self._url.database,
            autocommit=True,
            local_infile=True,
        )
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._other.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server_port))
                self._sockets += [client, server]
                client.sendall(without_tls(server.recv(65536)))
                for work in (self._commands, self._answers):
                    threading.Thread(target=work, args=(client, server), daemon=True).start()

    def _answers(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)

    def _commands(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError), client.makefile("rb") as source:
            while head := source.read(4):
                body = source.read(int.from_bytes(head[:3], "little"))
                statement = body[1:].decode(errors="replace") if self._is(head, body) else ""
                lines, last = b"", 0
                if statement.startswith("LOAD DATA") and statement.startswith(self.elsewhere):
                    lines, last = _lines(client, source)
                answer = self._treat(statement, lines)
                for number, packet in enumerate(answer, last + 1):
                    client.sendall(_header(packet, number) + packet)
                if not answer:
                    server.sendall(head + body)
            server.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _is(head: bytes, body: bytes) -> bool:
        """Whether the packet is a statement, and not a part of the login."""
        return head[3] == 0 and body[:1] == bytes([_QUERY])

    def _treat(self, statement: str, lines: bytes) -> list[bytes]:
        """The answer's packets; none where the statement is passed on as it is."""
        if statement.startswith(self.swallowed or ("\0",)):
            self.seen += 1
            return [_ok(0, 0)]
        if statement and statement.startswith(self.refused or ("\0",)):
            self.seen += 1
            return [_error(*self.error)]
        if not statement.startswith(self.elsewhere or ("\0",)):
            return []
        self.seen += 1
        try:
            with self._other.cursor() as cursor, send_lines(self._other, lines):
                cursor.execute(statement)
                if cursor.description:
                    return _result(cursor)
                return [_ok(cursor.rowcount, cursor.lastrowid or 0)]
        except pymysql.MySQLError as error:
            return [_error(*error.args)]


def _lines(client: socket.socket, source: BinaryIO) -> tuple[bytes, int]:
    """Ask for the lines of a LOAD DATA LOCAL; returns them, and the last packet's number."""
    question = b"\xfblines"
    client.sendall(_header(question, 1) + question)
    lines = b""
    while head := source.read(4):
        body = source.read(int.from_bytes(head[:3], "little"))
        if not body:
            return lines, head[3]
        lines += body
    raise ConnectionError("the client ended before its lines did")


def _header(packet: bytes, number: int) -> bytes:
    return len(packet).to_bytes(3, "little") + bytes([number])


def _error(code: int, message: str) -> bytes:
    return b"\xff" + struct.pack("<H", code) + b"#HY000" + message.encode()


def _ok(rows: int, last_id: int) -> bytes:
    return b"\0" + _number(rows) + _number(last_id) + struct.pack("<HH", 0, 0)


def _result(cursor: Any) -> list[bytes]:
    """A result set: columns and rows as text."""
    end = b"\xfe" + struct.pack("<HH", 0, 0)
    columns = [
        b"".join(map(_text, ("def", "", "", "", name, "")))
        + b"\x0c"
        + struct.pack("<HIBHB", 45, 1024, kind, 0, 0)
        + b"\0\0"
        for name, kind, *_ in cursor.description
    ]
    rows = [
        b"".join(b"\xfb" if value is None else _text(value) for value in row)
        for row in cursor.fetchall()
    ]
    return [bytes([len(columns)]), *columns, end, *rows, end]


def _text(value: object) -> bytes:
    encoded = str(value).encode()
    return bytes([len(encoded)]) + encoded


def _number(value: int) -> bytes:
    return b"\xfe" + struct.pack("<Q", value)
