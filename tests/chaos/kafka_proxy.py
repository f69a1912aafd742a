"""A TCP proxy between workers and the broker that can break the connections of one worker by their role.

Each worker connects to a listener of its own (`address`), so a fault affects exactly one worker. The proxy reads the
header of each request to learn the connection's `Role`, and replaces the broker's port in responses that name brokers,
so that later connections come through the proxy, too. A fault lasts until `heal`:

    hold    nothing passes; held messages arrive late, as after a network partition. If only responses are held
            (`Direction.ANSWERS`), the connection is half-open: the broker executes requests and nobody sees the
            response. A connection that is swallowed for good is held and never healed
    delay   each message is delayed
    reset   existing connections end with RST; new ones work

It runs in a thread of its own; every method may be called from any thread. It expects a broker on loopback without TLS.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Self

LOOPBACK = "127.0.0.1"
LENGTH = struct.Struct(">i")
# API key, API version, correlation id, length of the client id (-1: none)
REQUEST_HEADER = struct.Struct(">hhih")
PORT = struct.Struct(">i")
# The follower of orders names itself, because it fetches like everybody else (`streams/control_subscriber.py`).
CONTROL_CLIENT = "nightdesk-control"
CALL_WITHIN_S = 10.0
BUFFER_BYTES = 1 << 20


class Role(Enum):
    """The purpose of a connection. `OTHER` asks for metadata, offsets and the like, and may get another role later."""

    COORDINATOR = "coordinator"
    FETCH = "fetch"
    CONTROL = "control"
    PRODUCE = "produce"
    OTHER = "other"


class Direction(Enum):
    """The direction of a message."""

    REQUESTS = "requests"
    ANSWERS = "answers"


BOTH = (Direction.REQUESTS, Direction.ANSWERS)
PRODUCE, FETCH, METADATA, FIND_COORDINATOR, DESCRIBE_CLUSTER = 0, 1, 3, 10, 60
# OffsetCommit, OffsetFetch, JoinGroup, Heartbeat, LeaveGroup, SyncGroup
COORDINATION = frozenset({8, 9, 11, 12, 13, 14})
NAMES_BROKERS = frozenset({METADATA, FIND_COORDINATOR, DESCRIBE_CLUSTER})


@dataclass(frozen=True)
class Fault:
    """A fault holds messages if `delay_s` is None."""

    directions: tuple[Direction, ...]
    delay_s: float | None = None


@dataclass(eq=False)
class Connection:
    """One connection of a worker, with the API keys of its unanswered requests in order."""

    worker: str
    client: asyncio.StreamWriter
    broker: asyncio.StreamWriter
    role: Role = Role.OTHER
    asked: deque[int] = field(default_factory=deque)


class KafkaProxy:
    """A context manager. `hit` counts the messages that a fault held or delayed, by worker and role: a scenario whose
    fault affected no message has tested nothing.
    """

    def __init__(self, broker: str) -> None:
        """`broker` is `host:port` as the broker advertises itself."""
        host, _, port = broker.rpartition(":")
        self._broker = (host, int(port))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kafka-proxy", daemon=True)
        self._ports: dict[str, int] = {}
        self._servers: list[asyncio.Server] = []
        self._connections: set[Connection] = set()
        self._serving: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._faults: dict[tuple[str, Role], Fault] = {}
        self._changed = asyncio.Event()
        self.hit: Counter[tuple[str, Role]] = Counter()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(CALL_WITHIN_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # -- what tests call

    def address(self, worker: str) -> str:
        """The worker's address of the broker: its `bootstrap.servers`."""
        if worker not in self._ports:
            opened = asyncio.run_coroutine_threadsafe(self._listen(worker), self._loop)
            self._ports[worker] = opened.result(CALL_WITHIN_S)
        return f"{LOOPBACK}:{self._ports[worker]}"

    def hold(self, worker: str, *roles: Role, directions: tuple[Direction, ...] = BOTH) -> None:
        """Hold connections of these roles; without a role, all of them."""
        self._set(worker, roles, Fault(directions))

    def delay(self, worker: str, *roles: Role, seconds: float, directions: tuple[Direction, ...] = BOTH) -> None:
        """Delay each message."""
        self._set(worker, roles, Fault(directions, seconds))

    def heal(self, worker: str, *roles: Role) -> None:
        """Remove the faults; held messages pass now."""
        self._set(worker, roles, None)

    def reset(self, worker: str, *roles: Role) -> None:
        """End the connections of these roles with RST."""
        self._call(lambda: self._reset(worker, roles or tuple(Role)))

    # -- on the proxy's loop

    def _set(self, worker: str, roles: tuple[Role, ...], fault: Fault | None) -> None:
        self._call(lambda: self._change(worker, roles or tuple(Role), fault))

    def _call(self, function: Callable[[], None]) -> None:
        async def call() -> None:
            function()

        asyncio.run_coroutine_threadsafe(call(), self._loop).result(CALL_WITHIN_S)

    def _change(self, worker: str, roles: tuple[Role, ...], fault: Fault | None) -> None:
        for role in roles:
            if fault is None:
                self._faults.pop((worker, role), None)
            else:
                self._faults[worker, role] = fault
        self._changed.set()
        self._changed = asyncio.Event()

    def _reset(self, worker: str, roles: tuple[Role, ...]) -> None:
        for connection in [one for one in self._connections if one.worker == worker and one.role in roles]:
            for end in (connection.client, connection.broker):
                # Closed with time 0 to linger, a socket says RST.
                end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.transport.abort()

    async def _listen(self, worker: str) -> int:
        # A plain function is called before anything can cancel it, so that no connection is ever without its task.
        def connected(reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
            task = self._loop.create_task(self._serve(worker, reader, client))
            self._serving[task] = client
            task.add_done_callback(self._serving.pop)

        server = await asyncio.start_server(connected, LOOPBACK, 0, limit=BUFFER_BYTES)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _close(self) -> None:
        """Close all connections, because a loop that stops before its transports are closed leaves sockets that Python
        warns about in a later test.
        """
        # Servers close last: asyncio leaks a connection that it accepts while its server closes.
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            serving = dict(self._serving)
            for task in serving:
                task.cancel()
            await asyncio.wait(tasks)
            await _abort(*serving.values())  # a task that was cancelled before it began has closed nothing
        for server in self._servers:
            server.close()

    async def _serve(self, worker: str, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            answers, broker = await asyncio.open_connection(*self._broker, limit=BUFFER_BYTES)
        except OSError:
            await _abort(client)
            return
        connection = Connection(worker, client, broker)
        self._connections.add(connection)
        pumps = [
            asyncio.create_task(self._pump(connection, Direction.REQUESTS, reader, broker)),
            asyncio.create_task(self._pump(connection, Direction.ANSWERS, answers, client)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._connections.discard(connection)
            for end in (client, broker):
                end.transport.abort()  # before anything is awaited, because the end of the proxy may cancel that
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            await _abort(client, broker)

    async def _pump(
        self,
        connection: Connection,
        direction: Direction,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):  # one of the two ends is gone
            while True:
                size = await reader.readexactly(LENGTH.size)
                frame = await reader.readexactly(LENGTH.unpack(size)[0])
                if direction is Direction.REQUESTS:
                    _note(connection, frame)
                else:
                    frame = self._through_us(connection, frame)
                await self._admit(connection, direction)
                writer.write(size + frame)
                await writer.drain()

    def _through_us(self, connection: Connection, answer: bytes) -> bytes:
        """Replace the broker's port. Host and port are adjacent wherever a broker is named, and our port has the same
        length.
        """
        if connection.asked.popleft() not in NAMES_BROKERS:
            return answer
        host, port = self._broker
        ours = host.encode() + PORT.pack(self._ports[connection.worker])
        return answer.replace(host.encode() + PORT.pack(port), ours)

    async def _admit(self, connection: Connection, direction: Direction) -> None:
        """Wait until no fault affects the message."""
        while True:
            fault = self._faults.get((connection.worker, connection.role))
            if fault is None or direction not in fault.directions:
                return
            self.hit[connection.worker, connection.role] += 1
            if fault.delay_s is not None:
                await asyncio.sleep(fault.delay_s)
                return
            await self._changed.wait()


async def _abort(*ends: asyncio.StreamWriter) -> None:
    """Close without sending what nobody reads any more. On return the sockets are closed."""
    for end in ends:
        end.transport.abort()
    await asyncio.gather(*(end.wait_closed() for end in ends), return_exceptions=True)


def _note(connection: Connection, request: bytes) -> None:
    """Learn the connection's role from a request."""
    api_key, _, _, client_length = REQUEST_HEADER.unpack_from(request)
    client = request[REQUEST_HEADER.size : REQUEST_HEADER.size + max(0, client_length)].decode()
    connection.asked.append(api_key)  # each is answered: nobody here produces with acks=0
    if api_key == PRODUCE:
        connection.role = Role.PRODUCE
    elif api_key in COORDINATION:
        connection.role = Role.COORDINATOR
    elif api_key == FETCH or client == CONTROL_CLIENT:
        connection.role = Role.CONTROL if client == CONTROL_CLIENT else Role.FETCH
