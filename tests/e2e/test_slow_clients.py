"""A crowd of clients at a byte a second costs a sync pool nothing: the engine waits for them, not a worker."""

import socket
import threading
import time
from pathlib import Path
from types import TracebackType

from harness import http as web
from harness.appd import DONE, Appd
from harness.apps import write_app
from harness.load import Load
from harness.waiting import wait_until

KIND = 167  # of each of the three kinds: 501 clients
LARGE = 256 * 1024
WORKERS = 2

# "/large" is more than a slow client's socket takes.
EXTRA = f"""
def large(environ, start_response):
    if environ["PATH_INFO"] != "/large":
        return app(environ, start_response)
    start_response("200 OK", [("Content-Length", "{LARGE}")])
    return [b"x" * {LARGE}]
"""


class Slow:
    """One client. It has sent the first part of a request, or reads an answer, byte by byte."""

    def __init__(self, port: int, at_once: bytes, in_bytes: bytes, expected: bytes) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(20)
        self.socket.connect(("127.0.0.1", port))
        self.socket.sendall(at_once)
        self.unsent = in_bytes
        self.expected = expected
        self.received = b""

    def step(self) -> None:
        """A byte further. All bytes but the last are sent: the request stays incomplete."""
        if len(self.unsent) > 1:
            self.socket.sendall(self.unsent[:1])
            self.unsent = self.unsent[1:]
        elif not self.unsent:
            self.received += self.socket.recv(1)

    def hurry(self) -> bool:
        """Sends and takes the rest at once. True: it was all there, and as it should be."""
        self.socket.sendall(self.unsent)
        while not self.received.endswith(self.expected):
            part = self.socket.recv(65536)
            if not part:
                break
            self.received += part
        self.socket.close()
        return self.received.startswith(b"HTTP/1.1 200 ") and self.received.endswith(self.expected)


class Crowd:
    """Slow clients in a thread of their own, each a byte further each second."""

    def __init__(self, port: int) -> None:
        head = b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: " + b"s" * 100 + b"\r\n\r\n"
        post = b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
        body = b"b" * 100
        get = b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n"
        self.clients = [Slow(port, head[:20], head[20:], b"hello") for _ in range(KIND)]
        self.clients += [Slow(port, post, body, body) for _ in range(KIND)]
        self.clients += [Slow(port, get, b"", b"x" * LARGE) for _ in range(KIND)]
        self.rounds = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._over.wait(1):
            for client in self.clients:
                client.step()
            self.rounds += 1

    def __enter__(self) -> "Crowd":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()


def seconds_for(port: int, requests: int) -> float:
    """How long so many requests of 50 ms take a client for each worker."""

    def run() -> None:
        for _ in range(requests // WORKERS):
            assert web.request(port, "/slow?ms=50").text == "slept"

    threads = [threading.Thread(target=run) for _ in range(WORKERS)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.monotonic() - begin


def test_500_clients_at_a_byte_a_second_cost_a_sync_pool_no_capacity(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web", extra=EXTRA)
    appd.create("web", folder, port, "--workers", str(WORKERS), app="wsgi:large").expect(DONE)
    pids = appd.ready_pids("web")
    alone = seconds_for(port, 40)
    with Crowd(port) as crowd:
        wait_until(lambda: crowd.rounds >= 2, "every client of the crowd has gone two bytes further")
        begun = crowd.rounds
        assert seconds_for(port, 40) < 1.5 * alone + 0.5
        with Load(f"http://127.0.0.1:{port}/", connections=8) as load:
            wait_until(lambda: crowd.rounds >= begun + 3, "and three more")
            workers = appd.workers("web")
            assert sum(worker["connections"] for worker in workers) >= 3 * KIND, "all of them are served"
        load.assert_nothing_lost(at_least=1000)
    assert all(client.hurry() for client in crowd.clients), "and each gets its answer in the end"
    assert appd.ready_pids("web") == pids
