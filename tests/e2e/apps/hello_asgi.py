"""The ASGI counterpart of the WSGI app in harness/apps.py: every answer says who gave it."""

import asyncio
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
VERSION = "1"


async def app(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    body = b"hello"
    if scope["path"] == "/version":
        body = VERSION.encode()
    elif scope["path"] == "/slow":
        await asyncio.sleep(int(scope["query_string"].partition(b"=")[2]) / 1000)
        body = b"slept"
    elif scope["path"] == "/upload":
        body, more = b"", True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
    headers = [
        (b"content-length", str(len(body)).encode()),
        (b"x-worker-pid", str(os.getpid()).encode()),
        *(pair for pair in scope["headers"] if pair[0] == b"x-request-number"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
