"""A TCP forwarder in front of a service, so that a test can cut it off, restore it, or lose an answer."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self


class Forwarder:
    """Listens on `port` (a free one) and passes bytes to `target` while it is `open`.

    With `lose_answers` it passes requests and cuts the connection instead of passing the answer.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.lose_answers = False
        self.answers_lost = 0
        self._is_open = True
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
        self._listener.close()

    def close(self) -> None:
        """Cut every connection and refuse new ones."""
        self._is_open = False
        self._cut()

    def open(self) -> None:
        self._is_open = True

    def _cut(self) -> None:
        for one in self._sockets:
            _end(one)
        self._sockets.clear()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not self._is_open:
                _end(client)
                continue
            server = socket.create_connection(self._target)
            self._sockets += [client, server]
            threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, are_answers: bool) -> None:
        try:
            while data := source.recv(65_536):
                if are_answers and self.lose_answers:
                    self.answers_lost += 1
                    break
                sink.sendall(data)
        except OSError:
            pass
        _end(source)
        _end(sink)


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
