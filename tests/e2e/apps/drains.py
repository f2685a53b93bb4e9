"""An app whose requests last until the file `gate` beside it is there, for WSGI and for WebSockets."""

import os
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

HERE = pathlib.Path(__file__).parent
LARGE = 64 << 20


def wait_for_gate() -> None:
    while not (HERE / "gate").exists():
        time.sleep(0.01)


def stream() -> Iterator[bytes]:
    yield b"begun"
    wait_for_gate()
    yield b"ended"


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
    path = environ["PATH_INFO"]
    if path == "/stream":
        start_response("200 OK", [])
        return stream()
    if path == "/gate":
        wait_for_gate()
        body = b"open"
    elif path == "/upload":
        body = environ["wsgi.input"].read()
    elif path == "/large":
        body = bytes(LARGE)
    else:
        body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        body = str(os.getpid()).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
    else:
        raise NotImplementedError(scope["type"])
