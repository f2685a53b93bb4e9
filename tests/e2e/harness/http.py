"""Small clients: one that speaks HTTP as it should, and one that sends whatever bytes it is given."""

import http.client
import socket
from contextlib import ExitStack
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def request(
    port: int,
    target: str = "/",
    method: str = "GET",
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    timeout: float = 20.0,
) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, target, body=body, headers=headers or {})
        response = connection.getresponse()
        fields = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, fields, response.read())
    finally:
        connection.close()


def connect(port: int, timeout: float = 20.0) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=timeout)


def send_raw(port: int, data: bytes, timeout: float = 20.0) -> bytes:
    """Sends bytes, however much of them the server takes, and returns all that comes back until it
    closes. The server may answer and close while we still send."""
    with connect(port, timeout) as client:
        try:
            client.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return read_to_end(client)


def all_at_once(port: int, targets: list[str]) -> list[bytes]:
    """The bodies of requests that are all sent, each on a connection of its own, before the first answer is read."""
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(port)) for _ in targets]
        for client, target in zip(clients, targets):
            client.sendall(f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        answers = [read_to_end(client) for client in clients]
    assert [status_of(answer) for answer in answers] == [200] * len(targets)
    return [answer.partition(b"\r\n\r\n")[2] for answer in answers]


def read_to_end(client: socket.socket) -> bytes:
    received = b""
    while True:
        try:
            part = client.recv(65536)
        except ConnectionResetError:
            return received
        if not part:
            return received
        received += part


def status_of(raw: bytes) -> int | None:
    """The status of the first answer in the bytes, None when there is none."""
    first = raw.split(b"\r\n", 1)[0].split(b" ")
    return int(first[1]) if raw.startswith(b"HTTP/1.") and len(first) > 1 else None


def refused(port: int) -> bool:
    try:
        connect(port, timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False
