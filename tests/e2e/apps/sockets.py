"""An ASGI app that is nothing but WebSockets, a path for each thing that a server has to get right."""

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Scope = dict[str, Any]

counts: Counter[str] = Counter()
VERSION = (Path(__file__).parent / "version").read_text()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        body = str(counts[scope["query_string"].decode()]).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
    elif scope["type"] == "websocket":
        assert (await receive())["type"] == "websocket.connect"
        await pages[scope["path"]](scope, receive, send)
    else:
        raise NotImplementedError(scope["type"])


async def accept(send: Send, **more: Any) -> None:
    await send({"type": "websocket.accept", **more})


async def text(send: Send, words: str) -> None:
    await send({"type": "websocket.send", "text": words})


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await accept(send)
    counts["open"] += 1
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
    counts["open"] -= 1
    counts[f"closed {message['code']} {message.get('reason')}".replace(" ", "_")] += 1


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await accept(send)
    await text(send, f"{VERSION} {os.getpid()}")
    await receive()


async def show_scope(scope: Scope, receive: Receive, send: Send) -> None:
    await accept(send, subprotocol=scope["subprotocols"][-1], headers=[(b"x-own", b"yes")])
    await text(send, repr({key: scope[key] for key in ("type", "scheme", "path", "query_string", "subprotocols", "http_version")}))
    await receive()


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "websocket.close"})


async def deny(scope: Scope, receive: Receive, send: Send) -> None:
    headers = [(b"content-type", b"text/plain"), (b"x-reason", b"full")]
    await send({"type": "websocket.http.response.start", "status": 429, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": b"come back later"})


async def close(scope: Scope, receive: Receive, send: Send) -> None:
    await accept(send)
    await send({"type": "websocket.close", "code": 4001, "reason": "enough"})


async def leave(scope: Scope, receive: Receive, send: Send) -> None:
    await accept(send)


async def fail(scope: Scope, receive: Receive, send: Send) -> None:
    await accept(send)
    raise RuntimeError("raised on purpose")


async def fail_before(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("raised on purpose")


async def flood(scope: Scope, receive: Receive, send: Send) -> None:
    """1024 messages of 64 KiB, as fast as send() lets it."""
    await accept(send)
    counts["flood"] = 0
    for _ in range(1024):
        await send({"type": "websocket.send", "bytes": bytes(65536)})
        counts["flood"] += 1


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    """Until send() says that nobody is there any more."""
    await accept(send)
    try:
        while True:
            await text(send, "tick")
            await asyncio.sleep(0.01)
    except OSError:
        counts["endless_ended"] += 1


async def deaf(scope: Scope, receive: Receive, send: Send) -> None:
    """Receives nothing until the client has sent a request beside."""
    await accept(send)
    while counts["listen"] == 0:
        await asyncio.sleep(0.01)
    size = 0
    while size < 64 << 20:
        size += len((await receive())["bytes"])
    await text(send, str(size))
    await receive()


async def listen(scope: Scope, receive: Receive, send: Send) -> None:
    await accept(send)
    counts["listen"] += 1


pages = {
    f"/{page.__name__}": page
    for page in (
        *(echo, hello, show_scope, refuse, deny, close, leave, fail, fail_before, flood, endless, deaf, listen),
    )
}
