"""A port that leads to a server which is so far away: all bytes come later, none are held up."""

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Iterator

#: Pieces on their way at most, and bytes of one: more than such a line holds at 10 Gb/s.
_PIECES, _PIECE = 64, 262_144

_Pieces = queue.Queue[tuple[float, bytes]]


@contextlib.contextmanager
def distant(port: int, seconds: float) -> Iterator[int]:
    """A port of this machine to which an answer of the other one takes so much longer.

    Threads that sleep are used, as an event loop wakes to the millisecond only.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_accept, args=(listening, port, seconds / 2), daemon=True).start()
        try:
            yield listening.getsockname()[1]
        finally:
            # Closing alone does not wake the thread that waits in it.
            listening.shutdown(socket.SHUT_RDWR)


def _accept(listening: socket.socket, port: int, delay: float) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listening.accept()
            server = socket.create_connection(("127.0.0.1", port))
            for one, other in ((client, server), (server, client)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                pieces: _Pieces = queue.Queue(_PIECES)
                for target, end in ((_read, one), (_write, other)):
                    threading.Thread(target=target, args=(end, pieces, delay), daemon=True).start()


def _read(source: socket.socket, pieces: _Pieces, delay: float) -> None:
    piece = b"more"
    while piece:
        try:
            piece = source.recv(_PIECE)
        except OSError:
            piece = b""
        pieces.put((time.monotonic() + delay, piece))


def _write(out: socket.socket, pieces: _Pieces, _delay: float) -> None:
    with out, contextlib.suppress(OSError):
        while True:
            due, piece = pieces.get()
            time.sleep(max(0.0, due - time.monotonic()))
            if not piece:
                # The other direction's reader ends with it.
                out.shutdown(socket.SHUT_RDWR)
                return
            out.sendall(piece)
