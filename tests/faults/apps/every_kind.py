"""One app for every kind of client, as WSGI (`app`) and as ASGI (`live`): every answer carries the number of its
request and the pid of who gave it, and long ones can be told to be whole."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import Any
from urllib.parse import parse_qs

VERSION = "1"
PIECE = 8192

Message = MutableMapping[str, Any]


def pieces(number: str, size: int) -> Iterator[bytes]:
    """A body of which every line says where it stands and in which answer."""
    line, sent = 0, 0
    while sent < size:
        text = "".join(f"{number} {line + offset:08d}\n" for offset in range(PIECE // 16)).encode()
        line += PIECE // 16
        sent += len(text)
        yield text


def query_of(text: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(text).items()}


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    number = environ.get("HTTP_X_REQUEST_NUMBER", "0")
    headers = [("Content-Type", "text/plain"), ("X-Worker-Pid", str(os.getpid())), ("X-Request-Number", number)]
    query = query_of(environ["QUERY_STRING"])
    path = environ["PATH_INFO"]
    if path == "/stream":
        start_response("200 OK", headers)
        return pieces(number, int(query["size"]))
    body = b"hello"
    if path == "/version":
        body = VERSION.encode()
    elif path == "/slow":
        time.sleep(int(query["ms"]) / 1000)
    elif path == "/upload":
        body = environ["wsgi.input"].read()
    start_response("200 OK", [*headers, ("Content-Length", str(len(body)))])
    return [body]


async def live(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    if scope["type"] == "websocket":
        return await echo(receive, send)
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    number = next((value for name, value in scope["headers"] if name == b"x-request-number"), b"0")
    headers = [(b"x-worker-pid", str(os.getpid()).encode()), (b"x-request-number", number)]
    query = query_of(scope["query_string"].decode())
    path = scope["path"]
    if path == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for piece in pieces(number.decode(), int(query["size"])):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        return await send({"type": "http.response.body", "body": b""})
    body = b"hello"
    if path == "/version":
        body = VERSION.encode()
    elif path == "/slow":
        await asyncio.sleep(int(query["ms"]) / 1000)
    elif path == "/upload":
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [*headers, (b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def echo(receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
    await receive()
    await send({"type": "websocket.accept", "headers": [(b"x-worker-pid", str(os.getpid()).encode())]})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})
