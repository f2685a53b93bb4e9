"""A request on a connection whose worker is busy does not wait for it while a sibling is free."""

import os
import select
import socket
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness import http as web
from harness.appd import DONE, Appd
from harness.apps import write_app
from harness.load import Load
from harness.waiting import wait_until

# Opening a fifo waits for the other side, and holds up whoever does it: an event loop and gevent's too.
BLOCKING = '''\
import os

def block(name):
    open(f"{name}.begun", "w").close()
    open(name).close()
'''
WSGI = BLOCKING + '''
def app(environ, start_response):
    if environ["PATH_INFO"] == "/block":
        block(environ["QUERY_STRING"])
    pid = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(pid)))])
    return [pid]
'''
ASGI = BLOCKING + '''
async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    if scope["path"] == "/block":
        block(scope["query_string"].decode())
    pid = str(os.getpid()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(pid)).encode())]})
    await send({"type": "http.response.body", "body": pid})
'''


def get(client: socket.socket, path: str = "/") -> int:
    """The pid of the worker that answers."""
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    return answer(client)


def answer(client: socket.socket) -> int:
    received = b""
    while b"\r\n\r\n" not in received or received.endswith(b"\r\n\r\n"):
        part = client.recv(4096)
        assert part, received
        received += part
    return int(received.partition(b"\r\n\r\n")[2])


CLASSES = {"sync": ("sync", 1), "gthread": ("gthread", 2), "gevent": ("gevent", 1), "asgi": ("asgi", 1)}


@pytest.mark.parametrize("kind", CLASSES)
def test_an_idle_connection_of_a_busy_worker_is_served_by_its_sibling(
    appd: Appd, port: int, tmp_path: Path, kind: str
) -> None:
    worker_class, threads = CLASSES[kind]
    folder = write_app(tmp_path / "web", source=ASGI if kind == "asgi" else WSGI)
    options = ["--worker-class", worker_class, "--threads", str(threads), "--workers", "2", "--timeout", "60s"]
    appd.create("web", folder, port, *options).expect(DONE)
    with ExitStack() as stack:
        clients = [stack.enter_context(web.connect(port)) for _ in range(16)]
        held_by = {client: get(client) for client in clients}
        ((busy_pid, _),) = Counter(held_by.values()).most_common(1)
        of_busy = [client for client in clients if held_by[client] == busy_pid]
        blocking, idle = of_busy[:threads], of_busy[threads:]
        assert idle
        for number, client in enumerate(blocking):
            os.mkfifo(folder / f"fifo{number}")
            client.sendall(f"GET /block?fifo{number} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            wait_until((folder / f"fifo{number}.begun").exists, "the app blocks")
        assert busy_pid not in {get(client) for client in idle}
        assert not select.select(blocking, [], [], 0)[0]
        for number in range(threads):
            (folder / f"fifo{number}").open("w").close()
        assert {answer(client) for client in blocking} == {busy_pid}


def test_under_uneven_load_every_request_is_answered(appd: Appd, port: int, tmp_path: Path) -> None:
    """Connections go to and fro between the workers, while these change in number."""
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "4").expect(DONE)
    slow, quick = f"http://127.0.0.1:{port}/slow?ms=20", f"http://127.0.0.1:{port}/"
    with Load(quick, quick, quick, slow, connections=48) as load:
        for workers in ("2", "5", "1", "4"):
            appd.ok("scale", "web", "--workers", workers)
        appd.ok("reload", "web")
    load.assert_nothing_lost(at_least=200)
