"""An ASGI app that sends the messages that it is asked for, in JSON in the query; those of "/try" may fail."""

import json
import resource
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Scope = dict[str, Any]

START = {"type": "http.response.start", "status": 200, "headers": []}
done = 0  # requests whose coroutine has ended
hints = 0  # that "/endless_hints" has sent


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    global done
    match scope["path"]:
        case "/say":
            await say_all(scope, send)
            done += 1
        case "/try":
            try:
                await say_all(scope, send)
            except Exception as error:
                await send({"type": "http.response.body", "body": f"{type(error).__name__}: {error}".encode()})
        case "/endless_hints":
            await endless_hints(send)
        case "/figures":
            figures = {"done": done, "hints": hints, "max_rss_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
            await send(START)
            await send({"type": "http.response.body", "body": json.dumps(figures).encode()})


async def say_all(scope: Scope, send: Send) -> None:
    for message in json.loads(unquote(scope["query_string"].decode())):
        await send(as_message(message))


def as_message(message: dict[str, Any]) -> Message:
    """JSON has no bytes."""
    if "headers" in message:
        message["headers"] = [(name.encode(), value.encode()) for name, value in message["headers"]]
    if "body" in message:
        message["body"] = message["body"].encode()
    if "links" in message and not message.pop("as_they_are", False):
        message["links"] = [link.encode() for link in message["links"]]
    return message


async def endless_hints(send: Send) -> None:
    """8 MiB of hints, as fast as send() lets it."""
    global hints
    for _ in range(1024):
        await send({"type": "http.response.early_hint", "links": [b"</" + b"a" * 8192 + b">; rel=preload"]})
        hints += 1
    await send(START)
    await send({"type": "http.response.body", "body": b"at last"})
