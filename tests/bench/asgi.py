"""Class asgi beside uvicorn with uvloop and httptools: hello, streaming, echo of 10 KB, WebSocket echo."""

import selectors
import socket
import statistics
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from common import CLIENT_CORE, PYTHON, SERVER_CORE, Report, Server, cpu_seconds, free_port, interleaved, running, running_appd

ROUNDS, SECONDS = 3, 2
CONNECTIONS = [16, 64, 512]
MESSAGES = 10_000

APP = '''
HELLO = b"Hello, world!\\n"
PIECE = b"x" * 1024


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await websocket(receive, send)
        return
    if scope["type"] != "http":
        raise RuntimeError("no lifespan")
    body = HELLO
    if scope["path"] == "/echo":
        body, more = b"", True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
    elif scope["path"] == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        for _ in range(10):
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        await send({"type": "http.response.body"})
        return
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def websocket(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        await send({"type": "websocket.send", "text": message["text"]})
'''

ECHO_SCRIPT = 'wrk.method = "POST"\nwrk.body = string.rep("x", 10240)\n'


def uvicorn(port: int) -> list[str]:
    options = ["--loop", "uvloop", "--http", "httptools", "--ws", "websockets", "--no-access-log", "--log-level", "error"]
    return [PYTHON, "-m", "uvicorn", "--host", "127.0.0.1", "--port", str(port), *options, "asgi:app"]


def frame(text: bytes) -> bytes:
    """A masked text frame (RFC 6455 §5.2); the key is zero, so the payload is itself."""
    return bytes([0x81, 0x80 | len(text)]) + b"\0\0\0\0" + text


def open_websocket(port: int) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(
        b"GET / HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += client.recv(4096)
    assert answer.startswith(b"HTTP/1.1 101"), answer
    return client


def echo_messages(server: Server, connections: int) -> tuple[float, float]:
    """Each client sends the next message when it has the last one back. (messages/s, CPU µs a message)"""
    message = frame(b"a message of thirty-two letters!")
    size = len(message) - 4  # the answer is unmasked
    clients = [open_websocket(server.port) for _ in range(connections)]
    with selectors.DefaultSelector() as selector:
        for client in clients:
            client.setblocking(False)
            selector.register(client, selectors.EVENT_READ)
        before, begin, done = cpu_seconds(server.root), time.monotonic(), 0
        for client in clients:
            client.send(message)
        while done < MESSAGES:
            for key, _ in selector.select(10):
                if len(key.fileobj.recv(4096)) != size:  # type: ignore[union-attr]
                    raise AssertionError("not the echo of one message")
                done += 1
                key.fileobj.send(message)  # type: ignore[union-attr]
        took, used = time.monotonic() - begin, cpu_seconds(server.root) - before
    for client in clients:
        client.close()
    return done / took, used / done * 1e6


def median_of(runs: Iterable[tuple[float, float]]) -> tuple[float, float]:
    rates, costs = zip(*runs, strict=True)
    return statistics.median(rates), statistics.median(costs)


def main() -> None:
    report = Report(
        "asgi",
        f"1 worker, keep-alive, wrk -t1 -d{SECONDS}s (WebSocket: {MESSAGES:,} messages, one at a time a client); server on core "
        f"{SERVER_CORE}, client on core {CLIENT_CORE}; medians of {ROUNDS} interleaved rounds; CPU of the whole tree",
        ["what", "connections", "appd/s", "uvicorn/s", "×", "appd CPU µs", "uvicorn CPU µs", "uvicorn ÷ appd"],
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="appd-bench-")))
        (folder / "asgi.py").write_text(APP)
        script = folder / "echo.lua"
        script.write_text(ECHO_SCRIPT)
        own, peer = free_port(), free_port()
        appd = stack.enter_context(running_appd())
        appd.create("bench", folder, own, "--worker-class", "asgi", app="asgi:app").expect(0)
        servers = [Server("appd", own, appd.pid), stack.enter_context(running("uvicorn", uvicorn(peer), peer, folder))]
        for what, target, lua in (("hello", "/", None), ("streaming 10 × 1 KB", "/stream", None), ("echo 10 KB", "/echo", script)):
            for connections in CONNECTIONS:
                results = interleaved(servers, ROUNDS, SECONDS, connections, target, lua)
                ours, theirs = results["appd"], results["uvicorn"]
                row(report, what, connections, (ours.per_second, ours.cpu_us), (theirs.per_second, theirs.cpu_us))
                if what == "hello" and connections == 64:
                    ratio = ours.per_second / theirs.per_second
                    report.target("ASGI hello over uvicorn's, 64 connections", ratio, 2.5, at_least=True)
        for connections in CONNECTIONS:
            rounds = [[echo_messages(server, connections) for server in servers] for _ in range(ROUNDS)]
            row(report, "WebSocket echo", connections, *(median_of(runs) for runs in zip(*rounds, strict=True)))
    report.finish()


def row(report: Report, what: str, connections: int, ours: tuple[float, float], theirs: tuple[float, float]) -> None:
    report.row(
        what, connections, f"{ours[0]:,.0f}", f"{theirs[0]:,.0f}", f"{ours[0] / theirs[0]:.2f}",
        f"{ours[1]:.1f}", f"{theirs[1]:.1f}", f"{theirs[1] / ours[1]:.2f}",
    )  # fmt: skip
    report.figures[f"{what}, {connections}"] = {"appd": ours, "uvicorn": theirs}
